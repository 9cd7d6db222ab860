"""What was asked of which host, and how it went: plain numbers for metrics to read."""

from dataclasses import dataclass, field

from schema.program.metrics import Histogram

LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram; a last bucket holds what took longer."""


@dataclass(slots=True)
class Tally:
    """One method at one host. `errors` by the name of the outcome, `latency` in seconds."""

    requests: int = 0
    retries: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=lambda: Histogram(LATENCY_SECONDS))


class Counts:
    """Tallies by (host as shown, method)."""

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}

    def answered(self, host: str, method: str, seconds: float) -> None:
        """Counts a request and the time until its answer, good or bad."""
        tally = self._tally(host, method)
        tally.requests += 1
        tally.latency.observe(seconds)

    def failed(self, host: str, method: str, error: str) -> None:
        """Counts the failure of a request that `answered` has counted."""
        errors = self._tally(host, method).errors
        errors[error] = errors.get(error, 0) + 1

    def retried(self, host: str, method: str) -> None:
        """Counts a request that asks again what has failed before."""
        self._tally(host, method).retries += 1

    def _tally(self, host: str, method: str) -> Tally:
        found = self.tallies.get((host, method))
        if found is None:
            found = self.tallies[host, method] = Tally()
        return found
