"""Whether the database has changed: read once for all that ask, and told at once to those who wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event, text

from api.reading import change_watch as module
from api.reading.change_watch import ChangeWatch
from schema.tables.database import connect
from tests.support.api.feeding import Moving, minted
from tests.support.databases import NewDatabase
from tests.support.processes import until

PATIENCE = 60.0


class Watched:
    """A database that grows, its watch, and how many connections the watch has opened."""

    def __init__(self, url: str) -> None:
        self.moving = Moving(url)
        self.engine = connect(url, read_only=True)
        self.watch = ChangeWatch(self.engine)
        self.connections = 0
        event.listen(self.engine, "connect", self._count)

    async def next_change(self) -> None:
        """Mines a device while waiting for a change of the revisions as they are now."""
        waiting = asyncio.create_task(self.watch.changed(await self.watch.revisions()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await self.moving.mine(*minted(1))
        await asyncio.wait_for(waiting, PATIENCE)

    async def close(self) -> None:
        await self.watch.close()
        self.engine.dispose()
        self.moving.close()

    def _count(self, *_: Any) -> None:
        self.connections += 1


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[Watched]:
    watched = Watched(database_url)
    await watched.moving.mine(*minted(1))
    yield watched
    await watched.close()


@pytest.fixture
async def on_postgresql(new_postgres_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setattr(module, "LISTENING_POLL_SECONDS", 60.0)
    watched = Watched(new_postgres_database())
    await watched.moving.mine(*minted(1))
    yield watched
    await watched.close()


async def test_requests_during_a_read_share_the_next_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, goes_on, results = watched.watch, Event(), list[Any]()
    read = watch._reader.read

    def read_slowly(*, listen: bool) -> Any:
        results.append(read(listen=listen))
        goes_on.wait(60)
        return results[-1]

    monkeypatch.setattr(watch._reader, "read", read_slowly)
    first = asyncio.create_task(watch.revisions())
    await asyncio.to_thread(until, lambda: results, "a result")
    await watched.moving.mine(*minted(2))
    later = [asyncio.create_task(watch.revisions()) for _ in range(10)]
    await asyncio.sleep(0.01)
    goes_on.set()
    before, *after = await asyncio.gather(first, *later)
    assert [before, *set(after)] == results
    assert results[0] != results[1]


async def test_a_lost_connection_is_replaced(watched: Watched) -> None:
    first = await watched.watch.revisions()
    watched.watch._reader._connection.close()
    assert await watched.watch.revisions() == first


async def test_reads_and_waits_share_one_connection(watched: Watched) -> None:
    for _ in range(3):
        await asyncio.gather(watched.next_change(), *(watched.watch.revisions() for _ in range(20)))
    assert watched.connections == 1


async def test_a_block_is_reached_when_it_is_indexed(watched: Watched) -> None:
    (seen,) = await watched.watch.revisions()
    waiting = asyncio.create_task(watched.watch.reached((seen,), seen.chain_id, seen.indexed_number + 2))
    await watched.next_change()
    assert not waiting.done()
    await watched.moving.mine(*minted(2))
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_database_that_counts_again_has_changed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby that is promoted may lack the last commits of its primary."""
    monkeypatch.setattr(module, "LISTENING_POLL_SECONDS", 0.05)
    for lost in ("revision = revision - 1", "indexed_hash = :hash"):
        seen = await watched.watch.revisions()
        waiting = asyncio.create_task(watched.watch.changed(seen))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        with watched.moving.indexer.engine.begin() as connection:
            connection.execute(text(f"UPDATE chain SET {lost}"), {"hash": bytes(32)} if ":hash" in lost else {})
        await asyncio.wait_for(waiting, PATIENCE)


@pytest.mark.direct
async def test_listening_wakes_at_the_commit_during_other_reads(on_postgresql: Watched) -> None:
    watch = on_postgresql.watch

    async def read_for_ever() -> None:
        while True:
            await watch.revisions()

    await on_postgresql.next_change()
    reading = asyncio.create_task(read_for_ever())
    for _ in range(5):
        began = time.monotonic()
        await on_postgresql.next_change()
        assert time.monotonic() - began < PATIENCE
    reading.cancel()
    for _ in range(5):
        await on_postgresql.next_change()
    assert watch._reader.listening_on is not None


@pytest.mark.direct
async def test_listening_continues_on_the_connection_that_replaces_a_lost_one(on_postgresql: Watched) -> None:
    await on_postgresql.next_change()
    pid = on_postgresql.watch._reader._connection.info.backend_pid
    with on_postgresql.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid})
    await on_postgresql.next_change()
    assert on_postgresql.watch._reader.listening_on is not None


async def test_listening_ends_when_no_request_waits(on_postgresql: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    await on_postgresql.next_change()
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    await on_postgresql.moving.mine(*minted(1))
    poller = on_postgresql.watch._poller
    assert poller is not None
    await asyncio.wait_for(poller, PATIENCE)
    assert on_postgresql.watch._reader.listening_on is None
    await on_postgresql.next_change()


@pytest.mark.direct
async def test_a_watch_closes_at_once_though_a_change_wakes_its_poller(on_postgresql: Watched) -> None:
    watch = ChangeWatch(on_postgresql.engine)
    waiting = asyncio.create_task(watch.changed(await watch.revisions()))
    await asyncio.to_thread(until, lambda: watch._reader.listening_on is not None, "the listening")
    await asyncio.sleep(0.1)  # the poller waits
    watch._notified.set()
    await asyncio.sleep(0)  # what the poller awaits has ended, and the poller does not know yet
    await asyncio.wait_for(watch.close(), PATIENCE)
    waiting.cancel()
