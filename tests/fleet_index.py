"""The demo fleet on a real chain, indexed by the real program into both databases. Import its fixtures to use them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from eth_utils.address import to_checksum_address

from scripts.devchain import REPOSITORY
from scripts.fleet import Fleet, start_chain
from tests.asking import Api, asking, module_database

__all__ = ["NOW", "api", "did", "fleet", "iso"]

NOW = 1_763_800_000
"""When the story of the fleet ends, in unix seconds: 2025-11-22T08:26:40Z."""

YEAR_10000 = 253_402_300_800


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with start_chain(NOW) as chain:
        yield Fleet.build(chain, devices=200, now=NOW)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Ask about the fleet, first on SQLite, then on PostgreSQL."""
    url = module_database(request, tmp_path_factory)
    _sync(fleet, url)
    with asking(url) as asked:
        yield asked


def did(fleet: Fleet, token: int) -> str:
    return f"did:erc721:{fleet.chain.chain_id}:{to_checksum_address(fleet.contract.address)}:{token}"


def iso(seconds: int | None) -> str | None:
    """Return unix seconds as the API writes them: nothing after the year 9999."""
    if seconds is None or seconds >= YEAR_10000:
        return None
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"


def _sync(fleet: Fleet, url: str) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "RPC_URLS": fleet.chain.url,
        "CHAIN_ID": str(fleet.chain.chain_id),
        "PROFILE": "device_certificate",
        "CONTRACTS": f"certificate={fleet.contract.address}",
        "START_BLOCK": str(fleet.start_block),
    }
    done = subprocess.run(
        [sys.executable, "-m", "indexer", "sync"], env=environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
