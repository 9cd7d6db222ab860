"""What a request costs the database: nothing if it is refused, and once if many send the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from api.graphql.limits import Limits
from api.graphql.request import GraphQLRequest
from api.graphql.schema import build_schema
from schema.tables.database import connect
from tests.support.api.answering import OwnAnswers, respond
from tests.support.api.feeding import Moving, minted

DEVICES = 5
LIMITS = Limits(cost=100, depth=5, aliases=3)


class CountedAnswers:
    """Answers over a database; they count SQL `statements`, `snapshots`, and connections that only read `revisions`."""

    def __init__(self, engine: Engine, cache_bytes: int = 10**6) -> None:
        self.statements: list[str] = []
        self.snapshots = self.revisions = 0
        self.answers = OwnAnswers(engine, build_schema(limits=LIMITS), cache_bytes=cache_bytes)
        self._slots = asyncio.Semaphore(4)
        event.listen(engine, "before_cursor_execute", lambda *arguments: self.statements.append(arguments[2]))
        event.listen(engine, "begin", self._note_snapshot)
        event.listen(engine, "detach", self._note_revisions)

    async def ask(self, query: str, **variables: Any) -> Any:
        request = GraphQLRequest(query, variables)
        return await respond(self.answers, request, self._slots)

    def forget(self) -> None:
        self.statements.clear()
        self.snapshots = 0

    def _note_snapshot(self, *_: Any) -> None:
        self.snapshots += 1

    def _note_revisions(self, *_: Any) -> None:
        self.revisions += 1


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    url = f"sqlite:///{tmp_path / 'devices.db'}"
    moving = Moving(url)
    await moving.mine(*(log for token in range(1, DEVICES + 1) for log in minted(token)))
    moving.close()
    engine = connect(url, read_only=True)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ devices(first: 99) { nodes { history { nodes { kind } } } } }", "MAX_COST_EXCEEDED"),
        ("{ a: __typename b: __typename c: __typename d: __typename }", "MAX_COST_EXCEEDED"),
        (
            "{ devices(first: 1) { nodes { manufacturer { devices(first: 1) { nodes { id } } } } } }",
            "MAX_DEPTH_EXCEEDED",
        ),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_a_refused_request_does_not_read_the_database(engine: Engine, query: str, code: str) -> None:
    answers = CountedAnswers(engine)
    for _ in range(3):
        answer = await answers.ask(query)
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
    assert (answers.snapshots, answers.statements) == (0, [])
    await answers.answers.close()


async def test_revisions_are_read_only_if_an_answer_is_kept(engine: Engine) -> None:
    answers = CountedAnswers(engine)
    query = "query Q($id: BigInt!) { device(by: {tokenId: $id}) { tokenId } }"
    for id in range(1, DEVICES + 1):
        assert (await answers.ask(query, id=id))["data"] == {"device": {"tokenId": str(id)}}
    assert (answers.snapshots, answers.revisions) == (DEVICES, 0)
    await answers.ask(query, id=1)
    assert (answers.snapshots, answers.revisions) == (DEVICES, 1)
    await answers.answers.close()


async def test_of_many_equal_requests_at_once_one_reads_the_database(engine: Engine) -> None:
    answers = CountedAnswers(engine)
    query = "{ devices { totalCount } }"
    for _ in range(2):
        await answers.ask(f"{query} # known")
    answers.forget()
    responses = await asyncio.gather(*(answers.ask(query) for _ in range(20)))
    assert responses == [responses[0]] * 20
    assert responses[0]["data"] == {"devices": {"totalCount": DEVICES}}
    assert sum("count(*)" in statement for statement in answers.statements) == 1
    await answers.answers.close()


async def test_requests_that_wait_for_another_are_answered_when_it_is_cancelled(engine: Engine) -> None:
    answers = CountedAnswers(engine)
    query = "{ devices { totalCount } }"
    first = asyncio.create_task(answers.ask(query))
    others = [asyncio.create_task(answers.ask(query)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    for other in others:
        assert (await other)["data"] == {"devices": {"totalCount": DEVICES}}
    await answers.answers.close()


async def test_answers_that_depend_on_the_clock_are_read_by_each_request(engine: Engine) -> None:
    answers = CountedAnswers(engine)
    responses = await asyncio.gather(*(answers.ask("{ _meta { chains { chainId } } }") for _ in range(5)))
    assert all("errors" not in answer for answer in responses)
    assert answers.snapshots == len(responses)
    await answers.answers.close()


async def test_look_ups_by_token_id_share_their_statements(engine: Engine) -> None:
    answers = CountedAnswers(engine, cache_bytes=0)
    query = (
        "{ a: device(by: {tokenId: 1}) { id } b: device(by: {tokenId: 2}) { id } c: device(by: {tokenId: 9}) { id } }"
    )
    for _ in range(2):
        answers.forget()
        answer = await answers.ask(query)
        assert [answer["data"][name] is None for name in "abc"] == [False, False, True]
        # one for the ids, one for the devices
        assert len([statement for statement in answers.statements if "device" in statement]) == 2
    await answers.answers.close()
