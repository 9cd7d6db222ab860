"""Disagreements of hosts on final blocks, stored as evidence: both answers, since when, until when."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, text

from indexer.chain.disagreement import Disagreement, digest
from indexer.store.checkpoint import hold_epoch

KEPT = 1_000
"""Most disagreements that are stored of a chain; older ones are deleted."""


def write_disagreements(
    connection: Connection, chain_id: int, epoch: int, disagreements: Sequence[Disagreement]
) -> None:
    """Stores disagreements, under the fence. One that is open already only gets a new last-seen time."""
    hold_epoch(connection, chain_id, epoch)
    for disagreement in disagreements:
        logs, other_logs = disagreement.answer.to_json(), disagreement.other.to_json()
        row = {
            "chain_id": chain_id,
            "first": disagreement.first,
            "last": disagreement.last,
            "host": disagreement.answer.host,
            "other_host": disagreement.other.host,
            "logs": logs.decode(),
            "other_logs": other_logs.decode(),
            "log_count": len(disagreement.answer.logs),
            "other_log_count": len(disagreement.other.logs),
            "digest": digest(logs),
            "other_digest": digest(other_logs),
            "now": int(time.time()),
        }
        if connection.execute(text(SEE_AGAIN), row).rowcount == 0:
            connection.execute(text(INSERT), row)
    connection.execute(text(FORGET), {"chain_id": chain_id, "kept": KEPT})


def resolve_disagreements(connection: Connection, chain_id: int) -> None:
    """Marks disagreements as resolved whose blocks are indexed: enough hosts returned the same logs."""
    connection.execute(text(RESOLVE), {"chain_id": chain_id, "now": int(time.time())})


SEE_AGAIN = """UPDATE disagreement SET last_seen_at = :now
WHERE chain_id = :chain_id AND resolved_at IS NULL AND first_block = :first AND last_block = :last
    AND host = :host AND other_host = :other_host AND digest = :digest AND other_digest = :other_digest"""

INSERT = """INSERT INTO disagreement (chain_id, disagreement_no, first_block, last_block, host, other_host, logs,
    other_logs, log_count, other_log_count, digest, other_digest, first_seen_at, last_seen_at)
VALUES (:chain_id, (SELECT coalesce(max(disagreement_no), 0) + 1 FROM disagreement WHERE chain_id = :chain_id),
    :first, :last, :host, :other_host, :logs,
    :other_logs, :log_count, :other_log_count, :digest, :other_digest, :now, :now)"""

FORGET = """DELETE FROM disagreement WHERE chain_id = :chain_id AND disagreement_no <=
    (SELECT max(disagreement_no) FROM disagreement WHERE chain_id = :chain_id) - :kept"""

RESOLVE = """UPDATE disagreement SET resolved_at = :now WHERE chain_id = :chain_id AND resolved_at IS NULL
    AND last_block <= (SELECT indexed_number FROM chain WHERE chain_id = :chain_id)"""
