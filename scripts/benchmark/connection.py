"""The benchmark's HTTP client: one connection that is kept open, written to cost as little CPU as Python allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

ResultT = TypeVar("ResultT")


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection to a server. It sends one request at a time.

    `took`: seconds from each request to the last byte of its response. `longest`: bytes of the longest response.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.took: list[float] = []
        self.longest = 0
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            "Accept: application/json\r\nContent-Length: "
        ).encode()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._body = 0
        self._end = 0

    async def post(self, body: bytes) -> bytes:
        """Returns the body of the response. Raises ConnectionError for any status but 200."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._response: asyncio.Future[bytes] = loop.create_future()
        self._began = time.perf_counter()
        self._transport.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        return await self._response

    async def call(self, method: str, *params: Any) -> Any:
        """Returns the result of a JSON-RPC request. Raises ConnectionError for an error response."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = msgspec.json.decode(await self.post(msgspec.json.encode(request)))
        if "error" in answer:
            raise ConnectionError(f"{method}: {answer['error']}")
        return answer["result"]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            self._body = end + 4
            self._end = self._body + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < self._end:
            return
        self.took.append(time.perf_counter() - self._began)
        self.longest = max(self.longest, len(self._received))
        response, self._received, self._end = self._received, bytearray(), 0
        if response.startswith(b"HTTP/1.1 200"):
            self._response.set_result(bytes(response[self._body :]))
        else:
            self._fail(response[:2_000].decode("utf-8", "replace"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server closed the connection: {error}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, message: str) -> None:
        if not self._response.done():
            self._response.set_exception(ConnectionError(message))


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
