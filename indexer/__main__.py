"""The command line: `certindex COMMAND`. Each command is a file in `indexer/commands`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

from indexer.commands import (
    attest,
    check,
    digest,
    prove,
    rebuild,
    reconcile,
    rollback,
    run,
    status,
    sync,
    verify,
)
from indexer.errors import Stop, TryAgain, failure_text
from schema.profile.errors import ProfileError
from schema.program.output import written_out
from schema.program.settings import SettingsError, without_password

COMMANDS = (run, sync, status, rebuild, rollback, reconcile, verify, prove, check, attest, digest)
"""In the order of `certindex --help`."""

COMMAND_ENTRY_POINT = "certindex.commands"
"""The entry point by which the API package offers further commands; the indexer imports nothing of the API."""

USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 failed, 2 a setting is missing or wrong, 130 interrupted."""
    options = _parser().parse_args(arguments)
    with written_out("certindex"):
        exit_status = _execute(options)
    sys.exit(exit_status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="certindex", description="Follows an EVM chain and keeps the tables that answer questions about devices."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('certindex')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.COMMAND.add_to(commands)
    for entry_point in entry_points(group=COMMAND_ENTRY_POINT):
        entry_point.load()(commands)
    return parser


def _execute(options: argparse.Namespace) -> int:
    """Returns the exit status of the command. An error that explains itself is reported without a traceback."""
    try:
        return int(options.execute(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (SettingsError, ProfileError) as error:
        return _failed(str(error), USAGE_ERROR)
    except (Stop, TryAgain) as error:
        return _failed(str(error), 1)
    except Exception as error:
        # imported only now: `certindex check` must do without
        from sqlalchemy.exc import DBAPIError

        from schema.tables.database import DatabaseError

        match error:
            case DatabaseError():
                return _failed(str(error), 1)
            case DBAPIError():
                return _failed(without_password(failure_text(error)), 1)
            case _:
                raise


def _failed(message: str, exit_status: int) -> int:
    from schema.program.logs import is_json, log_event

    if is_json():
        log_event(logging.getLogger("certindex"), logging.CRITICAL, "failed", error=message, exit_status=exit_status)
    else:
        print(f"certindex: {message}", file=sys.stderr)
    return exit_status


if __name__ == "__main__":
    main()
