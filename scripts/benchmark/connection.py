"""The benchmark's HTTP client: one connection that is kept open, written to cost as little CPU as Python allows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

ResultT = TypeVar("ResultT")


class Connection:
    """An HTTP/1.1 connection to a server. It sends one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path or "/"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bytes:
        """Returns the body of the response. Raises ConnectionError for any status but 200."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**26)
        reader, writer = self._streams
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (self._path.encode(), self._host.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        response = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"{head.splitlines()[0].decode()}: {response[:500].decode('utf-8', 'replace')}")
        return response

    async def call(self, method: str, *params: Any) -> Any:
        """Returns the result of a JSON-RPC request. Raises ConnectionError for an error response."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = msgspec.json.decode(await self.post(msgspec.json.encode(request)))
        if "error" in answer:
            raise ConnectionError(f"{method}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def call(url: str, method: str, *params: Any) -> Any:
    """Sends one JSON-RPC request and returns its result."""
    return asyncio.run(_once(url, lambda connection: connection.call(method, *params)))


def post(url: str, body: bytes) -> bytes:
    """Sends one POST and returns the body of the response."""
    return asyncio.run(_once(url, lambda connection: connection.post(body)))


async def _once(url: str, send: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
    connection = Connection(url)
    try:
        return await send(connection)
    finally:
        connection.close()
