"""`certindex check`: checks an audit bundle without a database; the work is in `indexer/check`."""

from indexer.check import __main__ as offline
from indexer.commands.options import Commands


def add_command(commands: Commands) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "check", help="check an audit bundle, without database or network", description=offline.DESCRIPTION
    )
    offline.add_arguments(parser)
    parser.set_defaults(execute=offline.run)
