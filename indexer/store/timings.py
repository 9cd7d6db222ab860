"""What the database was asked to do by the steps of this process: plain numbers for metrics to read."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from schema.events import Kind
from schema.program.metrics import Histogram
from schema.tables import rows

DATABASE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of database time; a last bucket holds what took longer."""
TRANSACTIONS = ("read", "commit", "rollback")


@dataclass(slots=True)
class Work:
    """`kinds`: logs stored, by kind; `undone`: rows that reorgs deleted or opened again; `seconds` by transaction."""

    kinds: Counter[int] = field(default_factory=Counter)
    undone: int = 0
    seconds: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram(DATABASE_SECONDS) for name in TRANSACTIONS}
    )

    @contextmanager
    def timed(self, transaction: str) -> Iterator[None]:
        """Counts how long a transaction takes, good or bad."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[transaction].observe(time.perf_counter() - began)

    def stored(self, events: Iterable[rows.Event]) -> None:
        """Counts logs that were stored."""
        self.kinds.update(event.kind for event in events)

    def by_kind(self) -> list[tuple[str, int]]:
        """Returns the names of the kinds that were met, with their counts."""
        return [(Kind(kind).name, count) for kind, count in sorted(self.kinds.items())]
