"""Counts and times of the steps of this process: plain numbers that metrics and the benchmark read."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import Histogram

from schema.events import Kind
from schema.program.metrics import histogram
from schema.program.tracing import span

DATABASE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of database time; a last bucket holds what took longer."""
TRANSACTIONS = ("read", "commit", "rollback")


@dataclass(slots=True)
class Timings:
    """`kinds`: logs stored, by kind; `rolled_back_rows`: rows that rollbacks deleted or opened again.

    `waits_for`: node, database or nothing.

    `seconds` of transactions; `stage_cpu` and `stage_wall`: seconds by stage of the steps, of the stage's thread and
    on the clock.
    """

    waits_for: str = "node"
    kinds: Counter[int] = field(default_factory=Counter)
    rolled_back_rows: int = 0
    seconds: dict[str, Histogram] = field(
        default_factory=lambda: {name: histogram(DATABASE_SECONDS) for name in TRANSACTIONS}
    )
    stage_cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    stage_wall: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Counts how long a transaction takes, good or bad."""
        began = time.perf_counter()
        try:
            with self.database(), span(name):
                yield
        finally:
            self.seconds[name].observe(time.perf_counter() - began)

    @contextmanager
    def database(self) -> Iterator[None]:
        """Notes that the database is waited for."""
        before, self.waits_for = self.waits_for, "database"
        try:
            yield
        finally:
            self.waits_for = before

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds up how long a stage takes. It runs a few times a step: measuring costs nothing."""
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            with span(name):
                yield
        finally:
            self.stage_cpu[name] += time.thread_time() - cpu
            self.stage_wall[name] += time.perf_counter() - wall

    def by_kind(self) -> list[tuple[str, int]]:
        """Returns the names of the kinds that were stored, with their counts."""
        return [(Kind(kind).name, count) for kind, count in sorted(self.kinds.items())]
