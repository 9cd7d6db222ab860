"""Counts of the attempts to deliver, for metrics."""

from collections import Counter, defaultdict

from prometheus_client import Histogram

from schema.program.metrics import histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Counts:
    """Counts attempts by subscription and result, and measures them."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, Histogram] = defaultdict(lambda: histogram(SECONDS))

    def add(self, name: str, result: str, seconds: float) -> None:
        """Counts one attempt."""
        self.attempts[name, result] += 1
        self.seconds[name].observe(seconds)
