"""Two indexers on one database, each a process: one writes, the other stands by, and rows are written once."""

import asyncio
import os
import signal
import threading
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.settings import Settings as ApiSettings
from indexer.observe.status import ChainStatus, chain_statuses
from indexer.store.lease import BEAT_SECONDS, DEAD_AFTER_SECONDS, LOOK_SECONDS
from schema.tables.database import connect
from scripts.processes import Child
from tests.support.api.server import serving
from tests.support.certindex import Certindex
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import random_block
from tests.support.databases import NewDatabase
from tests.support.index.indexing import engine_of, index_afresh, read_tables
from tests.support.processes import PATIENCE, caught_up, free_ports, metric, until
from tests.support.rpc.faultproxy import Exchange, of_fake
from tests.support.rpc.provider import Provider, indexers

pytestmark = pytest.mark.slow


def test_a_suspended_writer_is_replaced_writes_nothing_when_it_wakes_and_takes_over_in_its_turn(
    new_database: NewDatabase, certindex: Certindex
) -> None:
    node, database_url = FakeNode(finality=4), new_database()
    for seed in range(8):
        random_block(seed).mine(node)
    ports = free_ports(2)
    with Provider(of_fake(node)) as provider, indexers(database_url, RPC_URLS=provider.url) as start:
        both = {child.pid: child for child in (start(METRICS_PORT=str(port)) for port in ports)}
        until(lambda: caught_up(database_url, node), "the first index", *both.values())
        writer, standby = in_their_roles(database_url, both)
        says_who_writes(database_url, certindex, both, ports)

        suspend_in_the_midst_of_a_step(writer, provider, node, database_url)
        until(lambda: caught_up(database_url, node), "the standby to take over", *both.values())
        assert "took over chain=" in standby.last_output
        rows = tables(database_url, node)
        os.kill(writer.pid, signal.SIGCONT)
        until(
            lambda: writer.last_output.count("standing by") == writer.last_output.count("took over") + 1, "it to wake"
        )
        assert "Another writer" in writer.last_output
        assert tables(database_url, node) == rows == clean(new_database, node)

        standby.kill()
        provider.do(lambda: random_block(100).mine(node))
        until(lambda: caught_up(database_url, node), "it to take over in its turn", writer)
        assert tables(database_url, node) == clean(new_database, node)
        assert "Traceback" not in writer.last_output + standby.last_output


def test_a_dead_writer_is_replaced_within_ten_seconds_by_the_settings_of_the_lease() -> None:
    assert BEAT_SECONDS + DEAD_AFTER_SECONDS + LOOK_SECONDS < 10


# What is done to them


def suspend_in_the_midst_of_a_step(writer: Child, provider: Provider, node: FakeNode, database_url: str) -> None:
    """Suspends an indexer that has requested the logs of a new block, then lets the response arrive."""
    requested, go_on = threading.Event(), threading.Event()

    async def hold(exchange: Exchange) -> bool:
        if exchange.method == "eth_getLogs" and not go_on.is_set():
            requested.set()
            await asyncio.to_thread(go_on.wait)
            return True
        return False

    provider.proxy.inject(hold)
    provider.do(lambda: random_block(99).mine(node))
    assert requested.wait(PATIENCE)
    while True:
        os.kill(writer.pid, signal.SIGSTOP)
        if is_free(database_url):
            break
        os.kill(writer.pid, signal.SIGCONT)  # it was about to beat: a suspended process keeps its locks
        time.sleep(0.05)
    go_on.set()


def is_free(database_url: str) -> bool:
    """Returns whether no write is in progress."""
    engine = connect(database_url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT 1 FROM chain FOR UPDATE NOWAIT"))
            else:
                # beside SQLAlchemy, which would begin, and wait, before it
                sqlite: Any = connection.connection.driver_connection
                sqlite.execute("PRAGMA busy_timeout = 0")
                connection.execute(text("SELECT 1 FROM chain"))
    except DBAPIError:
        return False
    finally:
        engine.dispose()
    return True


# What they say


def says_who_writes(database_url: str, certindex: Certindex, both: dict[int, Child], ports: list[int]) -> None:
    writer, standby = in_their_roles(database_url, both)
    until(lambda: status(database_url).standbys, "the standby to say so", writer, standby)
    [waiting] = status(database_url).standbys
    assert f":{standby.pid}:" in waiting.name
    output = certindex("status", database_url=database_url).out
    assert f"  standby    {waiting.name} since " in output
    assert f"  writer     {status(database_url).writer}" in output
    until(lambda: "standing by: another indexer writes chain" in standby.last_output, "it to log so")
    assert "standing by" not in writer.last_output
    with serving(ApiSettings(database_url=database_url)) as address:
        [chain] = httpx.get(f"{address}/readyz", timeout=60).json()["chains"]
    assert (chain["writer"], chain["standbys"]) == (status(database_url).writer, [waiting.name])
    writing = {pid: metric(port, "certindex_writing") for pid, port in zip(both, ports, strict=True)}
    assert writing == {writer.pid: 1, standby.pid: 0}
    assert {metric(port, "certindex_standbys") for port in ports} == {1}


def in_their_roles(database_url: str, both: dict[int, Child]) -> tuple[Child, Child]:
    """Returns the writer, and the other one."""
    holder = status(database_url).writer
    assert holder is not None
    writer = both[int(holder.split(":")[1])]
    [standby] = [child for child in both.values() if child is not writer]
    return writer, standby


def status(database_url: str) -> ChainStatus:
    engine = connect(database_url)
    try:
        with engine.begin() as connection:
            [chain] = chain_statuses(connection, None)
    finally:
        engine.dispose()
    return chain


# Rows


def tables(database_url: str, node: FakeNode) -> dict[str, Any]:
    with engine_of(database_url) as engine:
        return read_tables(engine, node.chain_id)


def clean(new_database: NewDatabase, node: FakeNode) -> dict[str, Any]:
    """Returns the tables of an undisturbed index."""
    with engine_of(new_database()) as engine:
        return index_afresh(engine, node)
