"""A snapshot returns its connection, however its request ends."""

import asyncio
import gc
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from api.graphql.context import Context
from api.graphql.plan.fields import Rule
from api.graphql.plan.resolving import load_value
from api.reading.snapshot import PAUSES, KeptConnection, Snapshot, open_snapshot, read_again
from schema.tables.database import connect
from tests.support.databases import run_for_ever
from tests.support.postgres import plain_url

SNAPSHOTS = 12
"""As many as a server has open for requests and for what is live."""


@pytest.mark.parametrize("once_open", [True, False])
@pytest.mark.timeout(180)
async def test_a_request_that_is_cancelled_again_and_again_ends_after_its_connection_was_given_back(
    reading_engine: Engine, monkeypatch: pytest.MonkeyPatch, once_open: bool
) -> None:
    started, opened, closing, may_close, closed = (asyncio.Event() for _ in range(5))
    close = Snapshot.close

    async def slowly(snapshot: Snapshot) -> None:
        closing.set()
        await may_close.wait()
        await close(snapshot)
        closed.set()

    async def request() -> None:
        started.set()
        async with open_snapshot(reading_engine):
            opened.set()
            await asyncio.sleep(60)

    monkeypatch.setattr(Snapshot, "close", slowly)
    task = asyncio.create_task(request())
    await started.wait()
    if once_open:
        await opened.wait()
    task.cancel()
    await closing.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    may_close.set()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert closed.is_set()


@pytest.mark.timeout(180)
async def test_however_many_statements_run_each_is_ended_when_it_is_given_up(reading_engine: Engine) -> None:
    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), open_snapshot(reading_engine) as snapshot:
                await snapshot.read(run_for_ever)

    await asyncio.gather(*(give_up() for _ in range(SNAPSHOTS)))


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.timeout(180)
async def test_a_statement_that_is_given_up_again_and_again_is_over_before_its_reader_goes_on(
    reading_engine: Engine, begun: bool
) -> None:
    may_begin, over = Event(), Event()

    def read(connection: Connection) -> None:
        may_begin.wait(10)
        try:
            run_for_ever(connection)
        finally:
            over.set()

    async with open_snapshot(reading_engine) as snapshot:
        reading = asyncio.create_task(snapshot.read(read))
        if begun:
            may_begin.set()
        for _ in range(3):
            await asyncio.sleep(0.05)
            reading.cancel()
        await asyncio.sleep(0.05)
        may_begin.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert over.is_set()


@pytest.mark.timeout(180)
async def test_a_value_that_is_not_awaited_fails_silently(reading_engine: Engine) -> None:
    reports = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))

    def read(context: Context, rows: Sequence[Any]) -> Sequence[Any]:
        context.read.now(run_for_ever)
        return rows

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), open_snapshot(reading_engine) as snapshot:
            await load_value(Context(snapshot), "a field", Rule((), batch=read), ((), {}))
    await asyncio.sleep(0.05)
    gc.collect()
    assert reports == []


async def test_a_statement_whose_connection_is_lost_meanwhile_fails_as_one_of_the_database(postgres_url: str) -> None:
    engine = connect(postgres_url, read_only=True)

    async def request(other: psycopg.Connection[Any]) -> None:
        async with asyncio.timeout(60), open_snapshot(engine) as snapshot:
            reading = asyncio.create_task(snapshot.read(run_for_ever))
            await asyncio.sleep(0.1)
            other.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await reading

    with psycopg.connect(plain_url(postgres_url), autocommit=True) as other:
        for _ in range(3):
            with pytest.raises(DBAPIError):
                await request(other)
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    async with open_snapshot(engine) as snapshot:
        assert await snapshot.read(select_one) == 1
    engine.dispose()


@pytest.mark.parametrize("kept", [True, False])
async def test_a_failed_commit_takes_nothing_from_the_answer_and_the_connection_can_be_used_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    engine = connect(postgres_url, read_only=True)
    connection = KeptConnection(engine)

    def fail(driver: psycopg.Connection[Any]) -> None:
        driver.execute("SELECT 1/0")  # leaves the session in the failed transaction, as a standby's cancellation does

    async def request(is_failing: bool) -> int:
        with monkeypatch.context() as patched:
            if kept:
                with connection.open_snapshot() as now:
                    answer = now.read_now(select_one)
                    if is_failing:
                        patched.setattr(psycopg.Connection, "commit", fail)
            else:
                async with open_snapshot(engine) as snapshot:
                    answer = await snapshot.read(select_one)
                    if is_failing:
                        patched.setattr(psycopg.Connection, "commit", fail)
        return answer

    assert [await request(is_failing) for is_failing in (False, True, False)] == [1, 1, 1]
    connection.close()
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    engine.dispose()


async def test_a_cancelled_request_ends_its_sql(reading_engine: Engine) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), open_snapshot(reading_engine) as snapshot:
            await snapshot.read(run_for_ever)
    assert time.monotonic() - began < 60
    async with open_snapshot(reading_engine) as snapshot:
        assert await snapshot.read(select_one) == 1


class Failed(Exception):
    """An error as psycopg raises it."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "failures", "reads"),
    [("40001", len(PAUSES), len(PAUSES) + 1), ("40001", len(PAUSES) + 1, None), ("42P01", 1, None)],
    ids=["canceled by a standby", "canceled too often", "another error"],
)
async def test_a_read_that_a_standby_cancels_is_repeated(
    sqlstate: str, failures: int, reads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reading.snapshot.PAUSES", [0.0] * len(PAUSES))
    begun = 0

    async def read() -> int:
        nonlocal begun
        begun += 1
        if begun <= failures:
            raise DBAPIError("SELECT 1", None, Failed(sqlstate))
        return begun

    if reads is None:
        with pytest.raises(DBAPIError):
            await read_again(read)
        assert begun == failures
    else:
        assert await read_again(read) == reads


def select_one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())
