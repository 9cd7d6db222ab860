"""Metrics for Prometheus, described once: in code, and from there in the documentation."""

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
    """A metric's name, kind, help and labels, for Prometheus and for the documentation."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


class Histogram:
    """Counts of values by buckets, the last one without a bound. Safe to use from several threads.

    Three times as fast as prometheus_client's, on the path of each request and each SQL statement.
    """

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
"""By the metric's name: label values, and a number or a Histogram."""


def families(described: Iterable[Described], samples: Samples) -> Iterator[Metric]:
    """Yields every metric that is described, also those without a sample yet."""
    for metric in described:
        family = KINDS[metric.kind](metric.name, metric.help, labels=metric.labels)
        for labels, value in samples[metric.name]:
            if isinstance(family, HistogramMetricFamily):
                family.add_metric(list(labels), _buckets(value), sum_value=value.sum)
            else:
                family.add_metric(list(labels), value)
        yield family


def serve_metrics(collectors: Iterable[Collector], host: str, port: int) -> WSGIServer:
    """Serves /metrics in a thread until the server's `shutdown`; adds the metrics of the process.

    Raises SettingsError if the address cannot be listened on.
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
    """Returns the documentation's table of metrics, in Markdown."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in described:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return list(zip([*map(str, histogram.bounds), "+Inf"], accumulate(histogram.counts), strict=True))
