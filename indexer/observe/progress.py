"""The progress of `certindex sync`, and its summary."""

import time
from collections.abc import Callable
from typing import TextIO

from indexer.sync.step import Indexed, Outcome, RolledBack

BAR_WIDTH = 30
REDRAW_SECONDS = 0.1


class Progress:
    """Draws a bar on a terminal, and writes a line every 5 seconds elsewhere."""

    def __init__(self, out: TextIO, number: int, target: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.out = out
        self.clock = clock
        self.first = number
        self.target = target
        self.began = self.clock()
        self.events = 0
        self.rolled_back = 0
        self._redraw_seconds = REDRAW_SECONDS if out.isatty() else 5.0
        self._drawn_at = self.began

    def show(self, outcome: Outcome, range_blocks: int) -> None:
        """Counts what a step did, and draws. `range_blocks` is the number of blocks that a log query spans now."""
        match outcome:
            case Indexed(last=last, events=events, head=head):
                self.events += events
                self.target = max(self.target, head)
                self._draw(last, range_blocks)
            case RolledBack():
                self.rolled_back += outcome.events
            case _:
                pass

    def summary(self, number: int) -> str:
        """Returns a summary in one line."""
        if self.out.isatty():
            self.out.write("\r\x1b[K")
        elapsed = self.clock() - self.began
        rate = self.events / elapsed if elapsed > 0 else 0.0
        rolled_back = f" rolled_back={self.rolled_back}" if self.rolled_back else ""
        return (
            f"synced block={number} blocks={max(number - self.first, 0)} events={self.events}{rolled_back} "
            f"elapsed={elapsed:.1f}s rate={rate:.0f}/s"
        )

    def _draw(self, number: int, range_blocks: int) -> None:
        now = self.clock()
        if now - self._drawn_at < self._redraw_seconds and number < self.target:
            return
        self._drawn_at = now
        done = max(number - self.first, 0)  # a rollback may have gone below the first block
        share = done / max(self.target - self.first, 1)
        elapsed = now - self.began
        left = f"{elapsed / share - elapsed:.0f}s" if share > 0 else "unknown"
        blocks, events = (count / elapsed if elapsed > 0 else 0.0 for count in (done, self.events))
        bar = "#" * int(share * BAR_WIDTH)
        line = (
            f"[{bar:<{BAR_WIDTH}}] {share:4.0%} block {number} of {self.target}, {self.events} events, "
            f"{blocks:.0f} blocks/s, {events:.0f} events/s, range {range_blocks} blocks, {left} left"
        )
        self.out.write(f"\r\x1b[K{line}" if self.out.isatty() else f"{line}\n")
        self.out.flush()
