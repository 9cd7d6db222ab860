"""Measures how soon indexing goes on after an outage of the only provider, and after a WebSocket went quiet."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from scripts.benchmark.connection import Connection
from scripts.benchmark.following import follower, newest_block
from scripts.benchmark.recording import CHAIN_ID

OUTAGES = ("refuses connections", "hangs", f"HTTP {HTTPStatus.BAD_GATEWAY.value}")
QUIET = "quiet socket"
BLOCK_SECONDS = 1.0
ANNOUNCED_BLOCKS = 8
CONNECTIONS = 100
"""More than the indexer opens while it runs."""
POLL_SECONDS = 2.0
RARE_POLL_SECONDS = 60.0


class Recovered(msgspec.Struct):
    """Seconds until the API returned the next block: from the end of an outage, or from a block not announced."""

    database: str
    what: str
    outage_seconds: float
    seconds: float


class Gate:
    """Stands between the indexer and the node, and plays an outage: one of OUTAGES, or none."""

    def __init__(self, node_url: str) -> None:
        self._node = urlsplit(node_url)
        self._outage: str | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def set(self, outage: str | None) -> None:
        self._outage = outage
        for writer in self._writers:
            if outage != "hangs":
                writer.transport.abort()
        if self._server is not None:
            self._server.close()
            self._server = None
        if outage != "refuses connections":
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(self._node.hostname, self._node.port)
        self._writers |= {writer, upstream}
        with suppress(OSError):
            await asyncio.gather(self._copy(reader, upstream, writer), self._copy(upstream_reader, writer, writer))
        self._writers -= {writer, upstream}
        upstream.close()
        writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self._outage is None:
                writer.write(data)
            elif self._outage != "hangs":
                client.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def recover(
    node_url: str, database_url: str, database: str, *, first: int, outage_seconds: float
) -> list[Recovered]:
    """Plays each outage after block `first`, which is indexed, and adds a block during it."""
    results = []
    gate, node = Gate(node_url), Connection(node_url)
    await gate.set(None)
    settings = {"POLL_INTERVAL": str(POLL_SECONDS)}
    async with _followed(f"http://127.0.0.1:{gate.port}", database_url, settings) as api_url:
        await node.call("bench_set", {"head": first + 1})
        await _returned(api_url, first + 1)
        for head, outage in enumerate(OUTAGES, first + 2):
            await gate.set(outage)
            await asyncio.sleep(outage_seconds)
            await node.call("bench_set", {"head": head})
            results.append(Recovered(database, outage, outage_seconds, await _seconds(gate, api_url, head)))
    head = first + 1 + len(OUTAGES)
    results.append(Recovered(database, QUIET, 0, await _after_quiet(node_url, database_url, node, head)))
    node.close()
    await gate.set("refuses connections")
    return results


async def _seconds(gate: Gate, api_url: str, head: int) -> float:
    began = asyncio.get_running_loop().time()
    await gate.set(None)
    await _returned(api_url, head)
    return asyncio.get_running_loop().time() - began


async def _after_quiet(node_url: str, database_url: str, node: Connection, head: int) -> float:
    """Announces blocks, then adds one silently. Returns the seconds until the API returns it, though polls are rare."""
    announced: asyncio.Queue[int] = asyncio.Queue()

    async def announce(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for result in (hex(CHAIN_ID), "0x1"):
                request = json.loads(await socket.recv())
                await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))
            while (number := await announced.get()) >= 0:
                notice = {"subscription": "0x1", "result": {"number": hex(number)}}
                await socket.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": notice}))

    async with serve(announce, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        settings = {"POLL_INTERVAL": str(RARE_POLL_SECONDS), "WS_URL": f"ws://127.0.0.1:{port}"}
        async with _followed(node_url, database_url, settings) as api_url:
            await _returned(api_url, head)
            for number in range(head + 1, head + ANNOUNCED_BLOCKS + 1):
                await node.call("bench_set", {"head": number})
                announced.put_nowait(number)
                await _returned(api_url, number)
                await asyncio.sleep(BLOCK_SECONDS)
            began = asyncio.get_running_loop().time()
            await node.call("bench_set", {"head": head + ANNOUNCED_BLOCKS + 1})
            await _returned(api_url, head + ANNOUNCED_BLOCKS + 1)
            seconds = asyncio.get_running_loop().time() - began
        for _ in range(CONNECTIONS):
            announced.put_nowait(-1)
        return seconds


@asynccontextmanager
async def _followed(rpc_url: str, database_url: str, settings: dict[str, str]) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        # the start of the programs would block the loop, in which the gate works
        running = follower(rpc_url, database_url, settings)
        api_url = await asyncio.to_thread(running.__enter__)
        stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        yield api_url


async def _returned(api_url: str, number: int) -> None:
    """Waits until this is the newest block of the API, over a new connection: it closes those that are idle."""
    served = Connection(api_url)
    try:
        await newest_block(served, number)
    finally:
        served.close()
