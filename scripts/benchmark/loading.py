"""A load generator for an HTTP server: several connections, each with one request under way, at little CPU."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import msgspec

from scripts.benchmark.connection import Connection

CONNECTIONS = 16
PATIENCE_SECONDS = 120.0


class Load(msgspec.Struct):
    """Throughput and latency. `p50` and `p99`: seconds from the request to the last byte of the response.

    `sent`: all requests, of which the first of each connection are not measured.
    """

    requests: int
    sent: int
    requests_a_second: float
    p50: float
    p99: float
    answer_bytes: int


async def load(url: str, bodies: Sequence[bytes], *, seconds: float, connections: int) -> Load:
    """Sends the bodies in turn for this long. Raises ConnectionError for any status but 200 and for GraphQL errors."""
    bodies_in_turn = cycle(bodies)
    clients = [Connection(url) for _ in range(connections)]
    sending = [asyncio.create_task(_send(client, bodies_in_turn)) for client in clients]
    try:
        await _until(sending, lambda: all(client.took for client in clients))  # every connection has been answered once
        first = sum(len(client.took) for client in clients)
        for client in clients:
            client.took.clear()
        began = time.perf_counter()
        await _until(sending, lambda: time.perf_counter() - began >= seconds)
        await _until(sending, lambda: all(client.took for client in clients))
        elapsed = time.perf_counter() - began
    finally:
        for task, client in zip(sending, clients, strict=True):
            task.cancel()
            client.close()
    took = [moment for client in clients for moment in client.took]
    longest = max(client.longest for client in clients)
    return Load(len(took), first + len(took), len(took) / elapsed, *percentiles(took), longest)


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Returns the median, and what 99 of 100 do not exceed."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


async def _send(client: Connection, bodies: Iterator[bytes]) -> None:
    """Sends the next body as soon as the response to the one before is complete."""
    while True:
        response = await client.post(next(bodies))
        if b'"errors"' in response:
            raise ConnectionError(response[:2_000].decode("utf-8", "replace"))


async def _until(sending: Sequence[asyncio.Task[None]], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            for task in sending:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)
