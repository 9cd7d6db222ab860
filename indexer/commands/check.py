"""`certindex check`: checks an audit bundle without a database; the work is in `indexer/check`."""

from indexer.check import __main__ as offline
from indexer.commands.command import Command

COMMAND = Command(
    "check",
    None,
    lambda _, options: offline.run(options),
    help="check an audit bundle, without database or network",
    description=offline.DESCRIPTION,
    add_arguments=offline.add_arguments,
)
