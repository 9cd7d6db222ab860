"""An indexer that is killed at any moment on a chain that reorgs ends with the rows of the final chain."""

import os
import sys
import threading
import time
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, NoResultFound

from scripts.processes import Child
from tests.conftest import StartAnvil
from tests.support.certindex import Certindex, runner
from tests.support.chain.factory import Factory
from tests.support.chain.life import FINALITY, Life
from tests.support.databases import NewDatabase
from tests.support.index.indexing import read_table, read_tables

CHAIN_ID = 31337
LIVES = 5


@pytest.fixture
def certindex(capsys: pytest.CaptureFixture[str]) -> Certindex:
    return runner(capsys)


@pytest.fixture
def factory(anvil: StartAnvil) -> Factory:
    return Factory(anvil("--slots-in-an-epoch", str(FINALITY // 2)))


def test_killed_at_any_moment_and_started_again_it_ends_with_the_rows_of_the_final_chain(
    factory: Factory, new_database: NewDatabase, certindex: Certindex
) -> None:
    live, fresh = new_database(), new_database()
    happening = Life(factory, seed=5)
    happening.go_on(20)
    for life in range(LIVES):
        die_in_the_midst(happening, environment(factory, live), lines=life % 3)
    sync = ("sync", "--rpc-urls", factory.chain.url, "--contracts", f"certificate={factory.contract.address}")
    assert certindex(*sync, database_url=live).status == 0
    assert certindex(*sync, database_url=fresh).status == 0
    rows = tables(live)
    assert rows == tables(fresh)
    assert orphaned(live), "no reorg has taken back an event"
    assert certindex("rebuild", database_url=live).status == 0
    assert tables(live) == rows


def die_in_the_midst(happening: Life, environment: dict[str, str], lines: int) -> None:
    """Runs an indexer while the chain goes on and reorgs, and kills it some time after it has logged some lines."""
    logged = threading.Semaphore(0)
    indexer = Child(
        [sys.executable, "-m", "indexer", "run"],
        environment=os.environ | environment,
        on_line=lambda line: logged.release() if " INFO " in line or " WARNING " in line else None,
    )
    try:
        while indexed_hash(environment["DATABASE_URL"]) != happening.chain.block()["hash"]:
            assert logged.acquire(timeout=60), indexer.last_output
        for _ in range(1 + lines):
            happening.reorg(happening.random.randint(1, FINALITY // 2))
            happening.go_on(happening.random.randint(1, 3))
            assert logged.acquire(timeout=60), indexer.last_output
        time.sleep(happening.random.random() * 0.03)
    finally:
        indexer.kill()
    assert "Traceback" not in indexer.last_output, indexer.last_output
    assert " ERROR " not in indexer.last_output, indexer.last_output


def environment(factory: Factory, database_url: str) -> dict[str, str]:
    return {
        "RPC_URLS": factory.chain.url,
        "CONTRACTS": f"certificate={factory.contract.address}",
        "DATABASE_URL": database_url,
        "POLL_INTERVAL": "0.02",
    }


def indexed_hash(database_url: str) -> str | None:
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            return "0x" + bytes(connection.execute(text("SELECT indexed_hash FROM chain")).scalar_one()).hex()
    except (NoResultFound, DBAPIError):
        return None  # not even begun
    finally:
        engine.dispose()


def tables(database_url: str) -> dict[str, list[dict[str, Any]]]:
    engine = create_engine(database_url)
    try:
        return read_tables(engine, CHAIN_ID)
    finally:
        engine.dispose()


def orphaned(database_url: str) -> list[dict[str, Any]]:
    engine = create_engine(database_url)
    try:
        return read_table(engine, CHAIN_ID, "orphaned_event")
    finally:
        engine.dispose()
