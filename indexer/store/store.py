"""The store: reads and writes the tables of one chain.

A step is computed from the open rows as they are at the checkpoint, then written in one transaction whose first
statement swaps the checkpoint. If another writer has committed meanwhile, the swap fails and nothing of the step is
stored.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from types import MappingProxyType

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.disagreement import Disagreement
from indexer.chain.headers import Heads
from indexer.changes import Changes, Names, OpenRows
from indexer.store.bulk import insert
from indexer.store.checkpoint import (
    Checkpoint,
    Fenced,
    KeptBlock,
    hold_fence,
    move_checkpoint,
    read_checkpoint,
    write_failure,
    write_head_source,
    write_heads,
)
from indexer.store.contract_calls import load_results
from indexer.store.digest import block_digest
from indexer.store.disagreements import resolve_disagreements, write_disagreements
from indexer.store.lease import show_life
from indexer.store.open_row_cache import OpenRowCache
from indexer.store.open_rows import index_addresses, load_open_rows
from indexer.store.rewriting import SORT_MEMORY, Rewriting, indexes_built_last, insert_events, write_changes
from indexer.store.rollback import Cause, RollbackCounts, delete_above
from indexer.store.timings import Timings
from indexer.store.verification import FailureRow
from indexer.store.wal import fit_to_database, shorten_wal
from indexer.store.watch_set import (
    WatchedContract,
    digest_of,
    first_block,
    insert_contracts,
    read_watch_set,
    replace_profile,
)
from schema.profile.calls import ContractCall
from schema.profile.model import Profile
from schema.tables import rows
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.kinds import DERIVED
from schema.tables.notices import UNKNOWN_HASH
from schema.tables.rows import EventLog, EventReading
from schema.tables.statistics import update_statistics
from schema.vocabulary import FailureCause

_kind = attrgetter("kind")

NO_BLOCKS: Mapping[int, Sequence[EventLog]] = MappingProxyType({})


class Written(Struct, frozen=True):
    """The number of blocks and events that a step stored, and of events that are facts."""

    blocks: int
    events: int
    facts: int


class Store:
    """Reads and writes one chain.

    `epoch` is the one of this writer's lease: a checkpoint of another epoch belongs to another writer.
    """

    def __init__(self, engine: Engine, chain_id: int, epoch: int) -> None:
        self.engine = engine
        self.epoch = epoch
        self.chain_id = chain_id
        self.open_row_cache = OpenRowCache()
        self.timings = Timings()

    def checkpoint(self) -> Checkpoint:
        """Returns how far the chain has been indexed."""
        with self.timings.database(), self.engine.begin() as connection:
            checkpoint = read_checkpoint(connection, self.chain_id)
        if checkpoint.writer_epoch != self.epoch:
            raise Fenced(f"Another writer has taken over chain {self.chain_id}.")
        return checkpoint

    def kept_blocks(self, at_or_below: int, limit: int) -> list[KeptBlock]:
        """Returns the newest stored blocks at or below a number, newest first."""
        with self.engine.begin() as connection:
            return self._kept_blocks(connection, at_or_below, limit)

    def contract_results(self, calls: Iterable[ContractCall]) -> Mapping[ContractCall, bytes]:
        """Returns the stored result of each call that has one."""
        with self.engine.begin() as connection:
            return load_results(connection, self.chain_id, calls)

    def watch_set(self) -> list[WatchedContract]:
        """Returns the watched contracts, also those that logs have created."""
        with self.engine.begin() as connection:
            return read_watch_set(connection, self.chain_id)

    def open_rows(self, before: Checkpoint, names: Names) -> OpenRows:
        """Returns ids and open rows of all that is named, as they are at the checkpoint."""
        with self.timings.transaction("read"), self.engine.begin() as connection:
            if names.addresses and not before.backfilled:
                index_addresses(connection)
            return load_open_rows(connection, self.chain_id, names, self.open_row_cache.at(before.hash))

    def forget_open_rows(self) -> None:
        """Drops the cache of open rows, which must not outlive a failed step."""
        self.open_row_cache = self.open_row_cache.empty()

    def commit(
        self,
        before: Checkpoint,
        batch: Batch,
        readings: Mapping[int, EventReading],
        changes: Changes,
        heads: Heads,
        created: Sequence[WatchedContract] = (),
        spread: Mapping[int, Sequence[EventLog]] = NO_BLOCKS,
    ) -> Written:
        """Stores a batch on top of the checkpoint; `readings` of all its events, by position.

        `created` are the contracts that its logs created. `spread` has, by number, the events of the blocks in which a
        log is several.

        Raises Fenced if the checkpoint has moved.
        """
        cache = self.open_row_cache.at(before.hash)
        with self.timings.stage("digest"):
            blocks, digest = _block_rows(before, batch)
        writing = self._writing(len(readings))
        with self.timings.stage("write"), self.timings.transaction("commit"), writing as connection:
            move_checkpoint(connection, before, batch.last, digest)
            write_heads(connection, before, heads, batch.last.hash)
            insert(connection, self.chain_id, "block", blocks)
            insert(connection, self.chain_id, "verification_failure", _noted(batch))
            events = [log for block in batch.blocks for log in spread.get(block.number, block.logs)]
            insert_events(connection, self.chain_id, events, readings)
            write_changes(connection, self.chain_id, changes)
            insert_contracts(connection, self.chain_id, created)
            self._prune(connection, before, batch.last.number, heads)
            resolve_disagreements(connection, self.chain_id)
        cache.note(batch.last.hash, changes.open_rows)
        self.open_row_cache = cache
        self.timings.kinds.update(map(_kind, readings.values()))
        return Written(len(batch.blocks), len(readings), len(changes.readings))

    def note_heads(self, before: Checkpoint, heads: Heads) -> None:
        """Stores the provider's heads when there is nothing to index."""
        with self.timings.database(), self.engine.begin() as connection:
            write_heads(connection, before, heads, before.hash)
            self._prune(connection, before, before.number, heads)

    def note_failure(self, error: str, *, stopped: bool = False) -> None:
        """Stores that steps fail, since when and why. `stopped`: they fail until a person decides."""
        with self.engine.begin() as connection:
            write_failure(connection, self.chain_id, self.epoch, error, stopped=stopped)

    def note_head_source(self, source: str | None) -> None:
        """Stores how the writer learns of new heads. None: by polling, because no other source is configured."""
        with self.engine.begin() as connection:
            write_head_source(connection, self.chain_id, self.epoch, source)

    def note_disagreements(self, disagreements: Sequence[Disagreement]) -> None:
        """Stores disagreements of hosts. Raises Fenced if another writer has taken over."""
        with self.engine.begin() as connection:
            write_disagreements(connection, self.chain_id, self.epoch, disagreements)
            resolve_disagreements(connection, self.chain_id)

    def roll_back(self, before: Checkpoint, ancestor: KeptBlock, cause: Cause) -> RollbackCounts:
        """Rolls back to the state after the ancestor. A fork leaves evidence in the orphan tables."""
        self.forget_open_rows()
        with self.timings.transaction("rollback"), self._writing() as connection:
            move_checkpoint(connection, before, ancestor, self._digest_at(connection, ancestor.number))
            counts = delete_above(connection, before, (ancestor.number, ancestor.hash), cause)
            if cause is Cause.OPERATOR:
                _lower_finality(connection, before.chain_id, ancestor)
        self.timings.rolled_back_rows += counts.rows
        return counts

    def roll_back_to(self, before: Checkpoint, number: int) -> tuple[KeptBlock, RollbackCounts]:
        """Rolls back to the last kept block at or below `number`: the state there is the state after `number`."""
        kept = self.kept_blocks(number, 1)
        target = kept[0] if kept else self.origin()
        return target, self.roll_back(before, target, Cause.OPERATOR)

    def origin(self) -> KeptBlock:
        """Returns the checkpoint of an empty index: the block before the first watched one, with an unknown hash."""
        with self.engine.begin() as connection:
            start = first_block(read_watch_set(connection, self.chain_id))
        return KeptBlock(start - 1, UNKNOWN_HASH, 0)

    def finish_backfill(self, before: Checkpoint) -> None:
        """Builds the secondary indexes and marks the first backfill as finished."""
        self.forget_open_rows()
        for index in SECONDARY_INDEXES:
            with self._writing() as connection:
                if connection.dialect.name == "sqlite":
                    show_life(connection, self.chain_id, self.epoch)  # the database is locked for the beat
                    connection.exec_driver_sql(SORT_MEMORY)
                connection.exec_driver_sql(index.ddl)
        with self.engine.begin() as connection:
            hold_fence(connection, before)
            update_statistics(connection)
            connection.execute(
                text("UPDATE chain SET backfilled = :yes WHERE chain_id = :chain_id"),
                {"yes": True, "chain_id": self.chain_id},
            )

    @contextmanager
    def rewriting(self, before: Checkpoint, profile: Profile, results: Sequence[rows.Call] = ()) -> Iterator[Rewriting]:
        """A transaction in which all derived rows are deleted, to be written again by this profile.

        `results` of contract calls are stored first.
        """
        self.forget_open_rows()
        with self._writing() as connection, indexes_built_last(connection, before):
            hold_fence(connection, before)
            insert(connection, self.chain_id, "call", results)
            replace_profile(connection, self.chain_id, profile)
            for table in DERIVED:
                connection.execute(
                    text(f'DELETE FROM "{table}" WHERE chain_id = :chain_id'), {"chain_id": self.chain_id}
                )
            yield Rewriting(connection, self.chain_id)

    # Writing

    @contextmanager
    def _writing(self, events: int = 0) -> Iterator[Connection]:
        """A transaction with so many events, and all that follows from them. Then the write-ahead log is shortened."""
        with self.timings.database(), self.engine.begin() as connection:
            most_bytes = fit_to_database(connection, events)
            yield connection
        shorten_wal(self.engine, most_bytes)

    def _prune(self, connection: Connection, before: Checkpoint, indexed: int, heads: Heads) -> None:
        """Deletes final blocks without events: no reorg needs them."""
        final = max(heads.finalized.number, before.finalized_number)
        connection.execute(
            text(
                """DELETE FROM block WHERE chain_id = :chain_id AND digest IS NULL
                AND number >= :first AND number < :last AND number <> :indexed"""
            ),
            {
                "chain_id": self.chain_id,
                "first": min(before.finalized_number, before.number),
                "last": min(final, indexed),
                "indexed": indexed,
            },
        )

    # Reading what is stored

    def _kept_blocks(self, connection: Connection, at_or_below: int, limit: int) -> list[KeptBlock]:
        rows = connection.execute(
            text(
                """SELECT number, hash, timestamp FROM block WHERE chain_id = :chain_id AND number <= :number
                ORDER BY number DESC LIMIT :limit"""
            ),
            {"chain_id": self.chain_id, "number": at_or_below, "limit": limit},
        )
        return [KeptBlock(number, bytes(hash), timestamp) for number, hash, timestamp in rows]

    def _digest_at(self, connection: Connection, number: int) -> tuple[bytes, int]:
        row = connection.execute(
            text(
                """SELECT digest, number FROM block WHERE chain_id = :chain_id AND number <= :number
                AND digest IS NOT NULL ORDER BY number DESC LIMIT 1"""
            ),
            {"chain_id": self.chain_id, "number": number},
        ).one_or_none()
        if row is not None:
            return bytes(row[0]), row[1]
        contracts = read_watch_set(connection, self.chain_id)
        return digest_of(self.chain_id, contracts), first_block(contracts) - 1


def _block_rows(before: Checkpoint, batch: Batch) -> tuple[list[rows.Block], tuple[bytes, int]]:
    """Returns the rows of the batch's blocks, each with its digest, and the last digest with its block."""
    digest, number = before.digest, before.digest_number
    blocks: list[rows.Block] = []
    for block in batch.blocks:
        if block.logs:
            digest, number = block_digest(digest, block.header.hash, block.logs), block.header.number
        blocks.append(_block_row(block, digest if block.logs else None))
    if not blocks or blocks[-1].number != batch.last.number:
        blocks.append(_block_row(BlockLogs(batch.last, (), 0), None))
    return blocks, (digest, number)


def _block_row(block: BlockLogs, digest: bytes | None) -> rows.Block:
    header = block.header
    return rows.Block(
        header.number,
        header.hash,
        header.parent_hash,
        header.timestamp,
        header.state_root,
        header.transactions_root,
        header.receipts_root,
        block.level,
        digest,
    )


def _noted(batch: Batch) -> list[FailureRow]:
    """Returns the blocks that are known to be not verifiable before anything was tried."""
    cause, now = FailureCause.UNKNOWN_FORM.value, int(time.time())
    return [FailureRow(block.number, cause, block.note, now, 0) for block in batch.blocks if block.note is not None]


def _lower_finality(connection: Connection, chain_id: int, to: KeptBlock) -> None:
    """Forgets the finality of blocks above this one: only an operator may roll back a final block."""
    connection.execute(
        text(
            """UPDATE chain SET safe_number = NULL, finalized_number = NULL, finalized_hash = NULL,
                finalized_time = NULL
            WHERE chain_id = :chain_id AND finalized_number > :number"""
        ),
        {"chain_id": chain_id, "number": to.number},
    )
