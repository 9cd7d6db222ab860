"""The progress of `certindex sync`: percentage, rate, range size and time left."""

import io

from indexer.observe.progress import Progress
from indexer.sync.step import Indexed, RolledBack, UpToDate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO) -> str:
    """Returns the text that a terminal's line shows now."""
    return out.getvalue().rpartition("\x1b[K")[2]


def test_a_bar_shows_blocks_events_rates_range_and_the_time_left() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(out, 1_000, 11_000, clock=clock)
    clock.now = 10.0
    progress.show(Indexed(1_001, 3_500, 400, 400, 11_000), 2_000)
    assert shown(out) == (
        f"[{'#' * 7:<30}]  25% block 3500 of 11000, 400 events, 250 blocks/s, 40 events/s, range 2000 blocks, 30s left"
    )
    clock.now = 20.0
    progress.show(Indexed(3_501, 6_000, 100, 100, 11_000), 500)
    assert shown(out).endswith(
        "50% block 6000 of 11000, 500 events, 250 blocks/s, 25 events/s, range 500 blocks, 20s left"
    )
    assert progress.summary(6_000) == "synced block=6000 blocks=5000 events=500 elapsed=20.0s rate=25/s"


def test_a_newer_head_is_the_new_goal_and_a_reorg_is_shown() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(out, 100, 200, clock=clock)
    clock.now = 1.0
    progress.show(RolledBack(90, 100, 3), 10)
    progress.show(Indexed(91, 95, 2, 2, 300), 10)
    assert "   0% block 95 of 300, 2 events, 0 blocks/s, 2 events/s, range 10 blocks, unknown left" in shown(out)
    assert "rolled_back=3" in progress.summary(95)


def test_elsewhere_than_on_a_terminal_a_line_comes_every_few_seconds_and_at_the_end() -> None:
    clock, out = Clock(), io.StringIO()
    progress = Progress(out, 0, 100, clock=clock)
    for second in range(1, 11):
        clock.now = float(second)
        progress.show(Indexed(second, second, 0, 0, 100), 1)
    progress.show(Indexed(11, 100, 0, 0, 100), 64)
    progress.show(UpToDate(100), 64)
    assert [line.partition(" block ")[2].partition(" of ")[0] for line in out.getvalue().splitlines()] == [
        "5",
        "10",
        "100",
    ]
