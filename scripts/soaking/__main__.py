"""The command of ./scripts/soak: its options and its databases."""

import argparse
import asyncio
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schema.tables.database import connect, migrate
from scripts.soaking.deliveries import DeliveryStorm
from scripts.soaking.soak import Soak
from tests.support.pgbouncer import running_pooler
from tests.support.postgres import PostgresServer, temporary_database

LIFE_SECONDS = 4.0
"""How long the sender delivers between two kills, on average."""

FAILING = 0.0001
"""Share of the requests for which the receiver fails: each costs the sender 1 s or 5 s."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak and returns its exit status: 0 if the rows are right, else 1."""
    options = _options(arguments)
    with _databases(options.postgresql or options.pooler, options.pooler) as (live, clean):
        if options.deliveries:
            return _deliver(live, options.deliveries, options.seed)
        return Soak(options.seed, live, clean).run(60 * options.minutes)


def _deliver(url: str, events: int, seed: int) -> int:
    """Runs the storm of deliveries. Returns the exit status: 1 if a message is lost or out of order."""
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    print(f"{events} events, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="certindex-deliveries-") as folder:
        storm = DeliveryStorm(url, Path(folder), events=events, seed=seed, life=LIFE_SECONDS, failing=FAILING)
        try:
            asyncio.run(storm.run())
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(storm.report())
    return 0


@contextmanager
def _databases(is_postgresql: bool, is_pooled: bool) -> Iterator[tuple[str, str]]:
    """Makes two empty databases, one for the indexers and one for the clean index; both are deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="certindex-soak-") as folder, ExitStack() as parts:
        live = f"sqlite:///{Path(folder) / 'live.db'}"
        if is_postgresql:
            server = PostgresServer()
            parts.callback(server.stop)
            live = parts.enter_context(temporary_database(server.url))
        if is_pooled:
            live = parts.enter_context(running_pooler(live, sessions=4)).url
        yield live, f"sqlite:///{Path(folder) / 'clean.db'}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/soak",
        description="Two indexers on one database through faults, reorgs, kills and suspensions; compares all rows.",
        epilog="Example: ./scripts/soak 30 --postgresql",
    )
    parser.add_argument("minutes", type=_minutes, nargs="?", default=30.0, help="how long the storm lasts (30)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL; without it on SQLite")
    parser.add_argument("--pooler", action="store_true", help="on PostgreSQL behind PgBouncer in transaction mode")
    parser.add_argument(
        "--deliveries",
        type=_events,
        metavar="EVENTS",
        help="instead: deliver so many events to a webhook, while the sender is killed every few seconds",
    )
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the random choices; without it a random one"
    )
    return parser.parse_args(arguments)


def _events(value: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{2,7}", value):
        raise argparse.ArgumentTypeError(f'"{value}" is not a number of events from 100 on. Example: 100000')
    return int(value)


def _minutes(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value):
        raise argparse.ArgumentTypeError(f'"{value}" is not a number of minutes. Example: ./scripts/soak 30')
    return float(value)


if __name__ == "__main__":
    sys.exit(main())
