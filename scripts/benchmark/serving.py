"""Measures `certindex-api`, in processes of its own, under load, and how soon after its start it answers."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import msgspec
import psutil

from scripts.benchmark.connection import post
from scripts.benchmark.loading import Load, load
from scripts.benchmark.queries import FLOOR, Query, benchmark_queries
from scripts.processes import Child, peak_memory, serving_child

ROUNDS = 5
"""How often each engine has its turn at a query."""

COMPILED, ORDINARY, CACHED, TWO_WORKERS = "compiled", "COMPILED=off", "cached", "2 workers"
ENGINES: Mapping[str, Mapping[str, str]] = {
    COMPILED: {"CACHE_BYTES": "0"},
    ORDINARY: {"CACHE_BYTES": "0", "COMPILED": "off"},
    CACHED: {},
    TWO_WORKERS: {"CACHE_BYTES": "0", "WORKERS": "2"},
}


IDLE_SECONDS = 0.5
"""How long a process must use less than a tenth of a core to be idle."""


class Served(msgspec.Struct):
    """One query under load: medians of the rounds, in which the engines take turns.

    `devices`: how many the database holds. `cpu`: seconds of the API's processes for each request.
    """

    database: str
    devices: int
    letter: str
    what: str
    engine: str
    load: Load
    cpu: float


class Started(msgspec.Struct):
    """Seconds from the start of the process to its first response."""

    database: str
    devices: int
    seconds: float


class Memory(msgspec.Struct):
    """Resident memory of one process at its peak, in bytes."""

    database: str
    devices: int
    engine: str
    memory_bytes: int


class Api:
    """The API on a database, in a process of its own, with its workers."""

    def __init__(self, url: str, child: Child) -> None:
        self.url = url
        self._process = psutil.Process(child.pid)

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def wait_until_idle(self) -> None:
        """Waits until it has made the counts of its register, which it does in the background after its start."""
        before = -1.0
        while (used := self.cpu_seconds()) - before > IDLE_SECONDS / 10:
            before = used
            time.sleep(IDLE_SECONDS)

    def memory_bytes(self) -> int:
        return max(peak_memory(process.pid) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children()]


def served(
    database_url: str, kind: str, devices: int, seconds: float, connections: int
) -> Iterator[Served | Started | Memory]:
    """Measures the start, then every query by turns of the engines that answer it."""
    queries = benchmark_queries(database_url)
    yield _start(database_url, kind, devices, queries[0].bodies[0])
    with ExitStack() as stack:
        apis = {name: stack.enter_context(api(database_url, settings)) for name, settings in ENGINES.items()}
        for running in apis.values():
            running.wait_until_idle()
        for query in queries:
            turns = take_turns(query, {name: apis[name] for name in _engines(query)}, seconds, connections)
            for engine, (median, cpu) in turns.items():
                yield Served(kind, devices, query.letter, query.what, engine, median, cpu)
        for engine, running in apis.items():
            yield Memory(kind, devices, engine, running.memory_bytes())


def _engines(query: Query) -> Sequence[str]:
    if query.cached:
        return (CACHED,)
    return (COMPILED, TWO_WORKERS) if query.letter == FLOOR else (COMPILED, ORDINARY, TWO_WORKERS)


def take_turns(
    query: Query, apis: Mapping[str, Api], seconds: float, connections: int
) -> Mapping[str, tuple[Load, float]]:
    """Returns the median of the loads of each engine, and of its CPU seconds for each request."""
    loads: dict[str, list[Load]] = {engine: [] for engine in apis}
    cpu: dict[str, list[float]] = {engine: [] for engine in apis}
    for _ in range(ROUNDS):
        for engine, running in apis.items():
            before = running.cpu_seconds()
            loaded = asyncio.run(load(running.url, query.bodies, seconds=seconds / ROUNDS, connections=connections))
            loads[engine].append(loaded)
            cpu[engine].append((running.cpu_seconds() - before) / loaded.sent)
    return {engine: (_median(loads[engine]), statistics.median(cpu[engine])) for engine in apis}


def _median(loads: Sequence[Load]) -> Load:
    def of(name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in loads))

    return Load(
        sum(each.requests for each in loads),
        sum(each.sent for each in loads),
        of("requests_a_second"),
        of("p50"),
        of("p99"),
        loads[0].answer_bytes,
    )


def _start(database_url: str, kind: str, devices: int, body: bytes) -> Started:
    began = time.perf_counter()
    with api(database_url, {}) as running:
        post(running.url, body)
        return Started(kind, devices, time.perf_counter() - began)


@contextmanager
def api(database_url: str, settings: Mapping[str, str]) -> Iterator[Api]:
    """Runs the API; it may still start."""
    environment = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": database_url, "PORT": "0"}
    with serving_child([sys.executable, "-m", "api"], environment | dict(settings)) as (url, child):
        yield Api(url, child)
