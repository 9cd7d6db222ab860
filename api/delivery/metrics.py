"""The metrics of `certindex deliver`."""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.registry import Collector

from api.delivery.counts import Counts
from api.delivery.delivery import Delivery
from schema.program.metrics import Described, Samples, families

SUBSCRIPTION = ("subscription",)
METRICS = (
    Described("certindex_delivery_messages_total", "counter", "Messages that the receiver has taken.", SUBSCRIPTION),
    Described(
        "certindex_delivery_attempts_total",
        "counter",
        "Attempts by result: ok, a class of statuses (4xx, 5xx), redirect, gone, timeout, address, dns, tls, "
        "connection, protocol, nats, redis, error.",
        ("subscription", "result"),
    ),
    Described("certindex_delivery_attempt_seconds", "histogram", "Seconds that an attempt took.", SUBSCRIPTION),
    Described(
        "certindex_delivery_lag_seconds",
        "gauge",
        "Age of the block of the oldest message that was read and not yet delivered. 0 if there is none.",
        SUBSCRIPTION,
    ),
    Described(
        "certindex_delivery_failing_seconds",
        "gauge",
        "Seconds since the first failed attempt of the next message. 0 if the last attempt succeeded.",
        SUBSCRIPTION,
    ),
    Described(
        "certindex_delivery_stopped",
        "gauge",
        "Whether nothing is sent until an operator resumes or replays: the receiver answered 410, or the cursor is "
        "stale.",
        SUBSCRIPTION,
    ),
)


class DeliveryMetrics(Collector):
    """Collects the metrics of the subscriptions that are delivered now."""

    def __init__(self, counts: Counts, deliveries: Callable[[], Sequence[Delivery]]) -> None:
        self._counts = counts
        self._deliveries = deliveries

    def collect(self) -> Iterator[Metric]:
        now, deliveries, attempts = time.time(), self._deliveries(), list(self._counts.attempts.items())
        samples: Samples = {
            "certindex_delivery_messages_total": [((name,), n) for (name, result), n in attempts if result == "ok"],
            "certindex_delivery_attempts_total": attempts,
            "certindex_delivery_attempt_seconds": [((name,), it) for name, it in list(self._counts.seconds.items())],
            "certindex_delivery_lag_seconds": [((one.name,), _lag(one, now)) for one in deliveries],
            "certindex_delivery_failing_seconds": [
                ((one.name,), max(0.0, now - (one.progress.failing_since or now))) for one in deliveries
            ],
            "certindex_delivery_stopped": [
                ((one.name,), float(one.progress.stopped is not None)) for one in deliveries
            ],
        }
        return families(METRICS, samples)

    def describe(self) -> Iterator[Metric]:
        return families(METRICS, {metric.name: [] for metric in METRICS})


def _lag(delivery: Delivery, now: float) -> float:
    try:
        return max(0.0, now - delivery.outbox[0].recorded_at)
    except IndexError:  # delivered just now, in another thread
        return 0.0
