"""The command of ./scripts/soak: its options and its databases."""

import argparse
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from scripts.soaking.soak import Soak
from tests.support.postgres import PostgresServer, plain_url


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak and returns its exit status: 0 if the rows are right, else 1."""
    options = _options(arguments)
    with _databases(options.postgresql) as (live, clean):
        return Soak(options.seed, live, clean).run(60 * options.minutes)


@contextmanager
def _databases(postgresql: bool) -> Iterator[tuple[str, str]]:
    """Makes two empty databases, one for the indexers and one for the clean index; both are deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="certindex-soak-") as folder:
        clean = f"sqlite:///{Path(folder) / 'clean.db'}"
        if not postgresql:
            yield f"sqlite:///{Path(folder) / 'live.db'}", clean
            return
        server = PostgresServer()
        try:
            name = f"certindex_soak_{secrets.token_hex(4)}"
            with psycopg.connect(plain_url(server.url), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            yield make_url(server.url).set(database=name).render_as_string(hide_password=False), clean
        finally:
            server.stop()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/soak",
        description="Two indexers on one database through faults, reorgs, kills and suspensions; compares all rows.",
        epilog="Example: ./scripts/soak 30 --postgresql",
    )
    parser.add_argument("minutes", type=_minutes, nargs="?", default=30.0, help="how long the storm lasts (30)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL; without it on SQLite")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the random choices; without it a random one"
    )
    return parser.parse_args(arguments)


def _minutes(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value):
        raise argparse.ArgumentTypeError(f'"{value}" is not a number of minutes. Example: ./scripts/soak 30')
    return float(value)


if __name__ == "__main__":
    sys.exit(main())
