"""Verification levels: the blocks that wait to be verified, and the results.

Verification takes long and runs outside of any transaction. A result names its block by number and hash, so that it has
no effect after a rollback.
"""

import time
from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from indexer.proof.evidence import StoredBlock
from indexer.proof.judge import Contradicted, Failure, Judgment, NoEvidence, Uncovered, Unverifiable, Verified, Wrong
from indexer.store.bulk import insert
from indexer.store.checkpoint import Fenced
from indexer.store.event_ranges import read_range
from schema.abi.rlp import encode
from schema.tables.database import read_only_engine
from schema.tables.kinds import VERIFICATION
from schema.vocabulary import FailureCause, VerificationLevel

FIRST_RETRY_SECONDS = 60
LAST_RETRY_SECONDS = 3_600

CAUSES: dict[type[Failure], FailureCause] = {
    Unverifiable: FailureCause.UNKNOWN_FORM,
    Uncovered: FailureCause.UNKNOWN_FORM,
    NoEvidence: FailureCause.NO_EVIDENCE,
    Contradicted: FailureCause.CONTRADICTED,
    Wrong: FailureCause.WRONGLY_STORED,
}

Judged = tuple[StoredBlock, Judgment]


class VerificationProgress(Struct, frozen=True):
    """How far the chain is verified, and how far it may be: the newest block that is indexed and final."""

    judged: int
    final: int


class HeaderRow(Struct, frozen=True):
    """A row of `verified_header`."""

    number: int
    rlp: bytes


class ProofRow(Struct, frozen=True):
    """A row of `receipt_proof`."""

    block_number: int
    transaction_index: int
    first_log_index: int
    nodes: bytes


class FailureRow(Struct, frozen=True):
    """A row of `verification_failure`."""

    number: int
    cause: int
    reason: str
    failed_at: int
    tries: int


class VerificationStore:
    """The levels of one chain. With an `epoch` they are written only while that writer holds the chain."""

    def __init__(self, engine: Engine, chain_id: int, *, epoch: int | None = None, keep_proofs: bool = True) -> None:
        self.engine = engine
        self.chain_id = chain_id
        self.epoch = epoch
        self.keep_proofs = keep_proofs

    def progress(self) -> VerificationProgress:
        """Returns how far the chain is verified, and how far it may be."""
        with read_only_engine(self.engine).begin() as connection:
            judged, indexed, finalized = connection.execute(
                text(
                    """SELECT judged_number, indexed_number, coalesce(finalized_number, -1) FROM chain
                    WHERE chain_id = :chain_id"""
                ),
                {"chain_id": self.chain_id},
            ).one()
        return VerificationProgress(judged, min(indexed, finalized))

    def knows_headers(self) -> bool:
        """Returns whether a header of this chain has been recomputed."""
        with read_only_engine(self.engine).begin() as connection:
            header = connection.execute(
                text("SELECT number FROM verified_header WHERE chain_id = :chain_id LIMIT 1"),
                {"chain_id": self.chain_id},
            )
            return header.one_or_none() is not None

    def blocks(self, first: int, last: int, limit: int) -> Sequence[StoredBlock]:
        """Returns the next blocks with events from first to last."""
        with read_only_engine(self.engine).begin() as connection:
            return read_range(connection, self.chain_id, first, last, limit).blocks

    def due_failures(self, limit: int) -> list[StoredBlock]:
        """Returns failed blocks that may be retried now. The wait doubles with each try."""
        with read_only_engine(self.engine).begin() as connection:
            failures = connection.execute(
                text(
                    """SELECT number, failed_at, tries FROM verification_failure
                    WHERE chain_id = :chain_id AND cause <> :unknown_form ORDER BY failed_at, number LIMIT 1000"""
                ),
                {"chain_id": self.chain_id, "unknown_form": FailureCause.UNKNOWN_FORM.value},
            ).all()
            now = int(time.time())
            due = [number for number, failed_at, tries in failures if failed_at + _patience(tries) <= now]
            return [
                block
                for number in due[:limit]
                for block in read_range(connection, self.chain_id, number, number, 1).blocks
            ]

    def record(self, judged: Iterable[Judged], *, through: int | None = None) -> None:
        """Stores results, and through which block all are verified or failed. Raises Fenced."""
        with self.engine.begin() as connection:
            self._raise_revision(connection, through)
            for block, outcome in judged:
                match outcome:
                    case Verified():
                        self._verify(connection, block, outcome)
                    case _:
                        self._fail(connection, block, outcome)

    def _raise_revision(self, connection: Connection, through: int | None) -> None:
        """Locks the chain's row first, as every writer does: no rollback can run beside the statements that follow."""
        changed = connection.execute(
            text(
                """UPDATE chain SET revision = revision + 1,
                    judged_number = CASE WHEN :through > judged_number THEN :through ELSE judged_number END
                WHERE chain_id = :chain_id AND (:epoch < 0 OR writer_epoch = :epoch)"""
            ),
            {
                "chain_id": self.chain_id,
                "through": -1 if through is None else through,
                "epoch": -1 if self.epoch is None else self.epoch,
            },
        )
        if changed.rowcount != 1:
            raise Fenced(f"Another writer has taken over chain {self.chain_id}; nothing was marked as verified.")

    def _verify(self, connection: Connection, block: StoredBlock, verified: Verified) -> None:
        if not self._set_level(connection, block, VerificationLevel.RECEIPTS):
            return
        self._forget(connection, block.number)
        insert(connection, self.chain_id, "verified_header", [HeaderRow(block.number, verified.header)])
        if self.keep_proofs:
            rows = [
                ProofRow(block.number, proof.transaction_index, proof.first_log_index, encode(proof.nodes))
                for proof in verified.proofs
            ]
            insert(connection, self.chain_id, "receipt_proof", rows)

    def _fail(self, connection: Connection, block: StoredBlock, failure: Failure) -> None:
        at = {"chain_id": self.chain_id, "number": block.number, "hash": block.hash}
        level = connection.execute(
            text("SELECT level FROM block WHERE chain_id = :chain_id AND number = :number AND hash = :hash"), at
        ).scalar_one_or_none()
        if level is None:
            return
        tries = connection.execute(
            text("SELECT tries FROM verification_failure WHERE chain_id = :chain_id AND number = :number"), at
        ).scalar_one_or_none()
        if level == VerificationLevel.RECEIPTS:
            self._set_level(connection, block, VerificationLevel.RPC)  # never silently kept as verified
        self._forget(connection, block.number)
        cause = CAUSES[type(failure)].value
        row = FailureRow(block.number, cause, failure.reason, int(time.time()), (tries or 0) + 1)
        insert(connection, self.chain_id, "verification_failure", [row])

    def _set_level(self, connection: Connection, block: StoredBlock, level: VerificationLevel) -> bool:
        """Sets the level. Returns False if the block is no longer stored."""
        changed = connection.execute(
            text("UPDATE block SET level = :level WHERE chain_id = :chain_id AND number = :number AND hash = :hash"),
            {"level": level.value, "chain_id": self.chain_id, "number": block.number, "hash": block.hash},
        )
        return changed.rowcount == 1

    def _forget(self, connection: Connection, number: int) -> None:
        for table, column in VERIFICATION.items():
            connection.execute(
                text(f"DELETE FROM {table} WHERE chain_id = :chain_id AND {column} = :number"),
                {"chain_id": self.chain_id, "number": number},
            )


def _patience(tries: int) -> int:
    return min(FIRST_RETRY_SECONDS << min(tries - 1, 10), LAST_RETRY_SECONDS)
