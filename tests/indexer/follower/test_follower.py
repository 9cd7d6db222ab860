"""The loop that follows the chain survives temporary failures, and keeps the database's statistics fresh."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from indexer.follower import Follower
from indexer.opening import FollowedChain, open_chain
from indexer.store import Store
from indexer.store.lease import Lease
from schema.tables.database import connect
from tests.conftest import StartAnvil
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.factory import Factory
from tests.support.index.verifying import settings_for
from tests.support.processes import free_ports


async def test_an_indexer_outlives_a_database_that_is_away_for_a_while(
    factory: Factory, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Store.commit
    failures = iter([OperationalError("COMMIT", None, sqlite3.OperationalError("the disk is away"))] * 2)

    def commits_at_last(store: Store, *arguments: Any) -> object:
        for error in failures:
            raise error
        return commit(store, *arguments)

    monkeypatch.setattr(Store, "commit", commits_at_last)
    opened = await open_chain(settings_for(factory, database_url))
    await follow_until_indexed(opened, database_url)
    await opened.pool.close()
    opened.engine.dispose()
    assert next(failures, None) is None


async def test_a_standby_retries_an_unreachable_database_less_and_less_often(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look = Lease.try_acquire
    failures = iter([OperationalError("SELECT", None, sqlite3.OperationalError("the disk is away"))] * 2)

    def looks_at_last(lease: Lease) -> object:
        for error in failures:
            raise error
        return look(lease)

    monkeypatch.setattr(Lease, "try_acquire", looks_at_last)
    opened = await open_chain(settings_for(factory, sqlite_url))
    await follow_until_indexed(opened, sqlite_url)
    await opened.pool.close()
    opened.engine.dispose()
    messages = [record.getMessage() for record in caplog.records if "standing by" in record.getMessage()]
    assert [re.findall("again in [0-9.]+s", line) for line in messages] == [["again in 0.5s"], ["again in 1.0s"]]


def test_an_indexer_waits_for_a_node_that_is_not_there_yet(anvil: StartAnvil, sqlite_url: str) -> None:
    [port] = free_ports(1)
    first = Factory(anvil())  # the same deeds on any new chain give the contract the same address
    environment = os.environ | {
        "DATABASE_URL": sqlite_url,
        "RPC_URLS": f"http://127.0.0.1:{port}",
        "CONTRACTS": f"certificate={first.contract.address}",
    }
    command = [sys.executable, "-m", "indexer", "run"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True) as indexer:
        assert indexer.stderr is not None
        assert "again in" in indexer.stderr.readline()
        Factory(anvil(port=port))
        assert any(re.search("events=[1-9]", line) for line in indexer.stderr)
        indexer.terminate()
        indexer.stderr.read()
    assert indexer.returncode == 0
    assert events(sqlite_url) > 0


async def follow_until_indexed(opened: FollowedChain, database_url: str) -> Follower:
    """Follows the chain until an event is stored."""
    follower = Follower(opened, 0.1, verify=False, keep_proofs=False)
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(events, database_url) == 0:
                assert not running.done(), running.result()
                await asyncio.sleep(0.05)
    finally:
        follower.stop()
        await running
    return follower


def events(database_url: str) -> int:
    engine = connect(database_url)
    with engine.begin() as connection:
        count: int = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
    engine.dispose()
    return count
