"""Counts of the requests to a provider, for metrics."""

from msgspec import Struct, field
from prometheus_client import Histogram

from schema.program.metrics import histogram

LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram; a last bucket holds what took longer."""


class RequestCounts(Struct):
    """Counts of one method at one host. `errors` by the name of the refusal or exception, `latency` in seconds."""

    requests: int = 0
    retries: int = 0
    errors: dict[str, int] = {}
    latency: Histogram = field(default_factory=lambda: histogram(LATENCY_SECONDS))

    def answered(self, seconds: float) -> None:
        """Counts a request and the time until its answer, good or bad."""
        self.requests += 1
        self.latency.observe(seconds)

    def failed(self, error: str) -> None:
        """Counts the failure of a request that `answered` has counted."""
        self.errors[error] = self.errors.get(error, 0) + 1
