"""The API as it is run, `certindex-api` in a process of its own, under load; and how soon it answers."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

import msgspec

from scripts.benchmark.asking import post
from scripts.benchmark.loading import Load, load
from scripts.benchmark.questions import questions
from scripts.processes import Child


class Served(msgspec.Struct):
    """One question under load. `devices`: how many the database holds; `compiled`, `cached`: how the API was set."""

    database: str
    devices: int
    letter: str
    what: str
    compiled: bool
    cached: bool
    load: Load


class Started(msgspec.Struct):
    """Seconds from the start of the process to its first answer."""

    database: str
    devices: int
    seconds: float


def served(database_url: str, kind: str, devices: int, seconds: float, connections: int) -> Iterator[Served | Started]:
    """Measures the start, and every question with the compiled executor and without; (d) with the cache too."""
    asked = questions(database_url)
    yield _start(database_url, kind, devices, asked[0].bodies[0])
    for compiled in (True, False):
        with api(database_url, compiled=compiled, cached=False) as url:
            for question in asked:
                measured = load(url, question.bodies, seconds=seconds, connections=connections)
                yield Served(kind, devices, question.letter, question.what, compiled, False, measured)
    with api(database_url, compiled=True, cached=True) as url:
        for question in asked:
            if question.cached:
                measured = load(url, question.bodies, seconds=seconds, connections=connections)
                yield Served(kind, devices, question.letter, question.what, True, True, measured)


def _start(database_url: str, kind: str, devices: int, body: bytes) -> Started:
    began = time.perf_counter()
    with api(database_url, compiled=True, cached=True) as url:
        post(url, body)
        return Started(kind, devices, time.perf_counter() - began)


@contextmanager
def api(database_url: str, *, compiled: bool, cached: bool, **settings: str) -> Iterator[str]:
    """Runs the API; gives the URL that it answers at."""
    lines: Queue[str] = Queue()
    switches = {"COMPILED": "on" if compiled else "off"} | ({} if cached else {"CACHE_BYTES": "0"})
    known = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": database_url, "PORT": "0"}
    child = Child([sys.executable, "-m", "api"], on_line=lines.put, environment=known | switches | settings)
    try:
        yield _address(child, lines)
    finally:
        child.stop()


def _address(child: Child, lines: "Queue[str]") -> str:
    while True:
        try:
            line = lines.get(timeout=1)
        except Empty:
            if child.exit_status is not None:
                raise RuntimeError(f"the API ended before it served:\n{child.last_output}") from None
            continue
        if "serving http" in line:
            return line.split("serving ")[1]
