"""`certindex status`: prints how far each chain is indexed."""

from indexer.commands.command import Command
from indexer.settings import DatabaseSettings

COMMAND = Command(
    "status",
    DatabaseSettings,
    lambda settings, options: status(settings, as_json=options.json),
    help="print how far each chain is indexed",
    description="Prints how far each chain is indexed.",
    add_arguments=lambda parser: parser.add_argument("--json", action="store_true", help="print JSON"),
)


def status(settings: DatabaseSettings, *, as_json: bool) -> int:
    """Prints the status of one chain, or of every chain in the database."""
    import msgspec

    from indexer.observe.status import chain_statuses
    from indexer.stored_chain import open_for_reading
    from schema.tables.database import database_name

    with open_for_reading(settings) as connection:
        statuses = chain_statuses(connection, settings.chain_id)
        name = database_name(connection.engine)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([status.to_json() for status in statuses]), indent=2).decode())
    else:
        nothing = f"No chain is indexed yet in {name}: certindex sync"
        print("\n\n".join(status.to_text() for status in statuses) or nothing)
    return 0
