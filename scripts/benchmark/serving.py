"""Measures `certindex-api`, in a process of its own, under load, and how soon after its start it answers."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import msgspec

from scripts.benchmark.connection import post
from scripts.benchmark.loading import Load, load
from scripts.benchmark.queries import benchmark_queries
from scripts.processes import serving


class Served(msgspec.Struct):
    """One query under load. `devices`: how many the database holds. `compiled`, `cached`: settings of the API."""

    database: str
    devices: int
    letter: str
    what: str
    compiled: bool
    cached: bool
    load: Load


class Started(msgspec.Struct):
    """Seconds from the start of the process to its first response."""

    database: str
    devices: int
    seconds: float


def served(database_url: str, kind: str, devices: int, seconds: float, connections: int) -> Iterator[Served | Started]:
    """Measures the start, and every query with and without the compiled executor, by turns; (d) also with the cache."""
    queries = benchmark_queries(database_url)
    yield _start(database_url, kind, devices, queries[0].bodies[0])
    with ExitStack() as servers:
        urls = {
            switches: servers.enter_context(api(database_url, compiled=switches[0], cached=switches[1]))
            for switches in ((True, False), (False, False), (True, True))
        }
        for query in queries:
            for (compiled, cached), url in urls.items():
                if query.cached or not cached:
                    loading = load(url, query.bodies, seconds=seconds, connections=connections)
                    yield Served(kind, devices, query.letter, query.what, compiled, cached, asyncio.run(loading))


def _start(database_url: str, kind: str, devices: int, body: bytes) -> Started:
    began = time.perf_counter()
    with api(database_url, compiled=True, cached=True) as url:
        post(url, body)
        return Started(kind, devices, time.perf_counter() - began)


def api(database_url: str, *, compiled: bool, cached: bool) -> AbstractContextManager[str]:
    """Runs the API; yields the URL of its GraphQL endpoint."""
    switches = {"COMPILED": "on" if compiled else "off"} | ({} if cached else {"CACHE_BYTES": "0"})
    environment = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": database_url, "PORT": "0"}
    return serving([sys.executable, "-m", "api"], environment | switches)
