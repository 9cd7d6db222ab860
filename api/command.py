"""What `certindex-api` does, given its arguments."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version

import uvicorn

from api.graphql.schema import sdl
from api.serving import address_of, listen, metrics_of, server_config
from api.settings import Settings
from schema.program.logs import configure, tell
from schema.program.metrics import serve_metrics
from schema.program.output import written_out
from schema.program.settings import SettingsError, add_options, read_settings
from schema.tables.database import DatabaseError

log = logging.getLogger("certindex.api")


GARBAGE = 10_000
"""Objects until Python looks for cycles among them: one request holds thousands at a time, and leaves no cycles."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Serve, or print the schema. Exits with status 2 for a wrong setting."""
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
        help="serve (default), or schema: print the GraphQL schema and exit",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('certindex')}")
    add_options(parser, Settings)
    options = parser.parse_args(arguments)
    if options.command == "schema":
        with written_out(parser.prog):
            sys.stdout.write(sdl())
        return
    try:
        serve(read_settings(Settings, options, os.environ))
    except (SettingsError, DatabaseError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises DatabaseError for a URL that can never work, SettingsError for a taken port."""
    configure(settings.log_format)
    config = server_config(settings)
    gc.freeze()  # what a server is made of stays: no collection need look at it
    gc.set_threshold(GARBAGE)
    gc.enable()
    with listen(settings.host, settings.port) as listener, _metrics(settings, config), suppress(KeyboardInterrupt):
        tell(log, logging.INFO, "serving", " {address}", address=address_of(listener))
        server = uvicorn.Server(config)
        server.run(sockets=[listener])


@contextmanager
def _metrics(settings: Settings, config: uvicorn.Config) -> Iterator[None]:
    """Serves /metrics meanwhile, where a port is set for it. Raises SettingsError."""
    if settings.metrics_port is None:
        yield
        return
    server = serve_metrics([metrics_of(config)], settings.metrics_host, settings.metrics_port)
    yield
    server.shutdown()
    server.server_close()
