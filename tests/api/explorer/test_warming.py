"""The counts of a large register are made when the process starts, and not by the first request for a page."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from api.app import create_app
from api.explorer.warming import TASK
from api.settings import Settings
from tests.support.api.server import MAX_SECONDS
from tests.support.databases import KINDS, Kind

PAGES = ("/", "/audit", "/manufacturers")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_request_counts_only_what_changed(
    fleet_database: Callable[[Kind], str], monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr("api.reading.cached_counts.LONG_SECONDS", 0)
    url = fleet_database(kind)
    assert len(asyncio.run(counts_of_all_rows(url))) > 10  # a small register is not counted before
    monkeypatch.setattr("api.explorer.warming.MOST_EVENTS", 0)
    assert asyncio.run(counts_of_all_rows(url)) == []


async def counts_of_all_rows(url: str) -> list[str]:
    """Returns the statements of the first requests of a process that count devices, and not those that changed."""
    statements: list[str] = []
    app = create_app(Settings(database_url=url, cache_bytes=0, max_seconds=MAX_SECONDS))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == TASK))

        def listener(*call: Any) -> None:
            statements.append(call[2])

        event.listen(Engine, "before_cursor_execute", listener)
        try:
            for path in PAGES:
                assert (await client.get(path)).status_code == 200
        finally:
            event.remove(Engine, "before_cursor_execute", listener)
    return [text for text in statements if "count(*)" in text and "FROM device" in text and "FROM event" not in text]
