"""Measures how the indexer and the API keep their speed while a database grows.

Events are written in parts, as the indexer writes what it has fetched: what fetching costs does not depend on the
database. Either they are those of a first backfill, which builds the indexes at its end; or they follow one that ended
early, so that each part is written with all indexes. After each of the latter the API answers queries whose answers are
as large in a small database as in a large one.

The writer is a process of its own with the memory settings of `certindex`: the devices of the generated chain grow too,
and would take its caches and the time of its garbage collector.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

import msgspec

from indexer.chain.batch import Batch
from indexer.commands.command import tune_memory
from scripts.benchmark.databases import Databases, size
from scripts.benchmark.events import generate_growth
from scripts.benchmark.fleets import batches, writer
from scripts.benchmark.loading import Load
from scripts.benchmark.queries import growth_queries
from scripts.benchmark.serving import COMPILED, ENGINES, api, take_turns

PARTS = 10
BEFORE = 0.01
"""Share of the events that are written before the indexes are built, if the first backfill ends early."""


class Answered(msgspec.Struct):
    """A query after a part. `cpu`: seconds of the API for each request."""

    letter: str
    what: str
    load: Load
    cpu: float


class Grown(msgspec.Struct):
    """A part. `events`: all that are in the database after it; `written`: those of the part.

    `seconds` and `cpu_seconds` of decoding, folding and writing; `server_cpu_seconds` of the database server.
    `indexed`: with all indexes; the last part of a first backfill has the `index_seconds` that they took instead.
    """

    database: str
    indexed: bool
    events: int
    written: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    index_seconds: float = 0
    database_bytes: int = 0
    answers: list[Answered] = []

    @property
    def rate(self) -> float:
        return self.written / self.seconds

    @property
    def cpu_an_event(self) -> float:
        return (self.cpu_seconds + self.server_cpu_seconds) / self.written


class Step(msgspec.Struct):
    """A batch that was written: the number of its events, and the seconds and CPU seconds of the writer."""

    events: int
    seconds: float
    cpu_seconds: float


def grow_first(database_url: str, databases: Databases, events: int, parts: int = PARTS) -> Iterator[Grown]:
    """Fills an empty database with so many events in its first backfill, and yields each part."""
    with _writer(database_url) as steps:
        pending = batches(generate_growth(events), most_events=events // parts)
        stored = 0
        for part in range(1, parts + 1):
            grown = _write(steps, pending, events * part // parts, stored, databases, indexed=False)
            stored = grown.events
            grown.index_seconds = _step(steps, None).seconds if part == parts else 0
            grown.database_bytes = size(database_url)
            yield grown


def grow(
    database_url: str, databases: Databases, events: int, seconds: float, connections: int, parts: int = PARTS
) -> Iterator[Grown]:
    """Fills an empty database with so many events, nearly all with all indexes, and yields each part."""
    with _writer(database_url) as steps:
        first = int(events * BEFORE)
        pending = batches(generate_growth(events), most_events=first)
        stored = 0
        while stored < first:
            stored += _step(steps, next(pending)).events
        _step(steps, None)
        for part in range(1, parts + 1):
            grown = _write(steps, pending, events * part // parts, stored, databases, indexed=True)
            stored = grown.events
            grown.database_bytes = size(database_url)
            grown.answers = list(_answer(database_url, seconds, connections))
            yield grown


def _write(
    steps: Connection, pending: Iterator[Batch], events: int, stored: int, databases: Databases, *, indexed: bool
) -> Grown:
    """Writes a part, until so many events are in the database. Generating them is not measured."""
    server, seconds, cpu, written = databases.server_cpu_seconds(), 0.0, 0.0, 0
    while stored + written < events:
        step = _step(steps, next(pending))
        written += step.events
        seconds += step.seconds
        cpu += step.cpu_seconds
    server = databases.server_cpu_seconds() - server
    return Grown(databases.kind, indexed, stored + written, written, seconds, cpu, server)


def _step(steps: Connection, batch: Batch | None) -> Step:
    """Lets the writer write a batch, or build the indexes (None), and waits for it."""
    steps.send(batch)
    step: Step = steps.recv()
    return step


@contextmanager
def _writer(database_url: str) -> Iterator[Connection]:
    """Yields the connection to a writer of an empty database, which takes a batch and returns the step."""
    context = get_context("spawn")
    steps, of_writer = context.Pipe()
    process = context.Process(target=_take_steps, args=(database_url, of_writer), daemon=True)
    process.start()
    of_writer.close()  # or the end of the writer would not be seen here
    with steps:
        yield steps
    process.join()


def _take_steps(database_url: str, steps: Connection) -> None:
    """Writes batches until the other end is closed."""
    tune_memory()
    with writer(database_url) as fleet, suppress(EOFError):
        while True:
            batch = steps.recv()
            began, began_cpu = time.perf_counter(), time.process_time()
            written = 0
            if batch is None:
                fleet.finish()
            else:
                written = fleet.write(batch)
            steps.send(Step(written, time.perf_counter() - began, time.process_time() - began_cpu))


def _answer(database_url: str, seconds: float, connections: int) -> Iterator[Answered]:
    queries = growth_queries(database_url)
    with api(database_url, ENGINES[COMPILED]) as running:
        for query in queries:
            turns = take_turns(query, {COMPILED: running}, seconds, connections)
            yield Answered(query.letter, query.what, *turns[COMPILED])
