"""The demo fleet on a development chain, indexed by `certindex sync`, for the fixtures `fleet` and `fleet_database`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from eth_utils.address import to_checksum_address

from tests.support.chain.devchain import REPOSITORY
from tests.support.fleet import Fleet, start_chain

NOW = 1_763_800_000
"""When the fleet's two years end, in unix seconds: 2025-11-22T08:26:40Z."""

YEAR_10000 = 253_402_300_800


@contextmanager
def build_fleet() -> Iterator[Fleet]:
    with start_chain(NOW) as chain:
        yield Fleet.build(chain, devices=200, now=NOW)


def did(fleet: Fleet, token: int) -> str:
    return f"did:erc721:{fleet.chain.chain_id}:{to_checksum_address(fleet.contract.address)}:{token}"


def iso(seconds: int | None) -> str | None:
    """Returns unix seconds as the API returns them: None after the year 9999."""
    if seconds is None or seconds >= YEAR_10000:
        return None
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"


def index_fleet(fleet: Fleet, url: str) -> None:
    """Indexes the fleet in a database."""
    environment = os.environ | fleet.settings | {"DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "indexer", "sync"], env=environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def semver(version: str) -> tuple[Any, ...]:
    """Returns a key of semver precedence; () if the text is no version. Sufficient for the fleet's versions."""
    core, _, rest = version.removeprefix("v").partition("+")[0].partition("-")
    numbers = core.split(".")
    if (
        not version.isascii()
        or len(numbers) != 3
        or not all(number.isdigit() and number == str(int(number)) for number in numbers)
    ):
        return ()
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in rest.split(".")] if rest else []
    return (*map(int, numbers), not rest, parts)
