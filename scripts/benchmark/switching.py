"""Measures `certindex rebuild --into`, and how its readers fare.

A server on the database, and on PostgreSQL another one on a hot standby, are queried without a pause. No block is
added, so that each answer must have the same bytes before, during and after the switch.
"""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

import msgspec
from sqlalchemy import make_url

from scripts.benchmark.connection import Connection
from scripts.benchmark.databases import Databases, size
from scripts.benchmark.events import generate_growth
from scripts.benchmark.fleets import batches, writer
from scripts.benchmark.queries import growth_queries
from scripts.benchmark.serving import COMPILED, ENGINES, api

COPY = "rebuilt"
OF_EACH = 20
"""Requests of each query that are repeated."""
LOOK_SECONDS = 1.0
"""Between two looks at the size of the database."""


class Reading(msgspec.Struct):
    """What a server answered meanwhile. `p50` and `longest`: seconds of its median and its slowest answer."""

    server: str
    answers: int
    wrong: int
    p50: float
    longest: float


class Switched(msgspec.Struct):
    """A run. `stood_still`: seconds in which no indexer could write. `most_bytes`: of the database and its copy."""

    database: str
    events: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    memory_bytes: int
    stood_still: float
    database_bytes: int
    most_bytes: int
    readings: list[Reading]


def switch(database_url: str, databases: Databases, events: int) -> Switched:
    """Fills an empty database with so many events, and rebuilds it while it is read."""
    with writer(database_url) as fleet:
        stored = sum(map(fleet.write, batches(generate_growth(events))))
        fleet.finish()
    bodies = [body for query in growth_queries(database_url) for body in query.bodies[:OF_EACH]]
    with _asked(database_url, databases, bodies) as readers, _Sizes(database_url) as sizes:
        server_cpu = databases.server_cpu_seconds()
        switched = _rebuild(database_url)
        switched.server_cpu_seconds = databases.server_cpu_seconds() - server_cpu
        time.sleep(LOOK_SECONDS)  # readers of the new tables alone
    switched.database, switched.events = databases.kind, stored
    switched.database_bytes, switched.most_bytes = sizes.first, sizes.most
    switched.readings = [reader.reading() for reader in readers]
    return switched


@contextmanager
def _asked(database_url: str, databases: Databases, bodies: Sequence[bytes]) -> Iterator[list["_Reader"]]:
    """Asks a server on each database all the time."""
    with ExitStack() as stack:
        urls = {"the database": database_url}
        if databases.has_standby:
            urls["a hot standby"] = stack.enter_context(databases.standby(database_url))
        apis = {server: stack.enter_context(api(url, ENGINES[COMPILED])).url for server, url in urls.items()}
        yield [stack.enter_context(_Reader(server, url, bodies)) for server, url in apis.items()]


class _Reader:
    """Sends requests to a server, one after the other, and compares the answers with the first ones."""

    def __init__(self, server: str, url: str, bodies: Sequence[bytes]) -> None:
        self._server = server
        self._url = url
        self._bodies = bodies
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read()))
        self._took: list[float] = []
        self._wrong = 0

    def __enter__(self) -> "_Reader":
        self._expected = asyncio.run(self._answers())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def reading(self) -> Reading:
        return Reading(self._server, len(self._took), self._wrong, median(self._took), max(self._took))

    async def _answers(self) -> Mapping[bytes, bytes]:
        """Returns the answer to each request. Raises ConnectionError for an error."""
        connection = Connection(self._url)
        answers = {body: await connection.post(body) for body in self._bodies}
        connection.close()
        assert not any(b'"errors"' in answer for answer in answers.values())
        return answers

    async def _read(self) -> None:
        connection = Connection(self._url)
        for body in cycle(self._bodies):
            if self._ended.is_set():
                break
            began = time.perf_counter()
            try:
                self._wrong += await connection.post(body) != self._expected[body]
            except ConnectionError as error:
                self._wrong += 1
                print(f"bench: {self._server}: {error}", file=sys.stderr, flush=True)
                connection = Connection(self._url)
            self._took.append(time.perf_counter() - began)
        connection.close()


class _Sizes:
    """The size of a database with its copy: at first, and at most."""

    def __init__(self, database_url: str) -> None:
        self._urls = [database_url]
        if database_url.startswith("sqlite"):
            self._urls.append(f"sqlite:///{copy_of(database_url)}")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.first = self.most = self._now()

    def __enter__(self) -> "_Sizes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        return sum(map(size, self._urls))


def copy_of(database_url: str) -> str:
    """Returns what `--into` names: a file beside that of SQLite, or a schema."""
    if database_url.startswith("sqlite"):
        return str(Path(str(make_url(database_url).database)).with_name(f"{COPY}.db"))
    return COPY


def _rebuild(database_url: str) -> Switched:
    """Runs the command. Raises RuntimeError if it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "indexer", "rebuild", "--into", copy_of(database_url)],
        env={"PATH": os.environ.get("PATH", ""), "DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"rebuild --into failed:\n{output[-2000:]}")
    stood_still = re.search(r"writes_stood_still=([0-9.]+)s", output)
    assert stood_still is not None, output
    return Switched(
        database="",
        events=0,
        seconds=time.perf_counter() - began,
        cpu_seconds=used.ru_utime + used.ru_stime,
        server_cpu_seconds=0.0,
        memory_bytes=used.ru_maxrss * 1024,
        stood_still=float(stood_still[1]),
        database_bytes=0,
        most_bytes=0,
        readings=[],
    )
