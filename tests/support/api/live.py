"""Clients of subscriptions that show every message: graphql-transport-ws and server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.api.asking import Json

PROTOCOL = Subprotocol("graphql-transport-ws")
EVENTS = """subscription ($after: String, $filter: LifecycleEventFilter, $finality: Finality! = UNSAFE) {
  lifecycleEvents(after: $after, filterBy: $filter, finality: $finality) {
    cursor retracted event { id kind finality block { number } device { tokenId } } } }"""
WHERE = """query ($after: String, $filter: LifecycleEventFilter, $finality: Finality! = UNSAFE) {
  changes(after: $after, filterBy: $filter, finality: $finality, first: 100) { endCursor hasMore } }"""
BLOCKS = "subscription ($chainId: BigInt) { blockIndexed(chainId: $chainId) { number hash finality chainId } }"
PATIENCE = 60.0
QUIET = 0.3


class Socket:
    """A WebSocket connection. Messages are sorted by the id of their operation."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._inboxes: dict[str, asyncio.Queue[Json]] = {}
        self._others: asyncio.Queue[Json] = asyncio.Queue()

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def subscribe(self, id: str, query: str, **variables: Any) -> None:
        await self.send(id=id, type="subscribe", payload={"query": query, "variables": variables})

    async def receive(self, id: str | None = None) -> Json:
        """Returns the next message of an operation, or the next one without an id."""
        inbox = self._inbox(id)
        while inbox.empty():
            message = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))
            self._inbox(message.get("id")).put_nowait(message)
        return inbox.get_nowait()

    async def next(self, id: str, field: str = "lifecycleEvents") -> Json:
        """Returns the data of the next response, which must have no errors."""
        message = await self.receive(id)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        data: Json = message["payload"]["data"][field]
        return data

    async def begin(self, id: str, **variables: Any) -> None:
        """Subscribes to events from the present end of the feed on."""
        after = await self.end_of_feed(**variables)
        await self.subscribe(id, EVENTS, **{"after": after, **variables})

    async def end_of_feed(self, **variables: Any) -> str:
        """Returns the cursor at the end of the feed."""
        page: Json = {"endCursor": None, "hasMore": True}
        while page["hasMore"]:
            await self.subscribe("where", WHERE, **{"after": page["endCursor"], **variables})
            page = await self.next("where", "changes")
            assert await self.receive("where") == {"id": "where", "type": "complete"}
        return str(page["endCursor"])

    async def has_message(self, id: str) -> bool:
        """Returns whether an operation sends a message within a moment. The message is not consumed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                self._inbox(id).put_nowait(await self.receive(id))
                return True
        return False

    async def begun(self, id: str, change: Callable[[], Awaitable[object]]) -> None:
        """Makes changes until a subscription sends a message of one: it has begun, and sends those of all others."""
        while not await self.has_message(id):
            await change()

    async def some(self, id: str, count: int, field: str = "lifecycleEvents") -> list[Json]:
        return [await self.next(id, field) for _ in range(count)]

    async def is_quiet(self) -> bool:
        """Returns whether no message comes for a moment."""
        with suppress(TimeoutError):
            message = json.loads(await asyncio.wait_for(self.connection.recv(), QUIET))
            self._inbox(message.get("id")).put_nowait(message)
            return False
        return True

    async def close_code(self) -> tuple[int, str]:
        """Reads to the end of the connection, and returns the server's close code and reason."""
        with pytest.raises(ConnectionClosed) as closed:
            await self._read_to_the_end()
        assert closed.value.rcvd is not None, "the connection broke"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def _read_to_the_end(self) -> None:
        while True:
            await asyncio.wait_for(self.connection.recv(), PATIENCE)

    def _inbox(self, id: str | None) -> asyncio.Queue[Json]:
        return self._others if id is None else self._inboxes.setdefault(id, asyncio.Queue())


@asynccontextmanager
async def opened(address: str, **options: Any) -> AsyncIterator[Socket]:
    """Connects, without sending anything."""
    url = address.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[PROTOCOL], compression=None, **options) as connection:
        yield Socket(connection)


@asynccontextmanager
async def acknowledged(address: str, **options: Any) -> AsyncIterator[Socket]:
    """Connects, and waits for the acknowledgement."""
    async with opened(address, **options) as socket:
        await socket.send(type="connection_init")
        assert await socket.receive() == {"type": "connection_ack"}
        yield socket


async def has_room(address: str) -> None:
    """Waits until a server with a limit on connections accepts one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionClosed):
                async with acknowledged(address):
                    return
            await asyncio.sleep(0.05)


async def cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """Waits until a server of this process has disconnected a slow client."""
    async with asyncio.timeout(PATIENCE):
        while "was too slow and was cut off" not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.05)


class Stream:
    """The server-sent events of one response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self._text = ""

    async def event(self) -> tuple[str, Json | None]:
        """Returns the name and the data of the next event; comments are skipped, and do not prolong the wait."""
        async with asyncio.timeout(PATIENCE):
            while not (lines := _without_comments(await self._block())):
                pass
        fields = dict(line.split(":", 1) for line in lines)
        data = fields["data"].strip()
        return fields["event"].strip(), json.loads(data) if data else None

    async def next(self, field: str = "lifecycleEvents") -> Json:
        name, answer = await self.event()
        assert name == "next", (name, answer)
        assert answer is not None
        assert "errors" not in answer, answer
        data: Json = answer["data"][field]
        return data

    async def _block(self) -> str:
        while "\n\n" not in self._text:
            self._text += await anext(self._chunks)
        block, self._text = self._text.split("\n\n", 1)
        return block


def _without_comments(block: str) -> list[str]:
    return [line for line in block.split("\n") if line and not line.startswith(":")]


@asynccontextmanager
async def streamed(address: str, query: str, path: str = "/graphql/stream", **variables: Any) -> AsyncIterator[Stream]:
    """Requests a stream of server-sent events by POST."""
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as client,
        client.stream(
            "POST",
            address + path,
            json={"query": query, "variables": variables},
            headers={"accept": "text/event-stream"},
        ) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Stream(response)
