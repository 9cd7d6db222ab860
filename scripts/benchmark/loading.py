"""A load generator for an HTTP server: several connections, each with one request under way, at little CPU."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from urllib.parse import urlsplit

import msgspec

CONNECTIONS = 16
PATIENCE_SECONDS = 120.0


class Load(msgspec.Struct):
    """Throughput and latency. `p50` and `p99`: seconds from the request to the last byte of the response."""

    requests: int
    requests_a_second: float
    p50: float
    p99: float
    answer_bytes: int


def load(url: str, bodies: Sequence[bytes], *, seconds: float, connections: int) -> Load:
    """Sends the bodies in turn for this long. Raises ConnectionError for any status but 200 and for GraphQL errors."""
    return asyncio.run(_load(url, bodies, seconds, connections))


async def _load(url: str, bodies: Sequence[bytes], seconds: float, connections: int) -> Load:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    requests = cycle([_request(parts.netloc, parts.path, body) for body in bodies])
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: Client(requests), host, port))[1] for _ in range(connections)]
    try:
        await _until(clients, lambda: all(client.took for client in clients))  # every connection has been answered once
        for client in clients:
            client.took.clear()
        began = time.perf_counter()
        await _until(clients, lambda: time.perf_counter() - began >= seconds)
        await _until(clients, lambda: all(client.took for client in clients))
        elapsed = time.perf_counter() - began
    finally:
        for client in clients:
            client.close()
    took = sorted(moment for client in clients for moment in client.took)
    longest = max(client.longest for client in clients)
    return Load(len(took), len(took) / elapsed, took[len(took) // 2], took[len(took) * 99 // 100], longest)


async def _until(clients: Sequence["Client"], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            for client in clients:
                if client.failed is not None:
                    raise ConnectionError(client.failed)
            await asyncio.sleep(0.01)


def _request(host: str, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection. It sends the next request when a response is complete. `failed` is the error, if any."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.took: list[float] = []
        self.longest = 0
        self.failed: str | None = None
        self._requests = requests
        self._received = bytearray()
        self._awaited = 0
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._awaited:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            self._awaited = end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < self._awaited:
            return
        self.took.append(time.perf_counter() - self._began)
        if not self._received.startswith(b"HTTP/1.1 200") or b'"errors"' in self._received:
            self.failed = self._received[:2_000].decode("utf-8", "replace")
            return
        self.longest = max(self.longest, len(self._received))
        self._received.clear()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed:
            self.failed = f"the server closed the connection: {error}"

    def close(self) -> None:
        self._closed = True
        self._transport.close()

    def _send(self) -> None:
        self._awaited = 0
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))
