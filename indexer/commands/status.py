"""`certindex status`: prints how far each chain is indexed."""

import argparse

from indexer.commands.options import Commands
from indexer.commands.start import start
from indexer.settings import DatabaseSettings
from schema.program.settings import add_options


def add_command(commands: Commands) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "status", help="print how far each chain is indexed", description="Prints how far each chain is indexed."
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_options(parser, DatabaseSettings)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    return status(start(DatabaseSettings, options), as_json=options.json)


def status(settings: DatabaseSettings, *, as_json: bool) -> int:
    """Prints the status of one chain, or of every chain in the database."""
    import msgspec

    from indexer.observe.status import chain_statuses
    from schema.tables.database import connect, database_name, migrate, read_only_engine

    engine = connect(settings.database_url)
    migrate(engine)
    with read_only_engine(engine).begin() as connection:
        statuses = chain_statuses(connection, settings.chain_id)
    engine.dispose()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([status.to_json() for status in statuses]), indent=2).decode())
    else:
        nothing = f"No chain is indexed yet in {database_name(engine)}: certindex sync"
        print("\n\n".join(status.to_text() for status in statuses) or nothing)
    return 0
