"""Cached answers are returned as long as the database is unchanged, and not longer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from api.answering import answers as module
from api.answering.answers import Answers
from api.graphql.execution import Prepared, execute_compiled, execute_ordinary
from api.graphql.request import GraphQLRequest
from api.settings import Settings
from indexer.proof.judge import NoEvidence, Verified
from indexer.store.verification import VerificationStore
from schema.tables.database import connect
from tests.support.api.answering import OwnAnswers, respond
from tests.support.api.asking import SCHEMA
from tests.support.api.feeding import Moving, minted, sold, updated
from tests.support.api.server import CLIENT, serving
from tests.support.chain.fakechain import FakeBlock

COUNT = "{ devices { totalCount } }"


class CountedAnswers:
    """Answers over a database, with one slot, which count the executions of each query."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.executed: Counter[str] = Counter()
        self._slots = asyncio.Semaphore(1)

    async def ask(self, query: str, operation_name: str | None = None, **variables: Any) -> Any:
        request = GraphQLRequest(query, variables or None, operation_name)
        return await respond(self.answers, request, self._slots)


@asynccontextmanager
async def answers_of(
    url: str, monkeypatch: pytest.MonkeyPatch, cache_bytes: int = 10**6
) -> AsyncIterator[CountedAnswers]:
    engine = connect(url, read_only=True)
    counted = CountedAnswers(OwnAnswers(engine, SCHEMA, cache_bytes=cache_bytes))

    async def by_graphql_core(schema: Any, prepared: Prepared, context: Any) -> Any:
        counted.executed[prepared.document.text] += 1
        return await execute_ordinary(schema, prepared, context)

    def by_a_plan(schema: Any, prepared: Prepared, context: Any) -> Any:
        responses = execute_compiled(schema, prepared, context)
        counted.executed[prepared.document.text] += responses is not None
        return responses

    monkeypatch.setattr(module, "execute_ordinary", by_graphql_core)
    monkeypatch.setattr(module, "execute_compiled", by_a_plan)
    yield counted
    await counted.answers.close()
    engine.dispose()


async def test_a_kept_answer_is_replaced_when_a_block_was_added_and_only_then(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = Moving(database_url)
    await moving.mine(*minted(1))
    async with answers_of(database_url, monkeypatch) as counted:
        for _ in range(3):
            assert (await counted.ask(COUNT))["data"]["devices"]["totalCount"] == 1
        assert counted.executed[COUNT] == 1
        await moving.mine(*minted(2))
        for _ in range(3):
            assert (await counted.ask(COUNT))["data"]["devices"]["totalCount"] == 2
        assert counted.executed[COUNT] == 2
    moving.close()


async def test_requests_that_differ_have_their_own_answers(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = Moving(sqlite_url)
    await moving.mine(*minted(1), *minted(2))
    async with answers_of(sqlite_url, monkeypatch) as counted:
        query = "query A($id: BigInt!) { device(by: {tokenId: $id}) { tokenId } } query B { devices { totalCount } }"
        for _ in range(2):
            assert (await counted.ask(query, "A", id=1))["data"] == {"device": {"tokenId": "1"}}
            assert (await counted.ask(query, "A", id="2"))["data"] == {"device": {"tokenId": "2"}}
            assert (await counted.ask(query, "B"))["data"] == {"devices": {"totalCount": 2}}
            assert "errors" in await counted.ask(query, "A", id=True)
            assert "errors" in await counted.ask(query, "A", id=1.5)
    moving.close()


@pytest.mark.parametrize(
    "query",
    ["{ _meta { version } }", "{ ...M } fragment M on Query { devices { totalCount } m: _meta { chains { synced } } }"],
)
async def test_answers_that_depend_on_the_clock_are_never_kept(
    sqlite_url: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = Moving(sqlite_url)
    await moving.mine(*minted(1))
    async with answers_of(sqlite_url, monkeypatch) as counted:
        for _ in range(3):
            assert "data" in await counted.ask(query)
        assert counted.executed[query] == 3
    moving.close()


async def test_refusals_and_failures_are_never_kept(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = Moving(sqlite_url)
    await moving.mine(*minted(1))
    partly = "{ devices { totalCount } bad: devices(first: 500) { totalCount } }"
    async with answers_of(sqlite_url, monkeypatch) as counted:
        for query in (partly, "{ nothing }"):
            for _ in range(2):
                assert "errors" in await counted.ask(query)
        assert counted.executed[partly] == 2
        assert counted.answers._kept.currsize == 0
    moving.close()


async def test_kept_answers_are_bounded_by_their_bytes(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = Moving(sqlite_url)
    await moving.mine(*minted(1))
    async with answers_of(sqlite_url, monkeypatch, cache_bytes=20_000) as counted:
        for number in range(50):
            await counted.ask(f"{{ a{number}: devices {{ totalCount }} }}")
            await counted.ask(COUNT)
        assert counted.executed[COUNT] == 1
        assert 5_000 < counted.answers._kept.currsize <= 20_000
    async with answers_of(sqlite_url, monkeypatch, cache_bytes=0) as counted:
        for _ in range(2):
            await counted.ask(COUNT)
        assert counted.executed[COUNT] == 2
    moving.close()


# The law

QUESTION = """{
  devices { totalCount nodes { ...D } }
  then: device(by: {tokenId: 1}, asOf: {timestamp: "2023-11-14T22:13:44Z"}) { ...D }
  changes(first: 100) { hasMore endCursor messages { cursor retracted event { id finality verification } } }
  final: changes(first: 100, finality: FINALIZED) { messages { cursor event { id } } }
  orphanedEvents { totalCount }
  lifecycleEvents(filterBy: {finality: {eq: FINALIZED}}) { totalCount nodes { verificationNote } }
}
fragment D on Device { id owner firmware { version } asOf { number hash finality } history { totalCount } }"""
LOGS = {"mint 1": minted(1), "mint 2": minted(2), "update": [updated(1), updated(2)], "sale": [sold(1)], "nothing": []}
BRANCH = st.lists(st.sampled_from(sorted(LOGS)), min_size=1, max_size=3)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("mine"), BRANCH),
        st.tuples(st.just("reorg"), st.integers(1, 3), BRANCH),
        st.tuples(st.sampled_from(["step", "verify", "doubt", "rebuild", "restart", "take_back"])),
    ),
    min_size=5,
    max_size=7,
)


class World:
    """A chain and its index, to which anything may happen that a writer does."""

    def __init__(self, url: str) -> None:
        self.moving = Moving(url, finality=3)
        self.node, self.indexer = self.moving.node, self.moving.indexer
        self.levels = VerificationStore(self.indexer.engine, self.node.chain_id)

    async def mine(self, branch: list[str]) -> None:
        for logs in branch:
            await self.moving.mine(*LOGS[logs])

    async def reorg(self, depth: int, branch: list[str]) -> None:
        if depth <= self.node.head.number - self.node.finalized_number:
            await self.moving.reorg(depth, *(LOGS[logs] for logs in branch))

    async def step(self) -> None:
        self.node.mine()
        await self.indexer.step()

    async def verify(self) -> None:
        self.levels.record((block, Verified(b"\xc0", ())) for block in self.levels.blocks(0, 100, 1))

    async def doubt(self) -> None:
        self.levels.record((block, NoEvidence("receipts are gone")) for block in self.levels.blocks(0, 100, 2))

    async def rebuild(self) -> None:
        self.indexer.rebuild()

    async def restart(self) -> None:
        self.indexer.restart()

    async def take_back(self) -> None:
        store = self.indexer.store
        store.roll_back_to(store.checkpoint(), max(0, store.checkpoint().number - 2))


@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(acts=ACTS)
def test_after_any_write_a_kept_answer_equals_the_one_that_would_be_read(module_database_url: str, acts: Any) -> None:
    asyncio.run(_play(module_database_url, acts))


async def _play(url: str, acts: list[tuple[Any, ...]]) -> None:
    world = World(url)
    engine = connect(url, read_only=True)
    keeping, reading = (OwnAnswers(engine, SCHEMA, cache_bytes=size) for size in (10**7, 0))
    request, slots = GraphQLRequest(QUESTION), asyncio.Semaphore(1)
    try:
        for act, *arguments in [("mine", ["mint 1"]), *acts]:
            await getattr(world, act)(*arguments)
            expected = await respond(reading, request, slots)
            for _ in range(2):
                assert await respond(keeping, request, slots) == expected, act
    finally:
        await keeping.close()
        await reading.close()
        engine.dispose()
        world.indexer.lease.release()
        with world.indexer.engine.begin() as connection:
            for table in SQLModel.metadata.sorted_tables:
                connection.execute(table.delete())
        world.moving.close()


# Over HTTP


def test_no_answer_is_older_than_its_request_while_the_chain_grows_and_reorgs(database_url: str) -> None:
    history = DatabaseStates(Moving(database_url))
    stale: list[Any] = []
    done = False

    def read(url: str) -> None:
        with httpx.Client(timeout=60) as client:
            while not done:
                least = history.stored
                answer = client.post(f"{url}/graphql", json={"query": COUNT}).json()
                state = (answer["extensions"]["asOf"][0]["hash"], answer["data"]["devices"]["totalCount"])
                if state not in history.states[least:]:
                    stale.append((history.states[least], state))

    with serving(Settings(database_url=database_url)) as url:
        readers = [Thread(target=read, args=[url]) for _ in range(4)]
        for reader in readers:
            reader.start()
        for number in range(2, 30):
            asyncio.run(history.reorg(number) if number % 7 == 0 else history.grow(number))
        done = True
        for reader in readers:
            reader.join()
    history.moving.close()
    assert stale == []


class DatabaseStates:
    """The states that a database goes through: hash and number of devices. Those before `stored` are over."""

    def __init__(self, moving: Moving) -> None:
        self.moving = moving
        self.states: list[tuple[str, int]] = []
        self.stored = 0
        asyncio.run(self.grow(1))

    async def grow(self, number: int) -> None:
        self.moving.node.mine(*minted(number))
        self._note(self.moving.node.blocks)
        await self._index()

    async def reorg(self, number: int) -> None:
        self.moving.node.reorg(1, minted(number), minted(100 + number))
        for height in (-2, -1, len(self.moving.node.blocks)):
            self._note(self.moving.node.blocks[:height])
        await self._index()

    async def _index(self) -> None:
        await self.moving.indexer.catch_up()
        self.stored = len(self.states) - 1

    def _note(self, blocks: list[FakeBlock]) -> None:
        self.states.append(("0x" + blocks[-1].hash.hex(), sum(len(block.logs) for block in blocks) // 2))


def test_a_client_gets_304_until_the_next_block(database_url: str) -> None:
    moving = Moving(database_url)
    asyncio.run(moving.mine(*minted(1)))
    with serving(Settings(database_url=database_url)) as url:

        def ask(**headers: str) -> httpx.Response:
            return CLIENT.get(f"{url}/graphql", params={"query": COUNT}, headers=headers)

        first = ask()
        assert ask(**{"if-none-match": first.headers["etag"]}).status_code == 304
        asyncio.run(moving.mine(*minted(2)))
        second = ask(**{"if-none-match": first.headers["etag"]})
    moving.close()
    assert (second.status_code, second.json()["data"]) == (200, {"devices": {"totalCount": 2}})
    assert second.headers["etag"] != first.headers["etag"]
