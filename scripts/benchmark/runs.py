"""What is run and measured, each in a process of its own on an empty database."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import msgspec

from scripts.benchmark.asking import Wire, call
from scripts.benchmark.databases import Databases, size
from scripts.benchmark.recording import CONTRACT, Shape
from scripts.benchmark.worker import Measured
from scripts.processes import Child

CEILING_BLOCKS = 500
CEILING_CONNECTIONS = 4


class Backfill(msgspec.Struct):
    """One run. `server_cpu_seconds` is the database server's; `requests` by method."""

    label: str
    database: str
    events: int
    blocks: int
    measured: Measured
    server_cpu_seconds: float
    database_bytes: int
    requests: dict[str, int]
    received_bytes: int

    @property
    def rate(self) -> float:
        return self.events / self.measured.seconds

    @property
    def cpu_an_event(self) -> float:
        """Seconds, the indexer's and the database server's."""
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
    """What the node itself can give a client that throws everything away."""

    events_a_second: float
    bytes_a_second: float
    headers_a_second: float


@contextmanager
def node(folder: Path, *, events: int, blocks: int, shape: Shape = Shape.DENSE) -> Iterator[str]:
    """Serves a chain of that size in a process of its own; gives its URL."""
    lines: Queue[str] = Queue()
    options = [str(folder), "--events", str(events), "--blocks", str(blocks), "--shape", shape.value]
    child = Child([sys.executable, "-m", "scripts.benchmark.node", *options], heard=lines.put)
    try:
        yield _first_line(child, lines)
    finally:
        child.stop()


def _first_line(child: Child, lines: "Queue[str]") -> str:
    while True:
        try:
            return lines.get(timeout=1)
        except Empty:
            if child.exit_status is not None:
                raise RuntimeError(f"the node ended before it served:\n{child.last_words}") from None


def ceiling(url: str, *, events: int, blocks: int) -> Ceiling:
    """Measures how fast the node gives all its logs, and headers one by one."""

    async def measure() -> Ceiling:
        wires = [Wire(url) for _ in range(CEILING_CONNECTIONS)]
        starts = iter(range(0, blocks + 1, CEILING_BLOCKS))

        async def read_logs(wire: Wire) -> int:
            received = 0
            for start in starts:
                query = {"fromBlock": hex(start), "toBlock": hex(min(start + CEILING_BLOCKS - 1, blocks))}
                request = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
                received += len(await wire.post(msgspec.json.encode(request)))
            return received

        async def read_headers(wire: Wire) -> None:
            for number in range(500):
                await wire.post(
                    b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x%x",false]}' % number
                )

        began = time.perf_counter()
        received = sum(await asyncio.gather(*map(read_logs, wires)))
        elapsed = time.perf_counter() - began
        began = time.perf_counter()
        await asyncio.gather(*map(read_headers, wires))
        headers = 500 * CEILING_CONNECTIONS / (time.perf_counter() - began)
        for wire in wires:
            wire.close()
        return Ceiling(events / elapsed, received / elapsed, headers)

    return asyncio.run(measure())


def backfill(
    label: str, rpc_url: str, database_url: str, databases: Databases, *, command: str = "sync", blocks: int
) -> Backfill:
    """Runs `certindex sync`, or the naive indexer, to the node's head."""
    call(rpc_url, "bench_counts")
    server_cpu = databases.server_cpu_seconds()
    measured = work(command, rpc_url, database_url)
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


def work(command: str, rpc_url: str, database_url: str) -> Measured:
    """Runs a command of the worker and returns what it measured. Raises RuntimeError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmark.worker", command],
        env=environment(rpc_url, database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1].encode(), type=Measured)


def environment(rpc_url: str, database_url: str) -> Mapping[str, str]:
    """Returns the settings of an indexer of the synthetic chain; all else is as it comes."""
    known = {"DATABASE_URL": database_url, "RPC_URLS": rpc_url, "CONTRACTS": f"certificate=0x{CONTRACT}"}
    return {"PATH": os.environ.get("PATH", ""), **known}
