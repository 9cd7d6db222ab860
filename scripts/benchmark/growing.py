"""Measures how the indexer and the API keep their speed while a database grows.

Events are written in parts, as the indexer writes what it has fetched: what fetching costs does not depend on the
database. A short part before the others ends the first backfill, so that each part is written with all indexes. After
each part the API answers queries whose answers are as large in a small database as in a large one.
"""

import time
from collections.abc import Iterator

import msgspec

from indexer.chain.batch import Batch
from scripts.benchmark.databases import Databases, size
from scripts.benchmark.events import generate_growth
from scripts.benchmark.fleets import BLOCKS_A_BATCH, EVENTS_A_BLOCK, FleetWriter, batches, writer
from scripts.benchmark.loading import Load
from scripts.benchmark.queries import growth_queries
from scripts.benchmark.serving import COMPILED, ENGINES, api, take_turns

PARTS = 10
BEFORE = 0.01
"""Share of the events that are written before the indexes are built."""


class Answered(msgspec.Struct):
    """A query after a part. `cpu`: seconds of the API for each request."""

    letter: str
    what: str
    load: Load
    cpu: float


class Grown(msgspec.Struct):
    """A part. `events`: all that are in the database after it; `written`: those of the part.

    `seconds` and `cpu_seconds` of decoding, folding and writing; `server_cpu_seconds` of the database server.
    """

    database: str
    events: int
    written: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    database_bytes: int = 0
    answers: list[Answered] = []

    @property
    def rate(self) -> float:
        return self.written / self.seconds

    @property
    def cpu_an_event(self) -> float:
        return (self.cpu_seconds + self.server_cpu_seconds) / self.written


def grow(
    database_url: str, databases: Databases, events: int, seconds: float, connections: int, parts: int = PARTS
) -> Iterator[Grown]:
    """Fills an empty database with so many events, and yields each part."""
    with writer(database_url) as fleet:
        first = int(events * BEFORE)
        pending = batches(generate_growth(events), min(BLOCKS_A_BATCH, max(first // EVENTS_A_BLOCK, 1)))
        stored = 0
        while stored < first:
            stored += fleet.write(next(pending))
        fleet.finish()
        for part in range(1, parts + 1):
            grown = _write(fleet, pending, events * part // parts, stored, databases)
            stored = grown.events
            grown.database_bytes = size(database_url)
            grown.answers = list(_answer(database_url, seconds, connections))
            yield grown


def _write(fleet: FleetWriter, pending: Iterator[Batch], events: int, stored: int, databases: Databases) -> Grown:
    """Writes a part, until so many events are in the database. Generating them is not measured."""
    server, seconds, cpu, written = databases.server_cpu_seconds(), 0.0, 0.0, 0
    while stored + written < events:
        batch = next(pending)
        began, began_cpu = time.perf_counter(), time.process_time()
        written += fleet.write(batch)
        seconds += time.perf_counter() - began
        cpu += time.process_time() - began_cpu
    server = databases.server_cpu_seconds() - server
    return Grown(databases.kind, stored + written, written, seconds, cpu, server)


def _answer(database_url: str, seconds: float, connections: int) -> Iterator[Answered]:
    queries = growth_queries(database_url)
    with api(database_url, ENGINES[COMPILED]) as running:
        for query in queries:
            turns = take_turns(query, {COMPILED: running}, seconds, connections)
            yield Answered(query.letter, query.what, *turns[COMPILED])
