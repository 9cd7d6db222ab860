"""Queries that wait for a block, as a program needs after it has sent a transaction."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api.graphql.inputs.min_block import HEADER
from api.settings import Settings
from tests.support.api.asking import Json
from tests.support.api.feeding import Moving, minted
from tests.support.api.server import CLIENT, serving
from tests.support.chain.fakechain import FakeNode
from tests.support.index.indexing import Indexer, open_engine

META = """query ($block: BigInt, $chain: BigInt) { _meta(minBlock: $block, chainId: $chain) {
  chains { indexed { number } } } devices { totalCount } }"""
COUNT = "{ devices { totalCount } }"


class Growing(Moving):
    """A chain whose next blocks are indexed while somebody waits, in a thread of their own."""

    @contextmanager
    def soon(self, *blocks: Any) -> Iterator[None]:
        def grow() -> None:
            for logs in blocks:
                asyncio.run(self.mine(*logs))

        later = threading.Timer(0.3, grow)
        later.start()
        yield
        later.join()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy: what is waited for comes."""
    monkeypatch.setattr("api.answering.answers.WAIT_SECONDS", 60.0)


@pytest.fixture
def growing(database_url: str) -> Iterator[Growing]:
    chain = Growing(database_url)
    asyncio.run(chain.mine(*minted(1)))
    yield chain
    chain.close()


@pytest.fixture
def address(growing: Growing) -> Iterator[str]:
    with serving(Settings(database_url=growing.url, max_lag_seconds=10**9, max_seconds=60)) as address:
        yield f"{address}/graphql"


def post(address: str, query: str, variables: Json | None = None, min_block: str | None = None) -> httpx.Response:
    body = json.dumps({"query": query, "variables": variables or {}})
    headers = {"content-type": "application/json", "accept": "application/graphql-response+json"}
    return CLIENT.post(address, content=body, headers=headers | ({} if min_block is None else {HEADER: min_block}))


def total(response: httpx.Response) -> int:
    assert response.status_code == 200, response.text
    count: int = response.json()["data"]["devices"]["totalCount"]
    return count


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    (error,) = response.json()["errors"]
    return response.status_code, error["extensions"]["code"], error["extensions"].get("reason")


def test_a_request_waits_for_its_block_and_answers_at_it(growing: Growing, address: str) -> None:
    with growing.soon(minted(2), minted(3)):
        response = post(address, META, {"block": "3"})
    assert total(response) == 3
    assert response.json()["data"]["_meta"]["chains"][0]["indexed"]["number"] == "3"
    assert response.json()["extensions"]["asOf"][0]["number"] == "3"


@pytest.mark.parametrize("named", [False, True])
def test_the_header_waits_as_well(growing: Growing, address: str, named: bool) -> None:
    prefix = f"{growing.node.chain_id}:" if named else ""
    assert total(post(address, COUNT)) == 1
    with growing.soon(minted(2)):
        assert total(post(address, COUNT, min_block=f"{prefix}2")) == 2
    got = CLIENT.get(address, params={"query": COUNT}, headers={"X-Min-Block": f"{prefix}2"})
    assert total(got) == 2


def test_a_block_that_is_indexed_is_not_waited_for(growing: Growing, address: str) -> None:
    assert total(post(address, META, {"block": "1", "chain": str(growing.node.chain_id)})) == 1
    assert total(post(address, COUNT, min_block="0")) == 1


def test_a_block_that_does_not_come_is_not_ready(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.answering.answers.WAIT_SECONDS", 0.3)
    assert refusal(post(address, META, {"block": "5"})) == (503, "NOT_READY", None)
    late = post(address, COUNT, min_block="5")
    assert refusal(late) == (503, "NOT_READY", None)
    assert "Block 5 of chain" in late.json()["errors"][0]["message"]
    assert total(post(address, COUNT)) == 1


def test_a_block_that_a_reorg_removed_is_waited_for_again(growing: Growing, address: str) -> None:
    asyncio.run(growing.mine(*minted(2)))
    growing.node.reorg(2, minted(3), same_length=False)
    asyncio.run(growing.indexer.catch_up())
    with growing.soon(minted(4), minted(5)):
        assert total(post(address, META, {"block": "2"})) in (2, 3)


def test_a_waiting_request_holds_no_connection(growing: Growing, address: str) -> None:
    async def ask() -> tuple[list[httpx.Response], httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            body = {"query": META, "variables": {"block": "2"}}
            waiting = [asyncio.create_task(client.post(address, json=body)) for _ in range(20)]
            await asyncio.sleep(0.2)
            other = await client.post(address, json={"query": COUNT})
            assert [task.result().text for task in waiting if task.done()] == []
            with growing.soon(minted(2)):
                return [await task for task in waiting], other

    answers, other = asyncio.run(ask())
    assert total(other) == 1
    assert {total(answer) for answer in answers} == {2}


def test_a_block_that_cannot_come_soon_is_refused_at_once(address: str) -> None:
    for block, message in (
        ("66", "waits for blocks up to 65"),
        ("-1", "from 0"),
        ("9" * 40, "waits for blocks up to 65"),
    ):
        response = post(address, META, {"block": block})
        assert refusal(response)[1:] == ("BAD_USER_INPUT", None)
        assert message in response.json()["errors"][0]["message"]


def test_a_header_that_names_no_block_to_come_is_refused(sqlite_url: str) -> None:
    growing = Growing(sqlite_url)
    asyncio.run(growing.mine(*minted(1)))
    with serving(Settings(database_url=sqlite_url)) as address:
        for header in ("", "x", "-1", "1:2:3", "1:", ":1", "1.5", "0x10", "²", "9" * 20, "7:1", "99"):
            response = CLIENT.post(
                f"{address}/graphql", json={"query": COUNT}, headers={HEADER.encode(): header.encode()}
            )
            assert refusal(response)[1] == "BAD_USER_INPUT"
            assert response.status_code < 500
            assert HEADER in response.json()["errors"][0]["message"]
    growing.close()


def test_among_several_networks_the_chain_is_named(database_url: str) -> None:
    engine = open_engine(database_url)
    chains = [FakeNode(), FakeNode()]
    for node in chains:
        node.mine_blocks(3)
        asyncio.run(Indexer(engine, node).catch_up())
    with serving(Settings(database_url=database_url)) as address:
        url = f"{address}/graphql"
        response = post(url, META, {"block": "1"})
        assert refusal(response) == (400, "BAD_USER_INPUT", "AMBIGUOUS")
        assert str(chains[0].chain_id) in response.json()["errors"][0]["message"]
        response = post(url, META, {"block": "3", "chain": str(chains[1].chain_id)})
        assert [chain["indexed"]["number"] for chain in response.json()["data"]["_meta"]["chains"]] == ["3"]
        response = post(url, META, {"block": "1", "chain": "5"})
        assert refusal(response) == (400, "BAD_USER_INPUT", None)
        assert "not indexed here" in response.json()["errors"][0]["message"]
    engine.dispose()


def test_a_block_that_is_not_selected_is_not_waited_for(growing: Growing, address: str) -> None:
    query = """query ($block: BigInt, $wait: Boolean!) { ...M devices { totalCount } }
      fragment M on Query { m: _meta(minBlock: $block) @include(if: $wait) { version } }"""
    assert total(post(address, query, {"block": "5", "wait": False})) == 1
    with growing.soon(minted(2), minted(3)):
        assert total(post(address, query, {"block": "3", "wait": True})) == 3
