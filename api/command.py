"""The command line of `certindex-api`: serves, exports, writes a key, or prints the schema."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from sqlalchemy.exc import DBAPIError

from api.server import Server, address_of, collect_rarely, listen, metrics_of, server_config
from api.settings import Settings
from schema.program.logs import configure, log_event
from schema.program.metrics import serve_metrics
from schema.program.output import written_out
from schema.program.settings import SettingsError, add_options, read_settings
from schema.tables.database import DatabaseError, check_revision, connect, unusable

log = logging.getLogger("certindex.api")


def run(arguments: Sequence[str] | None = None) -> None:
    """Serves, exports, writes a key, or prints the schema. Exits with status 2 for a wrong setting."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["export"]:
        from api.exports.register.command import run_export

        sys.exit(run_export(arguments[1:]))
    if arguments[:1] == ["keys"]:
        from api.credentials.command import run_keys

        sys.exit(run_keys(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="certindex-api",
        description="Serve device certificates over GraphQL, from the database that certindex writes.",
        epilog="Example: certindex-api --database-url sqlite:///certindex.db --port 8000",
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "schema"),
        default="serve",
        help="serve (default), or schema: print the GraphQL schema and exit. certindex-api export --help: export the "
        "register as files. certindex-api keys --help: make a key that signs credentials",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('certindex')}")
    add_options(parser, Settings)
    options = parser.parse_args(arguments)
    if options.command == "schema":
        from api.graphql.schema import sdl

        with written_out(parser.prog):
            sys.stdout.write(sdl())
        return
    try:
        serve(read_settings(Settings, options, os.environ))
    except (SettingsError, DatabaseError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def serve(settings: Settings) -> None:
    """Serves until a signal stops it.

    Raises DatabaseError for a database that can never be used, SettingsError for a port that is in use.
    """
    configure(settings.log_format)
    # a thread that starts when all is imported: SQLAlchemy cannot be used while another thread imports it
    warning = threading.Thread(target=warn_if_unusable, args=(settings,), daemon=True)
    if settings.workers > 1:
        from api.supervisor import Supervisor

        with listen(settings.host, settings.port) as listener:
            supervisor = Supervisor(settings, listener)
            warning.start()
            with serve_metrics([supervisor.metrics], settings.metrics_host, settings.metrics_port):
                supervisor.run()
        return
    config = server_config(settings)
    collect_rarely()
    warning.start()
    with (
        listen(settings.host, settings.port) as listener,
        serve_metrics([metrics_of(config)], settings.metrics_host, settings.metrics_port),
        suppress(KeyboardInterrupt),
    ):
        log_event(log, logging.INFO, "serving", " {address}", address_of(listener))
        server = Server(config, settings.drain_seconds)
        server.run(sockets=[listener])


def warn_if_unusable(settings: Settings) -> None:
    """Logs why the database cannot be read, if it cannot: the server waits for it."""
    try:
        engine = connect(settings.database_url, read_only=True, pooler=settings.database_pooler)
    except DatabaseError:
        return  # the server itself refuses such a URL
    try:
        with engine.connect() as connection:
            check_revision(connection)
    except DatabaseError as error:
        log_event(log, logging.WARNING, "not ready", ": {reason}", str(error))
    except DBAPIError as error:
        log_event(log, logging.WARNING, "not ready", ": {reason}", str(unusable(engine, error)))
    finally:
        engine.dispose()
