"""Worker threads: an abandoned answer is interrupted, without interrupting another's SQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from api.answering import workers as module
from api.answering.workers import Workers
from api.reading.snapshot import Interrupted, Snapshot
from schema.tables.database import connect, migrate
from tests.support.databases import run_for_ever
from tests.support.postgres import plain_url

COUNT = 6


@pytest.fixture
async def workers(reading_engine: Engine) -> AsyncIterator[Workers]:
    workers = Workers(reading_engine, COUNT)
    yield workers
    await workers.close()


def one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def read_one(snapshot: Snapshot) -> int:
    return snapshot.read_now(one)


@pytest.mark.timeout(120)
async def test_cancelled_work_ends_its_sql_and_begins_no_more(workers: Workers) -> None:
    after, begun = list[str](), Event()

    def work(snapshot: Snapshot) -> None:
        begun.set()
        try:
            snapshot.read_now(run_for_ever)
        except Exception:
            after.append("ended")
        try:
            snapshot.read_now(one)
        except Interrupted:
            after.append("begins no more")

    task = asyncio.create_task(workers.run(work))
    await asyncio.to_thread(begun.wait)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert after == ["ended", "begins no more"]
    assert await workers.run(read_one) == 1


@pytest.mark.timeout(120)
async def test_a_request_that_is_cancelled_repeatedly_still_waits_for_the_end(workers: Workers) -> None:
    begun, may_end, ended = Event(), Event(), Event()

    def work(snapshot: Snapshot) -> None:
        begun.set()
        may_end.wait(60)
        ended.set()

    task = asyncio.create_task(workers.run(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.02)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.timeout(120)
async def test_other_work_is_not_ended(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.001)

    def work(snapshot: Snapshot) -> int:
        return sum(snapshot.read_now(one) for _ in range(300))

    async def give_up(seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await workers.run(lambda snapshot: snapshot.read_now(run_for_ever))

    result, *_ = await asyncio.gather(workers.run(work), *(give_up(0.05 * number) for number in range(1, COUNT)))
    assert result == 300
    assert await asyncio.gather(*(workers.run(read_one) for _ in range(20))) == [1] * 20


@pytest.mark.timeout(120)
async def test_long_work_does_not_delay_other_work(workers: Workers) -> None:
    may_end = Event()
    long = [asyncio.create_task(workers.run(lambda snapshot: may_end.wait(60))) for _ in range(COUNT - 1)]
    assert await workers.run(read_one) == 1
    assert not any(task.done() for task in long)
    may_end.set()
    assert await asyncio.gather(*long) == [True] * len(long)


@pytest.mark.timeout(120)
async def test_the_event_loop_rests_while_threads_compute(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_SECONDS", 60)
    done = list[str]()

    def work(snapshot: Snapshot) -> None:
        time.sleep(0.02)  # an event loop that does not rest would go on now
        done.append("work")

    for _ in range(3):
        task = asyncio.create_task(workers.run(work))
        for _ in range(2):
            await asyncio.sleep(0)
        done.append("event loop")
        await task
    assert done == ["work", "event loop"] * 3


@pytest.mark.timeout(120)
async def test_the_event_loop_goes_on_during_long_work(workers: Workers) -> None:
    went_on = Event()
    asyncio.get_running_loop().call_later(0.05, went_on.set)
    assert await workers.run(lambda snapshot: went_on.wait(60))


@pytest.mark.timeout(120)
async def test_work_that_is_cancelled_before_it_begins_never_begins(workers: Workers) -> None:
    may_end, begun = Event(), list[int]()
    long = [asyncio.create_task(workers.run(lambda snapshot: may_end.wait(60))) for _ in range(COUNT - 1)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(workers.run(lambda snapshot: begun.append(read_one(snapshot))))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any(task.done() for task in long)
    may_end.set()
    await asyncio.gather(*long)
    assert await workers.run(read_one) == 1
    assert begun == []


async def test_an_exception_of_the_work_is_raised(workers: Workers) -> None:
    def fail(snapshot: Snapshot) -> None:
        raise LookupError("nothing")

    with pytest.raises(LookupError, match="nothing"):
        await workers.run(fail)
    assert await workers.run(read_one) == 1


async def test_a_connection_that_the_server_has_ended_is_replaced(postgres_url: str) -> None:
    engine = connect(postgres_url, read_only=True)
    workers = Workers(engine, COUNT)
    with psycopg.connect(plain_url(postgres_url), autocommit=True) as other:
        for _ in range(2):
            assert await asyncio.gather(*(workers.run(read_one) for _ in range(6))) == [1] * 6
            other.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    assert await asyncio.gather(*(workers.run(read_one) for _ in range(6))) == [1] * 6
    await workers.close()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
    engine.dispose()


async def test_a_database_that_appears_later_is_read_then(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/later.db"
    engine = connect(url, read_only=True)
    workers = Workers(engine, COUNT)
    for _ in range(2):
        with pytest.raises(DBAPIError):
            await workers.run(read_one)
    (tmp_path / "later.db").touch()  # without tables
    for _ in range(2):
        with pytest.raises(DBAPIError):
            await workers.run(read_one)
    migrate(connect(url))
    assert await workers.run(read_one) == 1
    await workers.close()
    engine.dispose()
