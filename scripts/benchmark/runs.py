"""Runs commands of the indexer, each in a process of its own, and returns what they measured."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from scripts.benchmark.connection import Connection, call
from scripts.benchmark.databases import Databases, size
from scripts.benchmark.recording import CONTRACT, Shape
from scripts.benchmark.worker import Measured
from scripts.processes import serving

CEILING_BLOCKS = 500
CEILING_BATCH = 64
CEILING_CONNECTIONS = 8


class Backfill(msgspec.Struct):
    """One backfill. `server_cpu_seconds` is the database server's CPU; `requests` counts by method.

    `provider_rate`: events per second that a client gets from the node if it discards all responses.
    """

    label: str
    database: str
    events: int
    blocks: int
    measured: Measured
    server_cpu_seconds: float
    database_bytes: int
    requests: dict[str, int]
    received_bytes: int
    provider_rate: float = 0.0

    @property
    def rate(self) -> float:
        return self.events / self.measured.seconds

    @property
    def cpu_an_event(self) -> float:
        """CPU seconds per event, of the indexer and the database server together."""
        return (self.measured.cpu_seconds + self.server_cpu_seconds) / self.events


class Rewritten(msgspec.Struct):
    """A run of `certindex rebuild`."""

    database: str
    events: int
    measured: Measured

    @property
    def rate(self) -> float:
        return self.events / self.measured.seconds


class Ceiling(msgspec.Struct):
    """How fast the node returns all logs, and `headers` headers in batches, to a client that discards them."""

    events: int
    headers: int
    log_bytes: int
    log_seconds: float
    header_seconds: float

    @property
    def all_a_second(self) -> float:
        """Events per second if every range is requested twice and every header once."""
        return self.events / (2 * self.log_seconds + self.header_seconds)


def node(folder: Path, *, events: int, blocks: int, shape: Shape = Shape.DENSE) -> AbstractContextManager[str]:
    """Serves a chain of this size from a process of its own; yields its URL."""
    options = [str(folder), "--events", str(events), "--blocks", str(blocks), "--shape", shape.value]
    return serving([sys.executable, "-m", "scripts.benchmark.node", *options])


def ceiling(url: str, *, events: int, blocks: int, stride: int = 1) -> Ceiling:
    """Measures how fast the node returns all its logs, and the headers of every `stride`th block."""
    starts = range(0, blocks + 1, CEILING_BLOCKS)
    queries = [{"fromBlock": hex(start), "toBlock": hex(min(start + CEILING_BLOCKS - 1, blocks))} for start in starts]
    headers = range(0, blocks + 1, stride)
    batches = [headers[start : start + CEILING_BATCH] for start in range(0, len(headers), CEILING_BATCH)]
    received, log_seconds = asyncio.run(_read_all(url, [_request("eth_getLogs", query) for query in queries]))
    batched = [[_request("eth_getBlockByNumber", hex(number), False) for number in batch] for batch in batches]
    _, header_seconds = asyncio.run(_read_all(url, batched))
    return Ceiling(events, len(headers), received, log_seconds, header_seconds)


def _request(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def _read_all(url: str, requests: Sequence[Any]) -> tuple[int, float]:
    """Returns the size of all responses in bytes, and the seconds until the last one."""
    connections = [Connection(url) for _ in range(CEILING_CONNECTIONS)]
    pending = iter(list(map(msgspec.json.encode, requests)))

    async def read(connection: Connection) -> int:
        return sum([len(await connection.post(request)) for request in pending])

    began = time.perf_counter()
    received = sum(await asyncio.gather(*map(read, connections)))
    elapsed = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return received, elapsed


def backfill(
    label: str,
    rpc_url: str,
    database_url: str,
    databases: Databases,
    *,
    command: str = "sync",
    blocks: int,
    cores: int = 0,
) -> Backfill:
    """Runs `certindex sync`, or the naive indexer, to the node's head, on this many cores; 0 means all."""
    call(rpc_url, "bench_counts")
    server_cpu = databases.server_cpu_seconds()
    measured = work(command, rpc_url, database_url, cores=cores)
    counts = call(rpc_url, "bench_counts")
    return Backfill(
        label=label,
        database=databases.kind,
        events=sum(events for _, events in measured.steps),
        blocks=blocks,
        measured=measured,
        server_cpu_seconds=databases.server_cpu_seconds() - server_cpu,
        database_bytes=size(database_url),
        requests=counts["requests"],
        received_bytes=counts["bytes"],
    )


def rebuild(database_url: str, kind: str, events: int) -> Rewritten:
    """Runs `certindex rebuild`."""
    return Rewritten(kind, events, work("rebuild", "http://127.0.0.1:1", database_url))


def work(command: str, rpc_url: str, database_url: str, *, cores: int = 0) -> Measured:
    """Runs a command of the worker and returns what it measured. Raises RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmark.worker", command, str(cores)],
        env=environment(rpc_url, database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1].encode(), type=Measured)


def environment(rpc_url: str, database_url: str) -> Mapping[str, str]:
    """Returns the settings of an indexer of the synthetic chain; the other settings keep their defaults."""
    settings = {"DATABASE_URL": database_url, "RPC_URLS": rpc_url, "CONTRACTS": f"certificate=0x{CONTRACT}"}
    return {"PATH": os.environ.get("PATH", ""), **settings}
