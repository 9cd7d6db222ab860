"""What Prometheus reads, whoever counts it: metrics that are described once, in code and in the documentation alike."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any
from wsgiref.simple_server import WSGIServer

from msgspec import Struct
from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from schema.program.settings import SettingsError

KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Described(Struct, frozen=True):
    """A metric as the documentation has it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


class Histogram:
    """Counts of values by buckets, the last one without a bound. May be told by several threads."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Counts a value."""
        bucket = bisect_left(self.bounds, value)
        with self._lock:
            self.counts[bucket] += 1
            self.sum += value


Samples = Mapping[str, Iterable[tuple[Sequence[str], Any]]]
"""By the metric's name: label values, and the number or the Histogram."""


def families(described: Iterable[Described], samples: Samples) -> Iterator[Metric]:
    """Yields every metric that is described, also those without a sample yet."""
    for each in described:
        family = KINDS[each.kind](each.name, each.help, labels=each.labels)
        for labels, value in samples[each.name]:
            if isinstance(family, HistogramMetricFamily):
                family.add_metric(list(labels), _buckets(value), sum_value=value.sum)
            else:
                family.add_metric(list(labels), value)
        yield family


def serve_metrics(collectors: Iterable[Collector], host: str, port: int) -> WSGIServer:
    """Serves /metrics in a thread of its own until the server's `shutdown`, with those of the process.

    Raises SettingsError where the port cannot be had.
    """
    registry = CollectorRegistry()
    for collector in (*collectors, PROCESS_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SettingsError(
            f"METRICS_HOST={host} METRICS_PORT={port} cannot be listened on: {error.strerror}. "
            "Set another: METRICS_PORT=9100"
        ) from None
    return server


def markdown_table(described: Iterable[Described]) -> str:
    """Returns the table of docs/reference/metrics.md."""
    lines = ["| metric | kind | labels | what it tells |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |"
        for each in described
    ]
    return "\n".join(lines)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return list(zip([*map(str, histogram.bounds), "+Inf"], accumulate(histogram.counts), strict=True))
