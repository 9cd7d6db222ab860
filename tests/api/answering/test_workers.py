"""Worker threads: an abandoned answer is interrupted, without interrupting another's SQL."""

import asyncio
from collections.abc import AsyncIterator
from threading import Event

import pytest
from sqlalchemy import Connection, Engine, text

from api.answering import workers as module
from api.answering.workers import Workers
from api.reading.snapshot import Interrupted, Snapshot
from tests.support.databases import run_for_ever

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
    after = list[str]()

    def work(snapshot: Snapshot) -> None:
        try:
            snapshot.read_now(run_for_ever)
        except Exception:
            after.append("ended")
        try:
            snapshot.read_now(one)
        except Interrupted:
            after.append("begins no more")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await workers.run(work)
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
