"""What Prometheus reads from the indexer: one table of metrics, filled from the database row and plain counts."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any
from wsgiref.simple_server import WSGIServer

from msgspec import Struct
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text

from indexer.errors import Stop
from indexer.record import REORG_BLOCKS, STEP_SECONDS, Record
from indexer.rpc import Pool
from indexer.rpc.counts import LATENCY_SECONDS
from schema.notices import STANDBY_SECONDS
from schema.vocabulary import FailureCause

KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Described(Struct, frozen=True):
    """A metric as the documentation has it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ("chain",)


SHOWN_ERROR = 300
BY_HOST = ("chain", "host")
BY_METHOD = ("chain", "host", "method")

METRICS = (
    Described("certindex_indexed_block", "gauge", "Newest block in the database."),
    Described("certindex_head_block", "gauge", "Newest block that the providers have."),
    Described("certindex_safe_block", "gauge", "Newest block that the chain calls safe."),
    Described("certindex_finalized_block", "gauge", "Newest block that the chain calls final."),
    Described("certindex_behind_blocks", "gauge", "Blocks of the head that are not indexed yet."),
    Described("certindex_behind_seconds", "gauge", "Age of the newest indexed block."),
    Described("certindex_polled_seconds", "gauge", "Seconds since a provider last told its head."),
    Described("certindex_failing_seconds", "gauge", "Seconds since steps fail; 0 while they succeed."),
    Described("certindex_failing_block", "gauge", "Block that cannot be indexed; absent while steps succeed."),
    Described("certindex_failing", "gauge",
              "1 while steps fail, with the reason; absent while they succeed. `stopped`: until a person decides.",
              ("chain", "stopped", "error")),
    Described("certindex_writing", "gauge", "1 while this process writes the chain; 0 while it stands by."),
    Described("certindex_standbys", "gauge", "Indexers that stand by for the chain."),
    Described("certindex_leases_total", "counter", "How often this process became the writer of the chain."),
    Described("certindex_backfilled", "gauge", "1 when the final blocks were all read once and answers are served."),
    Described("certindex_judged_block", "gauge", "Every block with events up to it was verified, or tried to be."),
    Described("certindex_unverified_blocks", "gauge",
              "Blocks that could not be verified, by cause; CONTRADICTED and WRONGLY_STORED are alarms.",
              ("chain", "cause")),
    Described("certindex_disagreements", "gauge",
              "Finalized ranges on which providers gave different logs; open: not indexed for it.",
              ("chain", "state")),
    Described("certindex_range_blocks", "gauge", "Blocks that a query for logs spans now, in backfill."),
    Described("certindex_blocks_total", "counter", "Blocks indexed by this process."),
    Described("certindex_events_total", "counter", "Logs stored by this process, of every kind."),
    Described("certindex_facts_total", "counter", "Logs in which the profile found a fact."),
    Described("certindex_steps_total", "counter", "Steps by their outcome, or by the kind of failure.",
              ("chain", "outcome")),
    Described("certindex_step_seconds", "histogram", "Time that a step took, good or bad."),
    Described("certindex_reorg_blocks", "histogram", "Blocks that a reorg took back; its count is that of reorgs."),
    Described("certindex_rolled_back_events_total", "counter", "Logs that reorgs took back."),
    Described("certindex_socket_connected", "gauge", "1 while new heads come over WS_URL; absent without one."),
    Described("certindex_socket_heads_total", "counter", "New heads that were announced over WS_URL."),
    Described("certindex_socket_drops_total", "counter", "How often WS_URL was lost, silent or refused."),
    Described("certindex_rpc_requests_total", "counter", "Requests to providers.", BY_METHOD),
    Described("certindex_rpc_errors_total", "counter", "Requests that failed, by what the failure asks for.",
              (*BY_METHOD, "error")),
    Described("certindex_rpc_retries_total", "counter", "Requests that ask again what has failed before.", BY_METHOD),
    Described("certindex_rpc_seconds", "histogram", "Time until a provider answered.", BY_METHOD),
    Described("certindex_rpc_slots", "gauge", "Requests that a provider may be asked side by side now.", BY_HOST),
    Described("certindex_rpc_away", "gauge", "1 while a provider is set aside.", BY_HOST),
    Described("certindex_rpc_head_block", "gauge", "Newest block that a provider is known to have.", BY_HOST),
)  # fmt: skip

Samples = dict[str, list[tuple[Sequence[str], Any]]]
"""By the metric's name: label values after the chain's, and the value; for histograms (bounds, counts, sum)."""


class ChainCollector(Collector):
    """Collects at each scrape, so that nothing is kept twice."""

    def __init__(self, engine: Engine, chain_id: int, pool: Pool, record: Record) -> None:
        self.engine = engine
        self.chain_id = chain_id
        self.pool = pool
        self.record = record

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the table, also those without a sample yet."""
        samples = self._of_row() | self._of_record() | self._of_pool()
        for described in METRICS:
            family = KINDS[described.kind](described.name, described.help, labels=described.labels)
            for labels, value in samples[described.name]:
                if isinstance(family, HistogramMetricFamily):
                    bounds, counts, total = value
                    family.add_metric([str(self.chain_id), *labels], _buckets(bounds, counts), sum_value=total)
                else:
                    family.add_metric([str(self.chain_id), *labels], value)
            yield family

    def _of_row(self) -> Samples:
        now = int(time.time())
        with self.engine.begin() as connection:
            row = connection.execute(
                text(
                    """SELECT indexed_number, indexed_time, head_number, safe_number, finalized_number, polled_at,
                        failing_since, backfilled, judged_number, last_error, stopped,
                        (SELECT count(*) FROM standby WHERE chain_id = :chain_id AND seen_at >= :recent)
                    FROM chain WHERE chain_id = :chain_id"""
                ),
                {"chain_id": self.chain_id, "recent": now - STANDBY_SECONDS},
            ).one()
            failures = connection.execute(
                text("SELECT cause, count(*) FROM verification_failure WHERE chain_id = :chain_id GROUP BY cause"),
                {"chain_id": self.chain_id},
            )
            unverified = {row[0]: row[1] for row in failures}
            seen, resolved = connection.execute(
                text("SELECT count(*), count(resolved_at) FROM disagreement WHERE chain_id = :chain_id"),
                {"chain_id": self.chain_id},
            ).one()
        indexed, indexed_time, head, safe, finalized, polled_at, failing_since, backfilled, judged, *more = row
        error, stopped, standbys = more
        is_failing = failing_since is not None
        return {
            "certindex_indexed_block": _one(indexed),
            "certindex_head_block": _one(head),
            "certindex_safe_block": _one(safe),
            "certindex_finalized_block": _one(finalized),
            "certindex_behind_blocks": _one(None if head is None else max(head - indexed, 0)),
            "certindex_behind_seconds": _one(max(now - indexed_time, 0)),
            "certindex_polled_seconds": _one(None if polled_at is None else max(now - polled_at, 0)),
            "certindex_failing_seconds": _one(max(now - failing_since, 0) if is_failing else 0),
            "certindex_failing_block": _one(indexed + 1 if is_failing else None),
            "certindex_failing": [(["yes" if stopped else "no", error[:SHOWN_ERROR]], 1)] if is_failing else [],
            "certindex_standbys": _one(standbys),
            "certindex_backfilled": _one(int(backfilled)),
            "certindex_judged_block": _one(judged),
            "certindex_unverified_blocks": [([cause.name], unverified.get(cause, 0)) for cause in FailureCause],
            "certindex_disagreements": [(["open"], seen - resolved), (["resolved"], resolved)],
        }

    def _of_record(self) -> Samples:
        record = self.record
        listening = record.socket_connected
        return {
            "certindex_writing": _one(int(record.is_writing)),
            "certindex_leases_total": _one(record.leases),
            "certindex_range_blocks": _one(record.range_blocks),
            "certindex_blocks_total": _one(record.blocks),
            "certindex_events_total": _one(record.events),
            "certindex_facts_total": _one(record.facts),
            "certindex_steps_total": [([outcome], count) for outcome, count in sorted(record.steps.items())],
            "certindex_step_seconds": _one((STEP_SECONDS, record.duration, record.seconds)),
            "certindex_reorg_blocks": _one((REORG_BLOCKS, record.depth, record.depths)),
            "certindex_rolled_back_events_total": _one(record.rolled_back_events),
            "certindex_socket_connected": _one(None if listening is None else int(listening)),
            "certindex_socket_heads_total": _one(record.announced_heads),
            "certindex_socket_drops_total": _one(record.socket_drops),
        }

    def _of_pool(self) -> Samples:
        tallies = sorted(self.pool.counts.tallies.items())
        hosts = self.pool.hosts
        return {
            "certindex_rpc_requests_total": [(key, tally.requests) for key, tally in tallies],
            "certindex_rpc_errors_total": [
                ([*key, error], count) for key, tally in tallies for error, count in sorted(tally.errors.items())
            ],
            "certindex_rpc_retries_total": [(key, tally.retries) for key, tally in tallies],
            "certindex_rpc_seconds": [(key, (LATENCY_SECONDS, tally.latency, tally.seconds)) for key, tally in tallies],
            "certindex_rpc_slots": [([host.name], int(host.slots.limit)) for host in hosts],
            "certindex_rpc_away": [([host.name], int(host.away is not None)) for host in hosts],
            "certindex_rpc_head_block": [([host.name], host.head) for host in hosts if host.head >= 0],
        }


def serve_metrics(collector: ChainCollector, host: str, port: int) -> WSGIServer:
    """Serves /metrics in a thread of its own until the server's `shutdown`. Raises Stop where the port is taken."""
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Stop(f"METRICS_PORT={port}: {error.strerror} on {host}. Set another: METRICS_PORT=9100") from None
    return server


def metrics_table() -> str:
    """Returns the Markdown table of docs/metrics.md."""
    lines = ["| metric | kind | labels | what it tells |", "| --- | --- | --- | --- |"]
    lines += [f"| `{each.name}` | {each.kind} | {_listed(each.labels)} | {each.help} |" for each in METRICS]
    return "\n".join(lines)


def _one(value: Any) -> list[tuple[Sequence[str], Any]]:
    return [] if value is None else [((), value)]


def _buckets(bounds: Iterable[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
