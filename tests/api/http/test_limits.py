"""Time limits of a request, and conditional requests."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from api.graphql.context import Context
from api.reading.snapshot import open_snapshot
from api.settings import Settings
from tests.support.api.feeding import Moving, minted
from tests.support.api.server import CLIENT, serving
from tests.support.databases import run_for_ever

TYPENAME = {"query": "{ __typename }"}


async def test_a_request_that_is_given_up_ends_its_sql(reading_engine: Engine) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), open_snapshot(reading_engine) as snapshot:
            await snapshot.read(run_for_ever)
    assert time.monotonic() - began < 60
    async with open_snapshot(reading_engine) as snapshot:
        assert await snapshot.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1


@pytest.mark.parametrize("query", ["{ device(by: {tokenId: 1}) { id } }", "{ devices { totalCount } }"])
def test_an_answer_that_takes_too_long_is_a_timeout_and_the_next_is_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """The first time graphql-core reads, then the plan; by a query of its own or by a loader."""
    moving = Moving(database_url)
    asyncio.run(moving.mine(*minted(1)))
    moving.close()

    async def find_for_ever(context: Context, *_: Any) -> Any:
        return await context.runner.read(run_for_ever)

    def read_for_ever(connection: Connection, *_: Any) -> Any:
        return run_for_ever(connection)

    with serving(Settings(database_url=database_url, max_seconds=0.5, cache_bytes=0)) as url:
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr("api.graphql.roots.query.find_device", find_for_ever)
                patch.setattr("api.reading.loaders.counts", read_for_ever)
                for _ in range(2):
                    slow = CLIENT.post(f"{url}/graphql", json={"query": query}, timeout=60)
                    assert slow.status_code == 503
                    assert slow.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
            assert CLIENT.post(f"{url}/graphql", json={"query": query}, timeout=60).status_code == 200


def test_a_client_that_has_the_answer_is_told_so(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url)) as url:
        first = CLIENT.get(f"{url}/graphql", params=TYPENAME)
        again = CLIENT.get(
            f"{url}/graphql", params=TYPENAME, headers={"If-None-Match": f'"x", {first.headers["etag"]}'}
        )
        other = CLIENT.get(
            f"{url}/graphql", params={"query": "{ a: __typename }"}, headers={"If-None-Match": first.headers["etag"]}
        )
        wrong = CLIENT.get(f"{url}/graphql", params={"query": "{ nothing }"})
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"] != other.headers["etag"]
    assert "accept" in again.headers["vary"].lower()
    assert "etag" not in wrong.headers
