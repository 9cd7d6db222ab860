"""The indexer's metrics: one table that describes them, and a collector that fills it at each scrape."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from indexer.errors import failure_text
from indexer.observe.counters import Counters
from indexer.observe.startup_failure import StartupFailure
from indexer.rpc.pool import Pool
from schema.events import Kind
from schema.profile.releases import differs_from_release
from schema.program.metrics import Described, families
from schema.program.settings import without_password
from schema.tables.database import read_only_engine
from schema.tables.notices import STANDBY_SECONDS, blocks_to_start
from schema.vocabulary import FailureCause

SHOWN_ERROR = 300
UNKNOWN_CHAIN = "unknown"
"""The label `chain` until a provider, the settings or the database name the chain."""


def _of_chain(name: str, kind: str, help: str, *labels: str) -> Described:
    return Described(name, kind, help, ("chain", *labels))


METRICS = (
    _of_chain("certindex_indexed_block", "gauge", "Newest block in the database."),
    _of_chain("certindex_head_block", "gauge", "Newest block of the providers."),
    _of_chain("certindex_safe_block", "gauge", "Newest safe block."),
    _of_chain("certindex_finalized_block", "gauge", "Newest finalized block."),
    _of_chain("certindex_behind_blocks", "gauge", "Blocks up to the head that are not indexed yet."),
    _of_chain("certindex_behind_seconds", "gauge", "Age of the newest indexed block."),
    _of_chain("certindex_blocks_to_start", "gauge",
              "Blocks from the head up to START_BLOCK, if the chain has not reached it; else 0."),
    _of_chain("certindex_polled_seconds", "gauge", "Seconds since a provider last returned its head."),
    _of_chain("certindex_failing_seconds", "gauge",
              "Seconds since steps began to fail, or since the start began to wait for a provider; 0 otherwise."),
    _of_chain("certindex_failing_block", "gauge", "Block that cannot be indexed; absent while steps succeed."),
    _of_chain("certindex_failing", "gauge",
              "1 while steps fail, the start fails or the database does not answer; otherwise absent. "
              "`error` is the reason, `stopped` is yes if a person must act.",
              "stopped", "error"),
    _of_chain("certindex_waiting", "gauge",
              "1 while this process waits at its start for a provider; absent afterwards. "
              "`not_stored` is why the database does not hold the failure, empty if it does.",
              "not_stored"),
    _of_chain("certindex_waits_for", "gauge",
              "1 for what this process waits for now: node, database, lease (another indexer writes), or nothing (all "
              "is indexed); 0 for the others.",
              "what"),
    _of_chain("certindex_writing", "gauge", "1 while this process writes the chain; 0 while it stands by."),
    _of_chain("certindex_standbys", "gauge", "Indexers that stand by to write the chain."),
    _of_chain("certindex_leases_total", "counter", "Times that this process became the writer of the chain."),
    _of_chain("certindex_backfilled", "gauge", "1 when the backfill is finished and queries are answered."),
    _of_chain("certindex_rebuild_due", "gauge",
              "1 if this release has another text of the profile than the database, so that a rebuild is due; else 0."),
    _of_chain("certindex_contracts", "gauge",
              "Watched contracts, also those that factories created; indexing stops above 10000."),
    _of_chain("certindex_judged_block", "gauge",
              "Newest block up to which every block with events was verified or failed verification."),
    _of_chain("certindex_unverified_blocks", "gauge",
              "Blocks that could not be verified, by cause; CONTRADICTED and WRONGLY_STORED are alarms.",
              "cause"),
    _of_chain("certindex_disagreements", "gauge",
              "Finalized ranges for which providers returned different logs; open: not indexed for that reason.",
              "state"),
    _of_chain("certindex_range_blocks", "gauge", "Blocks that a log query of the backfill spans now."),
    _of_chain("certindex_blocks_total", "counter", "Blocks indexed by this process."),
    _of_chain("certindex_events_total", "counter",
              "Logs stored by this process, by kind; UNDECODABLE: the rule for their event cannot decode them.",
              "kind"),
    _of_chain("certindex_undecodable_logs", "gauge",
              "Logs in the database that the rule for their event cannot decode; absent during the backfill."),
    _of_chain("certindex_facts_total", "counter", "Logs that the profile decoded to a fact."),
    _of_chain("certindex_steps_total", "counter", "Steps, by outcome or by kind of failure.",
              "outcome"),
    _of_chain("certindex_step_seconds", "histogram", "Duration of steps, also of those that failed."),
    _of_chain("certindex_reorg_blocks", "histogram", "Blocks that a reorg removed; its count is the number of reorgs."),
    _of_chain("certindex_rolled_back_events_total", "counter", "Logs that reorgs removed."),
    _of_chain("certindex_rolled_back_rows_total", "counter",
              "Rows that reorgs deleted or reopened, in all tables."),
    _of_chain("certindex_database_seconds", "histogram",
              "Duration of database transactions: reading the open rows of a step, committing it, rolling back.",
              "transaction"),
    _of_chain("certindex_socket_connected", "gauge", "1 while new heads come over WS_URL; absent if it is not set."),
    _of_chain("certindex_socket_heads_total", "counter", "New heads announced over WS_URL."),
    _of_chain("certindex_socket_drops_total", "counter",
              "Times that the connection to WS_URL was lost, silent or refused."),
    _of_chain("certindex_rpc_requests_total", "counter", "Requests to providers.", "host", "method"),
    _of_chain("certindex_rpc_errors_total", "counter", "Requests that failed, by kind of failure.",
              "host", "method", "error"),
    _of_chain("certindex_rpc_retries_total", "counter", "Requests that repeat one that failed.",
              "host", "method"),
    _of_chain("certindex_rpc_seconds", "histogram", "Time until a provider responded.", "host", "method"),
    _of_chain("certindex_rpc_slots", "gauge", "Requests that may be sent to a provider at the same time now.", "host"),
    _of_chain("certindex_rpc_away", "gauge", "1 while a provider is set aside.", "host"),
    _of_chain("certindex_rpc_head_block", "gauge", "Newest block that a provider is known to have.", "host"),
)  # fmt: skip

WAITS_FOR = ("node", "database", "lease", "nothing")

_Samples = dict[str, list[tuple[Sequence[str], Any]]]
"""By the metric's name: label values after `chain`, and the value."""


class ChainCollector(Collector):
    """Reads the chain's row and the counts of this process at each scrape, so that nothing is kept twice.

    While there is a `startup_failure`, the chain may be unknown, or not in the database yet.
    """

    def __init__(
        self,
        engine: Engine,
        chain_id: int | None,
        pool: Pool,
        counters: Counters,
        startup_failure: StartupFailure | None = None,
    ) -> None:
        self.engine = engine
        self.chain_id = chain_id
        self.pool = pool
        self.counters = counters
        self.startup_failure = startup_failure

    def begin(self, chain_id: int) -> None:
        """Ends the start: a provider has answered for this chain, which is in the database."""
        self.chain_id, self.startup_failure = chain_id, None

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the table, also those without a sample yet."""
        failure = self.startup_failure
        chain_id = self.chain_id if failure is None else failure.chain_id
        samples: _Samples = {metric.name: [] for metric in METRICS}
        samples |= {} if chain_id is None else self._of_row(chain_id)
        samples |= {} if failure is None else _of_startup(failure)
        samples |= self._of_counters() | self._of_pool()
        chain = UNKNOWN_CHAIN if chain_id is None else str(chain_id)
        return families(
            METRICS,
            {name: [((chain, *labels), value) for labels, value in values] for name, values in samples.items()},
        )

    def _of_row(self, chain_id: int) -> _Samples:
        try:
            return self._read_row(chain_id)
        except DBAPIError as error:  # a scrape that fails would not say why
            reason = without_password(failure_text(error))
            return {"certindex_failing": [(["no", reason[:SHOWN_ERROR]], 1)]}

    def _read_row(self, chain_id: int) -> _Samples:
        now = int(time.time())
        with read_only_engine(self.engine).begin() as connection:
            row = connection.execute(
                text(
                    """SELECT indexed_number, indexed_hash, indexed_time, head_number, safe_number, finalized_number,
                        polled_at, failing_since, backfilled, judged_number, last_error, stopped, profile,
                        (SELECT text FROM profile WHERE chain_id = :chain_id) AS profile_text,
                        (SELECT count(*) FROM standby WHERE chain_id = :chain_id AND seen_at >= :recent) AS standbys,
                        (SELECT count(*) FROM disagreement WHERE chain_id = :chain_id) AS disagreements,
                        (SELECT count(resolved_at) FROM disagreement WHERE chain_id = :chain_id) AS resolved,
                        (SELECT count(*) FROM contract WHERE chain_id = :chain_id) AS contracts,
                        CASE WHEN backfilled THEN
                            (SELECT count(*) FROM event WHERE chain_id = :chain_id AND kind = :undecodable)
                        END AS undecodable
                    FROM chain WHERE chain_id = :chain_id"""
                ),
                {
                    "chain_id": chain_id,
                    "recent": now - STANDBY_SECONDS,
                    "undecodable": Kind.UNDECODABLE.value,
                },
            ).one_or_none()
            if row is None:  # no provider has answered yet
                return {}
            failures = connection.execute(
                text("SELECT cause, count(*) FROM verification_failure WHERE chain_id = :chain_id GROUP BY cause"),
                {"chain_id": chain_id},
            )
            unverified = {failure[0]: failure[1] for failure in failures}
        indexed, head, polled_at = row.indexed_number, row.head_number, row.polled_at
        is_failing = row.failing_since is not None
        to_start = blocks_to_start(indexed, bytes(row.indexed_hash), head)
        return {
            "certindex_indexed_block": _one(indexed),
            "certindex_contracts": _one(row.contracts),
            "certindex_head_block": _one(head),
            "certindex_safe_block": _one(row.safe_number),
            "certindex_finalized_block": _one(row.finalized_number),
            "certindex_behind_blocks": _one(None if head is None else max(head - indexed, 0)),
            "certindex_behind_seconds": _one(None if to_start else max(now - row.indexed_time, 0)),
            "certindex_blocks_to_start": _one(to_start),
            "certindex_polled_seconds": _one(None if polled_at is None else max(now - polled_at, 0)),
            "certindex_failing_seconds": _one(max(now - row.failing_since, 0) if is_failing else 0),
            "certindex_failing_block": _one(indexed + 1 if is_failing else None),
            "certindex_failing": [(["yes" if row.stopped else "no", row.last_error[:SHOWN_ERROR]], 1)]
            if is_failing
            else [],
            "certindex_standbys": _one(row.standbys),
            "certindex_backfilled": _one(int(row.backfilled)),
            "certindex_rebuild_due": _one(int(differs_from_release(row.profile, row.profile_text))),
            "certindex_undecodable_logs": _one(row.undecodable),
            "certindex_judged_block": _one(row.judged_number),
            "certindex_unverified_blocks": [([cause.name], unverified.get(cause, 0)) for cause in FailureCause],
            "certindex_disagreements": [(["open"], row.disagreements - row.resolved), (["resolved"], row.resolved)],
        }

    def _waits_for(self) -> str:
        is_standing_by = self.startup_failure is None and not self.counters.is_writing
        return "lease" if is_standing_by else self.counters.timings.waits_for

    def _of_counters(self) -> _Samples:
        counters = self.counters
        connected = counters.socket_connected
        return {
            "certindex_waits_for": [([what], int(what == self._waits_for())) for what in WAITS_FOR],
            "certindex_writing": _one(int(counters.is_writing)),
            "certindex_leases_total": _one(counters.leases),
            "certindex_range_blocks": _one(counters.range_blocks),
            "certindex_blocks_total": _one(counters.blocks),
            "certindex_events_total": [([kind], count) for kind, count in counters.timings.by_kind()],
            "certindex_facts_total": _one(counters.facts),
            "certindex_steps_total": [([outcome], count) for outcome, count in sorted(counters.steps.items())],
            "certindex_step_seconds": _one(counters.step_seconds),
            "certindex_reorg_blocks": _one(counters.reorg_blocks),
            "certindex_rolled_back_events_total": _one(counters.rolled_back_events),
            "certindex_rolled_back_rows_total": _one(counters.timings.rolled_back_rows),
            "certindex_database_seconds": [([name], seconds) for name, seconds in counters.timings.seconds.items()],
            "certindex_socket_connected": _one(None if connected is None else int(connected)),
            "certindex_socket_heads_total": _one(counters.announced_heads),
            "certindex_socket_drops_total": _one(counters.socket_drops),
        }

    def _of_pool(self) -> _Samples:
        hosts = self.pool.hosts
        counts = [((host.name, method), host.counts[method]) for host in hosts for method in sorted(host.counts)]
        return {
            "certindex_rpc_requests_total": [(key, count.requests) for key, count in counts],
            "certindex_rpc_errors_total": [
                ([*key, error], number) for key, count in counts for error, number in sorted(count.errors.items())
            ],
            "certindex_rpc_retries_total": [(key, count.retries) for key, count in counts],
            "certindex_rpc_seconds": [(key, count.latency) for key, count in counts],
            "certindex_rpc_slots": [([host.name], int(host.limit.size)) for host in hosts],
            "certindex_rpc_away": [([host.name], int(host.away is not None)) for host in hosts],
            "certindex_rpc_head_block": [([host.name], host.head) for host in hosts if host.head >= 0],
        }


def _of_startup(failure: StartupFailure) -> _Samples:
    """Returns the samples of the wait for a provider, and of its failures if the chain's row does not hold them."""
    samples: _Samples = {"certindex_waiting": [([failure.reason_not_stored], 1)]}
    if failure.since is not None and failure.reason_not_stored:
        samples["certindex_failing_seconds"] = _one(max(int(time.time()) - failure.since, 0))
        samples["certindex_failing"] = [(["no", failure.error[:SHOWN_ERROR]], 1)]
    return samples


def _one(value: Any) -> list[tuple[Sequence[str], Any]]:
    return [] if value is None else [((), value)]
