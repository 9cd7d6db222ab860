"""WS_URL: an announced block is indexed at once, and polling goes on whatever the socket does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import Engine, text
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from indexer.follower import Follower, heads
from indexer.observe.metrics import ChainCollector
from indexer.observe.status import chain_statuses
from indexer.opening import FollowedChain, open_chain
from indexer.rpc import head_socket
from tests.support.chain.factory import Factory
from tests.support.index.verifying import settings_for

NEVER = 3_600.0
OFTEN = 0.05
PATIENCE = 60
KEY = "a-secret-key"

Behaviour = Callable[["Node", ServerConnection], Awaitable[None]]
"""What a node does on a socket once its client has subscribed."""


class Node:
    """A WebSocket server of our own. `connections` counts those that were opened, `asked` the methods."""

    def __init__(self, behaviour: Behaviour, *, chain_id: int = 31337) -> None:
        self.behaviour = behaviour
        self.chain_id = chain_id
        self.connections = 0
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, socket: ServerConnection) -> None:
        self.connections += 1
        with suppress(ConnectionClosed):
            await self.answer(socket, hex(self.chain_id))
            await self.answer(socket, "0x5ub")
            await self.behaviour(self, socket)

    async def answer(self, socket: ServerConnection, result: str) -> None:
        request = json.loads(await socket.recv())
        self.asked.append(request["method"])
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))

    async def announce(self, socket: ServerConnection, number: str) -> None:
        notice = {"subscription": "0x5ub", "result": {"number": number, "hash": "0x" + "ab" * 32}}
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": notice}))


@asynccontextmanager
async def node_that(behaviour: Behaviour, **options: Any) -> AsyncIterator[Node]:
    node = Node(behaviour, **options)
    async with serve(node.serve, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        node.url = f"ws://127.0.0.1:{port}/v2/{KEY}"
        yield node


async def silence(node: Node, socket: ServerConnection) -> None:
    await socket.wait_closed()


@asynccontextmanager
async def following(
    factory: Factory, database_url: str, ws_url: str, *, poll: float = NEVER, **changes: Any
) -> AsyncIterator[tuple[Follower, FollowedChain]]:
    """Follow the chain as `certindex run` does."""
    opened = await open_chain(settings_for(factory, database_url, **changes))
    follower = Follower(opened, poll, verify=False, keep_proofs=False, ws_url=ws_url)
    running = asyncio.create_task(follower.run())
    try:
        yield follower, opened
        assert not running.done(), running.result()
    finally:
        follower.stop()
        await running
        await opened.pool.close()
        opened.engine.dispose()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # what is waited for is in a database
            await asyncio.sleep(0.01)


def indexed(engine: Engine) -> int:
    with engine.begin() as connection:
        found: int = connection.execute(text("SELECT indexed_number FROM chain")).scalar_one()
    return found


def told(engine: Engine) -> str:
    """Return what `certindex status` says of new heads."""
    with engine.begin() as connection:
        lines = chain_statuses(connection, None)[0].to_text().split("\n")
    return "".join(line for line in lines if line.startswith("  new heads"))


def metrics(follower: Follower) -> dict[str, float]:
    opened = follower.opened
    collected = ChainCollector(opened.engine, opened.chain_id, opened.pool, follower.counters).collect()
    return {sample.name: sample.value for family in collected for sample in family.samples}


async def test_a_block_that_is_announced_is_indexed_though_nobody_polls(factory: Factory, database_url: str) -> None:
    ws_url = factory.chain.url.replace("http", "ws")
    async with following(factory, database_url, ws_url) as (follower, opened):
        await until(lambda: follower.counters.socket_connected and indexed(opened.engine) == factory.chain.block_number)
        for _ in range(3):
            await asyncio.to_thread(factory.chain.mine)
            await until(lambda: indexed(opened.engine) == factory.chain.block_number)
        assert told(opened.engine) == f"  new heads  from {ws_url}"
        found = metrics(follower)
        assert (found["certindex_socket_connected"], found["certindex_socket_drops_total"]) == (1, 0)
        assert found["certindex_socket_heads_total"] >= 3


async def test_a_head_that_is_announced_before_the_polled_node_has_it_is_asked_for_again(
    factory: Factory, sqlite_url: str
) -> None:
    """The socket may be another node than the one that is polled, and ahead of it."""
    subscribed = asyncio.Event()
    announced = asyncio.Event()

    async def announce_early(node: Node, socket: ServerConnection) -> None:
        await subscribed.wait()
        await node.announce(socket, hex(factory.chain.block_number + 1))
        announced.set()
        await socket.wait_closed()

    async with node_that(announce_early) as node, following(factory, sqlite_url, node.url) as (follower, opened):
        steps = follower.counters.steps
        await until(lambda: follower.counters.socket_connected and "UpToDate" in steps)
        looked = steps["UpToDate"]
        subscribed.set()
        await announced.wait()
        # one look may be the subscription's, one is the announcement's: a third is not asked for by anyone else
        await until(lambda: steps["UpToDate"] > looked + 2)
        await asyncio.to_thread(factory.chain.mine)
        await until(lambda: indexed(opened.engine) == factory.chain.block_number)


async def test_a_socket_that_is_silent_is_given_up_while_polling_goes_on(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(head_socket, "SHORTEST_QUIET_SECONDS", 0.1)
    monkeypatch.setattr(head_socket, "GRACE_SECONDS", 0.1)
    async with (
        node_that(silence) as node,
        following(factory, sqlite_url, node.url, poll=OFTEN) as (follower, opened),
    ):
        await until(lambda: follower.counters.socket_connected and indexed(opened.engine) == factory.chain.block_number)
        await asyncio.sleep(0.3)
        assert (node.connections, follower.counters.socket_drops) == (1, 0), "a chain that stands still is no silence"
        async with asyncio.timeout(PATIENCE):
            while node.connections == 1:
                await asyncio.to_thread(factory.chain.mine)
                await until(lambda: indexed(opened.engine) == factory.chain.block_number)
        assert follower.counters.socket_drops >= 1
        assert any("did not announce block" in line for line in caplog.messages)


async def test_a_socket_that_goes_quiet_is_polled_for_and_left(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else polls: the poll interval is an hour."""
    monkeypatch.setattr(head_socket, "SHORTEST_QUIET_SECONDS", 0.2)
    monkeypatch.setattr(head_socket, "GRACE_SECONDS", 0.1)
    quiet = asyncio.Event()

    async def announce_until_quiet(node: Node, socket: ServerConnection) -> None:
        if node.connections == 1:
            for _ in range(3):
                await asyncio.to_thread(factory.chain.mine)
                await node.announce(socket, hex(factory.chain.block_number))
        quiet.set()
        await socket.wait_closed()

    async with node_that(announce_until_quiet) as node, following(factory, sqlite_url, node.url) as (follower, opened):
        await quiet.wait()
        for _ in range(3):
            await asyncio.to_thread(factory.chain.mine)
            await until(lambda: indexed(opened.engine) == factory.chain.block_number)
        await until(lambda: node.connections > 1)
        assert follower.counters.socket_drops >= 1
    assert_said("it did not announce block", caplog)


async def test_while_no_socket_connects_heads_are_polled(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "FALLBACK_SECONDS", 0.1)
    async with following(factory, sqlite_url, "ws://127.0.0.1:1") as (follower, opened):
        await until(lambda: follower.counters.socket_drops)
        for _ in range(3):
            await asyncio.to_thread(factory.chain.mine)
            await until(lambda: indexed(opened.engine) == factory.chain.block_number)


async def drop(node: Node, socket: ServerConnection) -> None:
    await socket.close()


async def break_off(node: Node, socket: ServerConnection) -> None:
    socket.transport.abort()


async def say_nonsense(node: Node, socket: ServerConnection) -> None:
    await socket.send("<html>Welcome to nginx!</html>")
    await socket.wait_closed()


async def say_bytes(node: Node, socket: ServerConnection) -> None:
    await socket.send(b"\xff\xfe\x00")
    await socket.wait_closed()


async def say_what_was_not_asked(node: Node, socket: ServerConnection) -> None:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 7, "result": "0x1"}))
    await socket.wait_closed()


async def count_beyond_all_blocks(node: Node, socket: ServerConnection) -> None:
    await node.announce(socket, hex(2**64))
    await socket.wait_closed()


async def count_in_words(node: Node, socket: ServerConnection) -> None:
    await node.announce(socket, "seven")
    await socket.wait_closed()


async def say_too_much(node: Node, socket: ServerConnection) -> None:
    await socket.send("x" * 2**21)
    await socket.wait_closed()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (drop, "received 1000"),
        (break_off, "no close frame"),
        (say_nonsense, "Welcome to nginx!.*not a JSON-RPC message"),
        (say_bytes, "not a JSON-RPC message"),
        (say_what_was_not_asked, "a message that belongs to no subscription"),
        (count_beyond_all_blocks, "0x10000000000000000' instead of a block number"),
        (count_in_words, "'seven' instead of a block number"),
        (say_too_much, "1009"),
    ],
)
async def test_a_socket_that_fails_is_told_and_opened_again_while_polling_goes_on(
    behaviour: Behaviour, words: str, factory: Factory, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        node_that(behaviour) as node,
        following(factory, sqlite_url, node.url, poll=OFTEN) as (follower, opened),
    ):
        await until(lambda: node.connections > 1)
        await asyncio.to_thread(factory.chain.mine, 1)
        await until(lambda: indexed(opened.engine) == factory.chain.block_number)
        await until(lambda: "by polling; ws://127.0.0.1" in told(opened.engine))
        assert metrics(follower)["certindex_socket_drops_total"] >= 1
    assert_said(words, caplog)


def assert_said(words: str, caplog: pytest.LogCaptureFixture) -> None:
    assert re.search(f"polling continues: ws://127.0.0.1:[0-9]+/\\.\\.\\.: .*{words}", caplog.text), caplog.text
    assert KEY not in caplog.text


async def test_a_socket_of_another_network_is_never_listened_to(
    factory: Factory, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        node_that(silence, chain_id=5) as node,
        following(factory, sqlite_url, node.url, poll=OFTEN) as (follower, opened),
    ):
        await until(lambda: node.connections > 1)
        await until(lambda: indexed(opened.engine) == factory.chain.block_number)
        assert set(node.asked) == {"eth_chainId"}
        assert not follower.counters.socket_connected
    assert_said("it is a node of chain 5, not of chain 31337", caplog)


async def test_a_node_that_takes_no_subscriptions_or_no_clients_is_told_without_its_key(
    factory: Factory, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(socket: ServerConnection, request: Request) -> Response:
        return socket.respond(HTTPStatus.UNAUTHORIZED, f"invalid key {KEY}\n")

    async with serve(silence, "127.0.0.1", 0, process_request=refuse) as server:  # type: ignore[arg-type]  # never called
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v2/{KEY}"
        async with following(factory, sqlite_url, url, poll=OFTEN) as (follower, opened):
            await until(lambda: follower.counters.socket_drops > 2)
            await until(lambda: indexed(opened.engine) == factory.chain.block_number)
            assert KEY not in told(opened.engine)
    assert_said("HTTP 401", caplog)
    assert caplog.text.count("HTTP 401") == 1, "it is told once, however often it happens"


async def test_a_socket_that_comes_back_is_listened_to_again(factory: Factory, sqlite_url: str) -> None:
    mined = asyncio.Event()

    async def drop_the_first(node: Node, socket: ServerConnection) -> None:
        if node.connections > 1:
            await mined.wait()
            await node.announce(socket, hex(factory.chain.block_number))
            await socket.wait_closed()

    async with node_that(drop_the_first) as node, following(factory, sqlite_url, node.url) as (follower, opened):
        await until(lambda: node.connections == 2 and follower.counters.socket_connected)
        await asyncio.to_thread(factory.chain.mine)
        mined.set()
        await until(lambda: indexed(opened.engine) == factory.chain.block_number)
