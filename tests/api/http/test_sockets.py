"""Subscriptions over WebSocket: their messages, and the refusals."""

import asyncio
import gc
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.settings import Settings
from indexer.sync.step import Pace
from tests.support.api.feeding import Copy, Moving, minted, sold, updated
from tests.support.api.live import BLOCKS, EVENTS, PATIENCE, PROTOCOL, Socket, acknowledged, cut_off, has_room, opened
from tests.support.api.server import serving

RAW = "subscription ($after: String) { lifecycleEvents(after: $after) { cursor retracted event { id raw { data } } } }"
KINDS = "subscription { lifecycleEvents { event { kind } } }"


@pytest.fixture(scope="module")
def shared(module_database_url: str) -> Iterator[tuple[Moving, str]]:
    moving = Moving(module_database_url, finality=30)
    settings = Settings(database_url=moving.url, max_subscriptions=5, max_connections=30)
    with serving(settings) as address:
        yield moving, address
    moving.close()


@pytest.fixture
def moving(shared: tuple[Moving, str]) -> Moving:
    """A chain that grows from test to test; each begins with a life of the indexer of its own."""
    shared[0].indexer.pace = Pace()
    shared[0].indexer.restart()
    return shared[0]


@pytest.fixture
def address(shared: tuple[Moving, str]) -> str:
    return shared[1]


def kinds(messages: list[Any]) -> list[tuple[str, bool]]:
    return [(message["event"]["kind"], message["retracted"]) for message in messages]


async def started(socket: Socket, id: str, moving: Moving) -> None:
    """Mines until a subscription to blocks sends the newest: from then on it sends every block."""
    await socket.begun(id, moving.mine)
    while (await socket.next(id, "blockIndexed"))["number"] != str(moving.node.head.number):
        pass


async def test_events_are_sent_from_the_subscription_on(moving: Moving, address: str) -> None:
    await moving.mine(*minted(1))
    async with acknowledged(address) as socket:
        await socket.subscribe("a", EVENTS)
        await socket.begun("a", lambda: moving.mine(sold(1)))
        assert (await socket.next("a"))["event"]["kind"] == "DEVICE_TRANSFERRED"
        block = await moving.mine(updated(1), updated(1))
        numbers = [(await socket.next("a"))["event"]["block"]["number"]]
        while numbers.count(str(block.number)) < 2:
            numbers.append((await socket.next("a"))["event"]["block"]["number"])
        await moving.mine()
        await moving.mine(*minted(2))
        messages = await socket.some("a", 2)
        assert kinds(messages) == [("DEVICE_TRANSFERRED", False), ("DEVICE_MINTED", False)]
        assert messages[0]["event"]["device"] == {"tokenId": "2"}


async def test_each_response_has_the_block_that_it_reads(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.begin("a")
        block = await moving.mine(updated(1))
        payload = (await socket.receive("a"))["payload"]
        assert [at["hash"] for at in payload["extensions"]["asOf"]] == ["0x" + block.hash.hex()]


async def test_a_reorg_sends_retractions_and_a_dropped_client_resumes_with_its_cursor(
    moving: Moving, address: str
) -> None:
    await moving.mine(*minted(1))
    copy = Copy()
    async with acknowledged(address) as socket:
        await socket.begin("a")
        await moving.mine(updated(1, "2.0.0"))
        await moving.mine(updated(1, "3.0.0"), sold(1))
        copy.apply(await socket.some("a", 3))
        await moving.reorg(1, [updated(1, "4.0.0")])
        messages = await socket.some("a", 3)
        assert kinds(messages) == [
            ("DEVICE_TRANSFERRED", True),
            ("FIRMWARE_UPDATED", True),
            ("FIRMWARE_UPDATED", False),
        ]
        assert [message["event"]["finality"] for message in messages] == ["ORPHANED", "ORPHANED", "UNSAFE"]
        copy.apply(messages)
    await moving.reorg(2, [], [sold(1)])
    await moving.reorg(1, [updated(1, "5.0.0")])
    async with acknowledged(address) as socket:
        await socket.subscribe("b", EVENTS, after=copy.cursor)
        copy.apply(await socket.some("b", 3))
        assert copy.ids == moving.ids(lambda block, log: block.number >= moving.node.head.number - 1)
        assert await socket.is_quiet()


async def test_a_client_gets_all_from_the_beginning_and_then_what_comes(moving: Moving, address: str) -> None:
    for _ in range(3):
        await moving.mine(*[updated(1)] * 40)
    async with acknowledged(address) as socket:
        await socket.subscribe("first", "{ changes(first: 1) { messages { cursor event { id } } } }")
        first = (await socket.next("first", "changes"))["messages"][0]
        assert (await socket.receive("first"))["type"] == "complete"
        copy = Copy(events=[(first["event"]["id"], first["cursor"])])
        await socket.subscribe("a", EVENTS, after=first["cursor"])
        copy.apply(await socket.some("a", len(moving.ids()) - 1))
        await moving.mine(updated(2))
        copy.apply(await socket.some("a", 1))
        assert copy.ids == moving.ids()


async def test_only_events_that_match_the_filter_are_sent(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.begin("a", filter={"device": {"tokenId": {"eq": "77"}}})
        await moving.mine(updated(76), updated(77))
        await moving.mine(updated(76))
        await moving.mine(updated(77))
        messages = await socket.some("a", 2)
        assert [message["event"]["device"]["tokenId"] for message in messages] == ["77", "77"]


async def test_final_events_are_sent_when_they_are_final(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        block = await moving.mine(updated(1))
        moving.node.mine_blocks(29)
        await moving.indexer.catch_up()
        after = await socket.end_of_feed(finality="FINALIZED")
        await socket.subscribe("a", EVENTS, after=after, finality="FINALIZED")
        assert await socket.is_quiet()
        await moving.mine()
        event = (await socket.next("a"))["event"]
        assert (event["block"]["number"], event["finality"]) == (str(block.number), "FINALIZED")


async def test_every_new_block_is_sent_and_after_a_reorg_those_of_the_new_branch(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.subscribe("a", BLOCKS, chainId=str(moving.node.chain_id))
        await started(socket, "a", moving)
        mined = [await moving.mine(), await moving.mine(updated(1)), await moving.mine()]
        blocks = await socket.some("a", 3, "blockIndexed")
        assert [block["hash"] for block in blocks] == ["0x" + block.hash.hex() for block in mined]
        await moving.reorg(2, [], [])
        blocks = await socket.some("a", 2, "blockIndexed")
        assert [block["hash"] for block in blocks] == ["0x" + block.hash.hex() for block in moving.node.blocks[-2:]]
        await moving.reorg(1, [], [updated(1)])
        blocks = await socket.some("a", 2, "blockIndexed")
        assert [block["hash"] for block in blocks] == ["0x" + block.hash.hex() for block in moving.node.blocks[-2:]]
        assert await socket.is_quiet()


async def test_an_invalid_operation_does_not_end_the_others(moving: Moving, address: str) -> None:
    wrong: dict[str, tuple[str, dict[str, Any], str]] = {
        "syntax": ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
        "field": ("subscription { nonsense }", {}, "GRAPHQL_VALIDATION_FAILED"),
        "two": (
            "subscription { a: lifecycleEvents { cursor } b: lifecycleEvents { cursor } }",
            {},
            "GRAPHQL_VALIDATION",
        ),
        "cursor": (EVENTS, {"after": "nonsense"}, "BAD_USER_INPUT"),
        "finality": (EVENTS, {"finality": "ORPHANED"}, "BAD_USER_INPUT"),
        "variable": (EVENTS, {"finality": 7}, "BAD_USER_INPUT"),
        "changing": (EVENTS, {"filter": {"verification": {"eq": "RPC"}}}, "BAD_USER_INPUT"),
        "chain": (BLOCKS, {"chainId": "99"}, "BAD_USER_INPUT"),
        "empty": ("", {}, "BAD_REQUEST"),
        "none": ("fragment f on Device { id }", {}, "BAD_REQUEST"),
        "mutation": ("mutation { nothing }", {}, "BAD_REQUEST"),
        "cost": (
            "subscription { lifecycleEvents { event { device { history(first: 100) { nodes { device { "
            "history(first: 100) { nodes { device { id } } } } } } } } } }",
            {},
            "MAX_COST_EXCEEDED",
        ),
        "query": ("{ device { id } }", {}, "GRAPHQL_VALIDATION_FAILED"),
    }
    async with acknowledged(address) as socket:
        await socket.begin("good")
        for id, (query, variables, code) in wrong.items():
            await socket.subscribe(id, query, **variables)
            message = await socket.receive(id)
            assert message["type"] == "error", message
            assert message["payload"][0]["extensions"]["code"].startswith(code), message
        await moving.mine(updated(1))
        assert (await socket.next("good"))["event"]["kind"] == "FIRMWARE_UPDATED"


async def test_a_query_is_answered_over_the_socket_too(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.subscribe("q", "{ _meta { chains { chainId } } }")
        answer = await socket.next("q", "_meta")
        assert answer == {"chains": [{"chainId": str(moving.node.chain_id)}]}
        assert await socket.receive("q") == {"id": "q", "type": "complete"}
        await socket.subscribe("q", "{ _meta { version } }")
        await socket.next("q", "_meta")


async def test_an_operation_ends_when_the_client_completes_it(moving: Moving, address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.begin("a")
        await socket.begin("b")
        await socket.send(id="a", type="complete")
        await socket.send(id="unknown", type="complete")
        await socket.subscribe("a", BLOCKS)
        await started(socket, "a", moving)
        await moving.mine(updated(1))
        assert await socket.next("b")
        assert (await socket.next("a", "blockIndexed"))["number"] == str(moving.node.head.number)


async def test_ping_is_answered_with_its_payload(moving: Moving, address: str) -> None:
    async with opened(address) as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await socket.send(type="ping", payload={"at": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"at": 1}}
        await socket.send(type="pong")
        await socket.send(type="connection_init", payload={})
        assert await socket.receive() == {"type": "connection_ack"}


CLOSED: list[tuple[list[Any], int, str]] = [
    ([{"type": "subscribe", "id": "a", "payload": {"query": KINDS}}], 4401, "connection_init"),
    ([{"type": "connection_init"}, {"type": "connection_init"}], 4429, "Too many initialisation"),
    (["nonsense"], 4400, "not JSON"),
    ([[1]], 4400, "object"),
    ([{"type": "start"}], 4400, "'start'"),
    ([{"id": "a"}], 4400, "'None'"),
    ([{"type": "connection_init"}, {"type": "subscribe", "payload": {"query": KINDS}}], 4400, "needs an id"),
    ([{"type": "connection_init"}, {"type": "subscribe", "id": "", "payload": {"query": KINDS}}], 4400, "needs an id"),
    ([{"type": "connection_init"}, {"type": "subscribe", "id": "a"}], 4400, "The payload is null"),
    ([{"type": "connection_init"}, {"type": "subscribe", "id": "a", "payload": {}}], 4400, '"query" is missing'),
    ([{"type": "connection_init"}, {"type": "complete", "id": 7}], 4400, "needs an id"),
    (
        [{"type": "connection_init"}, *[{"type": "subscribe", "id": "a", "payload": {"query": KINDS}}] * 2],
        4409,
        "Subscriber for a already exists",
    ),
]


async def test_a_protocol_violation_closes_the_connection_with_its_code(moving: Moving, address: str) -> None:
    for messages, code, reason in CLOSED:
        async with opened(address) as socket:
            for message in messages:
                await socket.connection.send(message if isinstance(message, str) else json.dumps(message))
            closed = await socket.close_code()
            assert (closed[0], reason in closed[1]) == (code, True), (messages, closed)
    async with opened(address) as socket:
        await socket.connection.send(b"bytes")
        assert (await socket.close_code())[0] == 4400
    async with opened(address) as socket:
        await socket.connection.send("x" * 1_000_001)
        assert (await socket.close_code())[0] == 1009


async def test_a_client_that_sends_no_init_is_disconnected(
    moving: Moving, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.sockets.INIT_SECONDS", 0.2)
    async with opened(address) as socket:
        assert await socket.close_code() == (4408, "Connection initialisation timeout")


async def test_another_subprotocol_is_refused(moving: Moving, address: str) -> None:
    url = address.replace("http", "ws") + "/graphql"
    async with connect(url) as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4406
    async with connect(url, subprotocols=[PROTOCOL]) as connection:
        assert connection.subprotocol == PROTOCOL


async def test_a_connection_has_a_limit_of_operations_and_the_server_one_of_connections(
    moving: Moving, address: str
) -> None:
    async with acknowledged(address) as socket:
        for number in range(6):
            await socket.subscribe(str(number), BLOCKS)
        message = await socket.receive("5")
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        await socket.send(id="0", type="complete")
        await socket.subscribe("6", BLOCKS)
        for id in ("1", "2", "3", "4", "6"):
            await started(socket, id, moving)
    with serving(Settings(database_url=moving.url, max_connections=1)) as small:
        async with acknowledged(small), opened(small) as refused:
            assert (await refused.close_code())[0] == 1013
        await has_room(small)


async def test_many_clients_receive_an_event_at_once(moving: Moving, address: str) -> None:
    async with asyncio.timeout(60):
        sockets = [acknowledged(address) for _ in range(20)]
        clients = [await socket.__aenter__() for socket in sockets]
        try:
            for client in clients:
                for id in ("a", "b", "c"):
                    await client.begin(id)
            await moving.mine(*minted(500), updated(500))
            for client in clients:
                for id in ("a", "b", "c"):
                    assert [kind for kind, _ in kinds(await client.some(id, 3))] == [
                        "DEVICE_TRANSFERRED",
                        "DEVICE_MINTED",
                        "FIRMWARE_UPDATED",
                    ]
        finally:
            for socket in sockets:
                await socket.__aexit__(None, None, None)


async def apply_all(copy: Copy, socket: Socket) -> None:
    while True:
        copy.apply([await socket.next("a")])


async def test_a_client_that_reads_nothing_is_cut_off_and_can_resume(
    moving: Moving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("api.http.sockets.CLOSE_SECONDS", PATIENCE)
    async with asyncio.timeout(60):
        with serving(Settings(database_url=moving.url, send_seconds=2)) as address:
            copy = Copy()
            async with acknowledged(address, max_queue=1, max_size=None) as socket:
                copy.cursor = await socket.end_of_feed()
                for _ in range(8):
                    await moving.mine(*[updated(1, "1" * 60_000)] * 15)
                await socket.subscribe("a", RAW, after=copy.cursor)
                await cut_off(caplog)
                with pytest.raises(ConnectionClosed) as closed:
                    await apply_all(copy, socket)
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, "Too slow" in closed.value.rcvd.reason) == (4408, True)
            assert len(copy.ids) < 120
            async with acknowledged(address, max_size=None) as socket:
                await socket.subscribe("a", RAW, after=copy.cursor)
                copy.apply(await socket.some("a", 120 - len(copy.ids)))
            assert copy.ids == moving.ids()[-120:]


async def test_a_client_resumes_at_another_server_after_the_first_has_ended(moving: Moving) -> None:
    settings = Settings(database_url=moving.url)
    copy = Copy()
    with serving(settings) as address:
        async with acknowledged(address) as socket:
            await socket.begin("a")
            await moving.mine(updated(1, "2.0.0"))
            copy.apply(await socket.some("a", 1))
    moving.indexer.restart()
    await moving.mine(updated(1, "3.0.0"))
    with serving(settings) as address:
        async with acknowledged(address) as socket:
            await socket.subscribe("a", EVENTS, after=copy.cursor)
            copy.apply(await socket.some("a", 1))
    assert copy.ids == moving.ids()[-2:]


Message = MutableMapping[str, Any]


@pytest.mark.timeout(180)
async def test_a_client_that_disconnects_while_two_answers_wait_causes_no_log_line(sqlite_url: str) -> None:
    failures = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    messages: list[Message] = [{"type": "connection_init"}]
    messages += [{"type": "subscribe", "id": id, "payload": {"query": "{ __typename }"}} for id in "ab"]
    received: list[Message] = [{"type": "websocket.connect"}]
    received += [{"type": "websocket.receive", "text": json.dumps(message)} for message in messages]
    sent = list[Message]()

    async def receive() -> Message:
        if not received:
            await asyncio.sleep(60)
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)
        if '"next"' in message.get("text", ""):
            await asyncio.sleep(0.5)  # the other one waits meanwhile
            raise OSError("gone")

    app = create_app(Settings(database_url=sqlite_url))
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "subprotocols": ["graphql-transport-ws"],
    }
    await app(scope, receive, send)
    gc.collect()
    await asyncio.sleep(0)
    assert sum('"next"' in message.get("text", "") for message in sent) == 1
    assert failures == []
