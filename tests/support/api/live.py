"""Clients of subscriptions, small enough to see every message: graphql-transport-ws and server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
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
PATIENCE = 20.0
QUIET = 0.3


class Socket:
    """One connection. Messages of operations are sorted by their id."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._inboxes: dict[str, asyncio.Queue[Json]] = {}
        self._others: asyncio.Queue[Json] = asyncio.Queue()

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def subscribe(self, id: str, query: str, **variables: Any) -> None:
        await self.say(id=id, type="subscribe", payload={"query": query, "variables": variables})

    async def hear(self, id: str | None = None) -> Json:
        """Return the next message of an operation, or the next that is of none."""
        inbox = self._inbox(id)
        while inbox.empty():
            message = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))
            self._inbox(message.get("id")).put_nowait(message)
        return inbox.get_nowait()

    async def next(self, id: str, field: str = "lifecycleEvents") -> Json:
        """Return the data of the next answer, which has no errors."""
        message = await self.hear(id)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        found: Json = message["payload"]["data"][field]
        return found

    async def begin(self, id: str, **variables: Any) -> None:
        """Subscribe to events from the end of the feed as it is now: all that comes later is told."""
        after = await self.end_of_feed(**variables)
        await self.subscribe(id, EVENTS, **{"after": after, **variables})

    async def end_of_feed(self, **variables: Any) -> str:
        """Return the cursor behind all that a feed has told."""
        page: Json = {"endCursor": None, "hasMore": True}
        while page["hasMore"]:
            await self.subscribe("where", WHERE, **{"after": page["endCursor"], **variables})
            page = await self.next("where", "changes")
            assert await self.hear("where") == {"id": "where", "type": "complete"}
        return str(page["endCursor"])

    async def tells(self, id: str) -> bool:
        """Tell whether a message of an operation comes in a while. It is still to be heard."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                self._inbox(id).put_nowait(await self.hear(id))
                return True
        return False

    async def some(self, id: str, count: int, field: str = "lifecycleEvents") -> list[Json]:
        return [await self.next(id, field) for _ in range(count)]

    async def is_quiet(self) -> bool:
        """Tell whether nothing comes for a while."""
        with suppress(TimeoutError):
            message = json.loads(await asyncio.wait_for(self.connection.recv(), QUIET))
            self._inbox(message.get("id")).put_nowait(message)
            return False
        return True

    async def close_code(self) -> tuple[int, str]:
        """Read to the end of the connection, and return the code and the reason that the server gave."""
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
    """Connect, without a word yet."""
    url = address.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[PROTOCOL], compression=None, **options) as connection:
        yield Socket(connection)


@asynccontextmanager
async def acknowledged(address: str, **options: Any) -> AsyncIterator[Socket]:
    """Connect, and be welcome."""
    async with opened(address, **options) as socket:
        await socket.say(type="connection_init")
        assert await socket.hear() == {"type": "connection_ack"}
        yield socket


async def has_room(address: str) -> None:
    """Wait until a server of few connections takes one more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionClosed):
                async with acknowledged(address):
                    return
            await asyncio.sleep(0.05)


async def cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until a server of this process has given a slow client up."""
    async with asyncio.timeout(PATIENCE):
        while "was too slow and was cut off" not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.05)


class Stream:
    """The events of one response, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self._text = ""

    async def event(self) -> tuple[str, Json | None]:
        """Return the next event: its name, and its data; comments are passed over."""
        while True:
            block = await asyncio.wait_for(self._block(), PATIENCE)
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            if lines:
                fields = dict(line.split(":", 1) for line in lines)
                data = fields["data"].strip()
                return fields["event"].strip(), json.loads(data) if data else None

    async def next(self, field: str = "lifecycleEvents") -> Json:
        name, answer = await self.event()
        assert name == "next", (name, answer)
        assert answer is not None
        assert "errors" not in answer, answer
        found: Json = answer["data"][field]
        return found

    async def _block(self) -> str:
        while "\n\n" not in self._text:
            self._text += await anext(self._chunks)
        block, self._text = self._text.split("\n\n", 1)
        return block


@asynccontextmanager
async def streamed(address: str, query: str, path: str = "/graphql/stream", **variables: Any) -> AsyncIterator[Stream]:
    """Ask by POST for a stream of server-sent events."""
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
