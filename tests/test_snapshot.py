"""A snapshot of the API: its connection is given back whatever becomes of the request."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Engine

from api.snapshot import Snapshot, open_snapshot
from schema.database import connect, migrate


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    writer = connect(database_url)
    migrate(writer)
    writer.dispose()
    reader = connect(database_url, read_only=True)
    yield reader
    reader.dispose()


@pytest.mark.parametrize("once_open", [True, False])
@pytest.mark.timeout(60)
async def test_a_request_that_is_cancelled_again_and_again_ends_after_its_connection_was_given_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, once_open: bool
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
        async with open_snapshot(engine):
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
