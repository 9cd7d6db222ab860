"""Counts of what the steps of this process did; metrics read them at each scrape."""

from dataclasses import dataclass, field
from typing import assert_never

from prometheus_client import Histogram

from indexer.store.timings import Timings
from indexer.sync.step import Ahead, BackfillFinished, Indexed, Outcome, RolledBack, UpToDate
from schema.program.metrics import histogram

STEP_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of a step's duration; a last bucket holds longer ones."""
REORG_BLOCKS = (1, 2, 3, 5, 10, 20, 50, 100, 500)
"""Upper bounds of the buckets of a reorg's depth; a last bucket holds deeper ones."""


@dataclass(slots=True)
class Counters:
    """Counts since the process began.

    `leases` counts how often the process became the writer. `steps` counts by the class name of the outcome or error.
    `range_blocks` is the last step's. `socket_connected` is None without WS_URL.
    """

    is_writing: bool = False
    leases: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    step_seconds: Histogram = field(default_factory=lambda: histogram(STEP_SECONDS))
    timings: Timings = field(default_factory=Timings)
    blocks: int = 0
    facts: int = 0
    reorg_blocks: Histogram = field(default_factory=lambda: histogram(REORG_BLOCKS))
    rolled_back_events: int = 0
    range_blocks: int = 0
    socket_connected: bool | None = None
    socket_drops: int = 0
    announced_heads: int = 0

    def succeeded(self, outcome: Outcome, seconds: float, range_blocks: int) -> None:
        """Counts a step that succeeded."""
        self._count(type(outcome).__name__, seconds)
        self.range_blocks = range_blocks
        match outcome:
            case Indexed(first, last, facts=facts):
                self.blocks += last - first + 1
                self.facts += facts
            case RolledBack(ancestor, old_head, events):
                self.reorg_blocks.observe(old_head - ancestor)
                self.rolled_back_events += events
            case BackfillFinished() | UpToDate() | Ahead():
                pass
            case _ as never:
                assert_never(never)

    def failed(self, error: Exception, seconds: float) -> None:
        """Counts a step that failed."""
        self._count(type(error).__name__, seconds)

    def _count(self, outcome: str, seconds: float) -> None:
        self.steps[outcome] = self.steps.get(outcome, 0) + 1
        self.step_seconds.observe(seconds)
