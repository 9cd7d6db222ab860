"""The time limit of a request."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from api.graphql.context import Context
from api.settings import Settings
from tests.support.api.feeding import Moving, minted
from tests.support.api.server import CLIENT, serving
from tests.support.databases import run_for_ever


@pytest.mark.parametrize("query", ["{ device(by: {tokenId: 1}) { id } }", "{ devices { totalCount } }"])
def test_an_answer_that_takes_too_long_is_a_timeout_and_the_next_is_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """The first time graphql-core reads, then the plan; by a query of its own or by a loader."""
    moving = Moving(database_url)
    asyncio.run(moving.mine(*minted(1)))
    moving.close()

    def find_for_ever(context: Context, *_: Any) -> Any:
        return context.read.now(run_for_ever)

    def read_for_ever(connection: Connection, *_: Any) -> Any:
        return run_for_ever(connection)

    hurried = SimpleNamespace(**vars(asyncio) | {"timeout": lambda seconds: asyncio.timeout(seconds / 100)})
    with serving(Settings(database_url=database_url, max_seconds=50, cache_bytes=0)) as url:
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr("api.graphql.roots.lookups.find_all", find_for_ever)
                patch.setattr("api.reading.read.counts", read_for_ever)
                patch.setattr("api.answering.answers.asyncio", hurried)  # for these requests alone
                for _ in range(2):
                    slow = CLIENT.post(f"{url}/graphql", json={"query": query}, timeout=60)
                    assert slow.status_code == 503
                    assert slow.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
            assert CLIENT.post(f"{url}/graphql", json={"query": query}, timeout=60).status_code == 200
