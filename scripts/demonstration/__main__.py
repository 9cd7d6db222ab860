"""The command of ./scripts/demo: options, signals and exit status."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from schema.tables.database import DatabaseError
from scripts.demonstration.output import say
from scripts.demonstration.requirements import CannotStart
from scripts.demonstration.running import ChildDied, run

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """SIGINT or SIGTERM came."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns its exit status: 0 after Ctrl-C, 1 if a part died, 2 if it could not start."""
    options = _options(arguments)
    _raise_on_signals()
    try:
        run(options.port, options.devices, options.database, options.still)
    except Interrupted:
        say("stopped")
        return 0
    except ChildDied as error:
        say(str(error))
        return 1
    except (CannotStart, DatabaseError) as error:
        say(str(error))
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/demo",
        description="A chain with a fleet of devices, indexed and served over GraphQL. Ctrl-C ends all of it.",
        epilog="Example: ./scripts/demo --port 8080 --devices 50",
    )
    parser.add_argument(
        "--port", type=_number(0, 65535), default=8000, help="port to serve on; 0 is any free one (8000)"
    )
    parser.add_argument("--devices", type=_number(1, 100_000), default=200, help="how many devices to begin with (200)")
    parser.add_argument("--database", metavar="URL", help="an empty database instead of a fresh SQLite file in .demo/")
    parser.add_argument("--still", action="store_true", help="no new events after the start")
    return parser.parse_args(arguments)


def _number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from {minimum} to {maximum}')
        return int(text)

    return parse


def _raise_on_signals() -> None:
    """Raises Interrupted at the first SIGINT or SIGTERM. Later ones are ignored: the parts are being stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for caught in SIGNALS:
            signal.signal(caught, signal.SIG_IGN)
        raise Interrupted

    for caught in SIGNALS:
        signal.signal(caught, interrupt)


if __name__ == "__main__":
    sys.exit(main())
