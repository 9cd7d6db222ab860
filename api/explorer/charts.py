"""Charts that a template draws: where each bar stands, in the units of its drawing."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart: its label, its value, and its place. Measures are in the drawing's units."""

    label: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole. `constant` is the value itself, None if it is unknown. The rest has no value of its own."""

    constant: str | None
    count: int
    whole: int
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of something failed. The bar stands for the share, in thousandths."""

    bar: Bar
    count: int
    failed: int


WIDTH, HEIGHT, GAP = 600, 140, 0.25
"""The size of a drawing, and the part of a bar's place that stays free."""


def bars(values: Sequence[tuple[str, int]]) -> list[Bar]:
    """Returns a bar for each value, side by side. A count above 0 is never lower than one unit."""
    highest = max((count for _, count in values), default=0) or 1
    step = WIDTH / max(len(values), 1)
    heights = [round(max(HEIGHT * count / highest, 1 if count else 0), 2) for _, count in values]
    return [
        Bar(label, count, round(index * step, 2), round(HEIGHT - height, 2), round(step * (1 - GAP), 2), height)
        for index, ((label, count), height) in enumerate(zip(values, heights, strict=True))
    ]


def rates(values: Sequence[tuple[str, int, int]]) -> list[Rate]:
    """Returns a bar for each label, count and number of failures, side by side. The highest share fills the drawing."""
    drawn = bars([(label, -(-1000 * failed // count) if count else 0) for label, count, failed in values])
    return [Rate(bar, count, failed) for bar, (_, count, failed) in zip(drawn, values, strict=True)]


def shares(values: Sequence[tuple[str | None, int]], most: int) -> list[Share]:
    """Returns the `most` largest parts of a whole, the largest first. If there are more, the last one is the rest."""
    whole = sum(count for _, count in values)
    ordered = sorted(values, key=lambda value: -value[1])
    shown = ordered if len(ordered) <= most else ordered[: most - 1]
    parts = [Share(constant, count, whole) for constant, count in shown]
    rest = sum(count for _, count in ordered[len(shown) :])
    return [*parts, Share(None, rest, whole, is_rest=True)] if rest else parts


MONTHS = 24
"""Months of a chart."""


def recent_months(names: Collection[str], now: str) -> list[str]:
    """Returns the last MONTHS months from the first of `names` to the last of them or `now`, as 2025-07."""
    return list(months_between(min([*names, now]), max([*names, now])))[-MONTHS:]


def months_between(first: str, last: str) -> Iterator[str]:
    """Yields the months from first to last, both included, as 2025-07."""
    number, end = (12 * int(text[:4]) + int(text[5:7]) - 1 for text in (first, last))
    for month in range(number, end + 1):
        yield f"{month // 12:04}-{month % 12 + 1:02}"
