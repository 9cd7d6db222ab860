"""The row of a chain: the checkpoint, the heads, and the fence that stops a second writer."""

import time

from msgspec import Struct
from sqlalchemy import Connection, text

from indexer.chain.headers import Heads
from indexer.chain.wire import Header
from indexer.errors import Stop
from schema.tables.notices import CHANNEL
from schema.tables.values import clean_text


class Checkpoint(Struct, frozen=True):
    """How far a chain has been indexed. `hash` is the fence: a commit names the hash that it builds on."""

    chain_id: int
    number: int
    hash: bytes
    time: int
    digest: bytes
    digest_number: int
    finalized_number: int
    finalized_hash: bytes | None
    revision: int
    writer_epoch: int
    backfilled: bool


class KeptBlock(Struct, frozen=True):
    """A stored canonical block. `timestamp` in unix seconds."""

    number: int
    hash: bytes
    timestamp: int


class Fenced(Stop):
    """Another writer has moved the checkpoint or taken over; nothing of this step is stored."""


COLUMNS = """chain_id, indexed_number, indexed_hash, indexed_time, digest, digest_number,
    coalesce(finalized_number, -1), finalized_hash, revision, writer_epoch, backfilled"""


NOT_FAILING = "failing_since = NULL, last_error = NULL, stopped = false"
VANISHED_SECONDS = 8
"""PostgreSQL ends a transaction that is idle for so long: a suspended writer would block the next one."""


def read_checkpoint(connection: Connection, chain_id: int) -> Checkpoint:
    """Returns the checkpoint. Raises Stop if the chain is not in the database."""
    row = connection.execute(
        text(f"SELECT {COLUMNS} FROM chain WHERE chain_id = :chain_id"), {"chain_id": chain_id}
    ).one_or_none()
    if row is None:
        raise Stop(f"Chain {chain_id} is not in the database. Index it first: certindex sync")
    return Checkpoint(*row)


def move_checkpoint(
    connection: Connection, before: Checkpoint, after: Header | KeptBlock, digest: tuple[bytes, int]
) -> None:
    """Swaps the checkpoint, under the fence. The first statement of a transaction that changes the indexed range."""
    changed = connection.execute(
        text(
            f"""UPDATE chain SET indexed_number = :number, indexed_hash = :hash, indexed_time = :time, digest = :digest,
            digest_number = :digest_number, revision = revision + 1, writer_beat = writer_beat + 1, {NOT_FAILING}
            WHERE chain_id = :chain_id AND indexed_hash = :expected AND writer_epoch = :epoch"""
        ),
        {
            "number": after.number,
            "hash": after.hash,
            "time": after.timestamp,
            "digest": digest[0],
            "digest_number": digest[1],
            "chain_id": before.chain_id,
            "expected": before.hash,
            "epoch": before.writer_epoch,
        },
    )
    _check_fence(before, changed.rowcount)
    _notify_readers(connection)
    _end_if_silent(connection)


def hold_fence(connection: Connection, before: Checkpoint) -> None:
    """Raises the revision, under the fence. The first statement of a transaction that keeps the checkpoint."""
    changed = connection.execute(
        text(
            """UPDATE chain SET revision = revision + 1, writer_beat = writer_beat + 1
            WHERE chain_id = :chain_id AND indexed_hash = :expected AND writer_epoch = :epoch"""
        ),
        {"chain_id": before.chain_id, "expected": before.hash, "epoch": before.writer_epoch},
    )
    _check_fence(before, changed.rowcount)
    _notify_readers(connection)


def hold_epoch(connection: Connection, chain_id: int, epoch: int) -> None:
    """As `hold_fence`, for evidence that belongs to no checkpoint: only the writer is checked."""
    changed = connection.execute(
        text("UPDATE chain SET revision = revision + 1 WHERE chain_id = :chain_id AND writer_epoch = :epoch"),
        {"chain_id": chain_id, "epoch": epoch},
    )
    if changed.rowcount != 1:
        raise Fenced(f"Another writer has taken over chain {chain_id}.")
    _notify_readers(connection)


def write_heads(connection: Connection, before: Checkpoint, heads: Heads, indexed_hash: bytes) -> None:
    """Stores the provider's heads and the time, under the fence. The safe and finalized blocks never go down.

    `indexed_hash` is the newest indexed block, by now.
    """
    changed = connection.execute(
        text(
            f"""UPDATE chain SET head_number = :head, head_hash = :head_hash, head_time = :head_time,
            polled_at = :now, writer_beat = writer_beat + 1, {NOT_FAILING},
            revision = revision + CASE WHEN :safe > coalesce(safe_number, -1)
                OR :finalized > coalesce(finalized_number, -1) THEN 1 ELSE 0 END,
            safe_number = CASE WHEN :safe > coalesce(safe_number, -1) THEN :safe ELSE safe_number END,
            finalized_hash = CASE WHEN :finalized > coalesce(finalized_number, -1) THEN :finalized_hash
                ELSE finalized_hash END,
            finalized_time = CASE WHEN :finalized > coalesce(finalized_number, -1) THEN :finalized_time
                ELSE finalized_time END,
            finalized_number = CASE WHEN :finalized > coalesce(finalized_number, -1) THEN :finalized
                ELSE finalized_number END
            WHERE chain_id = :chain_id AND indexed_hash = :indexed AND writer_epoch = :epoch"""
        ),
        {
            "head": heads.latest.number,
            "head_hash": heads.latest.hash,
            "head_time": heads.latest.timestamp,
            "now": int(time.time()),
            "safe": heads.safe_number,
            "finalized": heads.finalized.number,
            "finalized_hash": heads.finalized.hash,
            "finalized_time": heads.finalized.timestamp,
            "indexed": indexed_hash,
            "chain_id": before.chain_id,
            "epoch": before.writer_epoch,
        },
    )
    _check_fence(before, changed.rowcount)
    _notify_readers(connection)
    _end_if_silent(connection)


def write_failure(connection: Connection, chain_id: int, epoch: int, error: str, *, stopped: bool) -> None:
    """Stores since when and why the steps of this epoch's writer fail. `stopped`: until a person decides."""
    connection.execute(
        text(
            """UPDATE chain SET failing_since = coalesce(failing_since, :now), last_error = :error,
            stopped = :stopped
            WHERE chain_id = :chain_id AND writer_epoch = :epoch"""
        ),
        {
            "now": int(time.time()),
            "error": clean_text(error),
            "stopped": stopped,
            "chain_id": chain_id,
            "epoch": epoch,
        },
    )


def write_head_source(connection: Connection, chain_id: int, epoch: int, source: str | None) -> None:
    """Stores how this epoch's writer learns of new heads."""
    connection.execute(
        text("UPDATE chain SET head_source = :source WHERE chain_id = :chain_id AND writer_epoch = :epoch"),
        {"source": None if source is None else clean_text(source), "chain_id": chain_id, "epoch": epoch},
    )


def _notify_readers(connection: Connection) -> None:
    """Notifies the readers that listen, when this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


def _end_if_silent(connection: Connection) -> None:
    """Makes the server end this transaction if the client is suspended or its machine is gone."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{VANISHED_SECONDS}s'"))


def _check_fence(before: Checkpoint, changed: int) -> None:
    if changed != 1:
        raise Fenced(
            f"Another writer has gone on from block {before.number} of chain {before.chain_id} or taken over; "
            "nothing of this step was stored. Run one indexer per chain."
        )
