"""Metrics for Prometheus, described once: in code, and from there in the documentation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Histogram, start_http_server
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


def histogram(bounds: Sequence[float]) -> Histogram:
    """Returns a histogram with buckets up to these bounds, and one for larger values; `families` names it."""
    return Histogram("seconds", "", buckets=bounds, registry=None)


Samples = Mapping[str, Iterable[tuple[Sequence[str], Any]]]
"""By the metric's name: label values, and a number or a Histogram."""


def families(described: Iterable[Described], samples: Samples) -> Iterator[Metric]:
    """Yields every metric that is described, also those without a sample yet."""
    for metric in described:
        family = KINDS[metric.kind](metric.name, metric.help, labels=metric.labels)
        for labels, value in samples[metric.name]:
            if isinstance(family, HistogramMetricFamily):
                (observed,) = value.collect()
                for name, bucket, *sample in observed.samples:
                    if not name.endswith("_created"):
                        named = dict(zip(metric.labels, labels, strict=True))
                        family.add_sample(name.replace(observed.name, metric.name), named | bucket, *sample)
            else:
                family.add_metric(list(labels), value)
        yield family


@contextmanager
def serve_metrics(collectors: Iterable[Collector], host: str, port: int | None) -> Iterator[int | None]:
    """Serves /metrics in a thread for the block, with the metrics of the process; not if the port is None.

    Yields the port. Raises SettingsError if the address cannot be listened on.
    """
    if port is None:
        yield None
        return
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
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
