"""The store: one chain's tables, written in whole steps.

A step is computed from the open rows as they are at the checkpoint, then written in one transaction whose first
statement swaps the checkpoint. Had anyone else written meanwhile, the swap fails and nothing of the step is stored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.disagreement import Disagreement
from indexer.chain.headers import Heads
from indexer.decode.decode import read, read_event
from indexer.fold.fold import Changes, Rules, fold
from indexer.fold.row_changes import Placed, named_by
from indexer.store.bulk import close, insert, update
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
from indexer.store.contract_calls import completed
from indexer.store.digest import block_digest
from indexer.store.disagreements import resolve_disagreements, write_disagreements
from indexer.store.lease import show_life
from indexer.store.open_row_cache import Recent
from indexer.store.open_rows import load_open_rows
from indexer.store.rollback import IDENTITIES, LIFECYCLE, SPANS, Cause, Undone, undo
from indexer.store.statistics import ANALYZE, maintain
from indexer.store.timings import Work
from indexer.store.wal import shorten_wal
from indexer.store.watch_set import UNKNOWN_HASH, digest_of, first_block, read_watch_set, replace_profile
from schema.events import Kind
from schema.profile.model import Profile, Reader
from schema.tables import rows
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.values import block_of, end_of_block

REBUILD_CHUNK = 10_000
SORT_MEMORY = "PRAGMA cache_size = -8192"
"""On SQLite every thread that sorts takes as much memory as the cache may; what is more goes to disk."""
DERIVED = (*SPANS, *LIFECYCLE, *IDENTITIES)
"""The tables that a rebuild writes anew, row by row."""
READ_COLUMNS = (
    "kind",
    "device_id",
    "manufacturer_id",
    "hardware_license_id",
    "vehicle_id",
    "license_id",
    "event_time",
    "biz_step",
    "disposition",
    "flags",
)
"""The columns of `event` that a rebuild finds anew, and writes where they are others."""


class Stored(Struct, frozen=True):
    """What a step wrote."""

    blocks: int
    events: int
    facts: int


_read_columns = attrgetter(*READ_COLUMNS)


class StoredEvent(Struct, frozen=True):
    """An event to be read again, its block's time, and what is stored of the last reading: READ_COLUMNS."""

    event: rows.Event
    block_time: int
    read: tuple[int | None, ...]


class Store:
    """Writes one chain. `reader` reads logs by the profile, `rules` say what facts mean beyond themselves.

    `epoch` is this writer's, given by the lease: a checkpoint of another epoch belongs to another writer.
    """

    def __init__(self, engine: Engine, chain_id: int, reader: Reader, rules: Rules, epoch: int) -> None:
        self.engine = engine
        self.epoch = epoch
        self.chain_id = chain_id
        self.reader = reader
        self.rules = rules
        self.recent = Recent()
        self.work = Work()

    def checkpoint(self) -> Checkpoint:
        """Returns how far the chain has been indexed."""
        with self.engine.begin() as connection:
            checkpoint = read_checkpoint(connection, self.chain_id)
        if checkpoint.writer_epoch != self.epoch:
            raise Fenced(f"Another writer has taken over chain {self.chain_id}.")
        return checkpoint

    def kept_blocks(self, at_or_below: int, limit: int) -> list[KeptBlock]:
        """Returns canonical blocks that are kept, newest first, at most `limit`."""
        with self.engine.begin() as connection:
            return self._kept_blocks(connection, at_or_below, limit)

    def commit(self, before: Checkpoint, batch: Batch, heads: Heads) -> Stored:
        """Stores a batch on top of the checkpoint. Raises Fenced where the checkpoint has moved."""
        recent, self.recent = self.recent.at(before.hash), Recent()  # a step that fails drops it
        events, facts = read(self.reader, batch.blocks)
        with self.work.timed("read"), self.engine.begin() as connection:
            facts = completed(connection, self.chain_id, self.reader.calls, facts)
            open_rows = load_open_rows(connection, self.chain_id, named_by(facts), recent)
        changes = fold(open_rows, facts, self.rules)
        _apply_readings(events, changes)
        blocks, digest = self._block_rows(before, batch)
        with self.work.timed("commit"), self._writing() as connection:
            move_checkpoint(connection, before, batch.last, digest)
            write_heads(connection, before, heads)
            insert(connection, self.chain_id, "block", blocks)
            insert(connection, self.chain_id, "event", events)
            self._write(connection, changes)
            self._prune(connection, before, batch.last.number, heads)
            resolve_disagreements(connection, self.chain_id)
        recent.note(batch.last.hash, changes.open)
        self.recent = recent
        self.work.stored(events)
        return Stored(len(batch.blocks), len(events), len(facts))

    def note_heads(self, before: Checkpoint, heads: Heads) -> None:
        """Stores where the provider's head is, when there is nothing to index."""
        with self.engine.begin() as connection:
            write_heads(connection, before, heads)
            self._prune(connection, before, before.number, heads)

    def note_failure(self, error: str, *, stopped: bool = False) -> None:
        """Stores that steps fail, since when and why, for the API to tell; `stopped`: until a person decides."""
        with self.engine.begin() as connection:
            write_failure(connection, self.chain_id, self.epoch, error, stopped=stopped)

    def note_head_source(self, said: str | None) -> None:
        """Stores how new heads become known; None: by polling, as nothing else was asked for."""
        with self.engine.begin() as connection:
            write_head_source(connection, self.chain_id, self.epoch, said)

    def note_disagreements(self, found: Sequence[Disagreement]) -> None:
        """Stores what hosts said differently. Raises Fenced where another writer has taken over."""
        with self.engine.begin() as connection:
            write_disagreements(connection, self.chain_id, self.epoch, found)
            resolve_disagreements(connection, self.chain_id)

    def roll_back(self, before: Checkpoint, ancestor: KeptBlock, cause: Cause) -> Undone:
        """Returns to the state after the ancestor; a fork leaves evidence."""
        self.recent = Recent()
        with self.work.timed("rollback"), self._writing() as connection:
            move_checkpoint(connection, before, ancestor, self._digest_at(connection, ancestor.number))
            undone = undo(connection, before, (ancestor.number, ancestor.hash), cause)
            if cause is Cause.OPERATOR:
                _lower_finality(connection, before.chain_id, ancestor)
        self.work.undone += undone.rows
        return undone

    def roll_back_to(self, before: Checkpoint, number: int) -> tuple[KeptBlock, Undone]:
        """Rolls back to the last kept block at or below `number`: the state there is the state after `number`."""
        kept = self.kept_blocks(number, 1)
        target = kept[0] if kept else self.origin()
        return target, self.roll_back(before, target, Cause.OPERATOR)

    def origin(self) -> KeptBlock:
        """Returns the place before the first block that is watched, where nothing is indexed."""
        with self.engine.begin() as connection:
            start = first_block(read_watch_set(connection, self.chain_id))
        return KeptBlock(start - 1, UNKNOWN_HASH, 0)

    def finish_backfill(self, before: Checkpoint) -> None:
        """Builds the secondary indexes and says that the first backfill is over."""
        self.recent = Recent()
        maintain(self.engine)
        for index in SECONDARY_INDEXES:
            with self._writing() as connection:
                if connection.dialect.name == "sqlite":
                    show_life(connection, self.chain_id, self.epoch)  # the beat cannot, while the database is locked
                    connection.exec_driver_sql(SORT_MEMORY)
                connection.exec_driver_sql(index.ddl)
        with self.engine.begin() as connection:
            hold_fence(connection, before)
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(ANALYZE)
            connection.execute(
                text("UPDATE chain SET backfilled = :yes WHERE chain_id = :chain_id"),
                {"yes": True, "chain_id": self.chain_id},
            )

    def rebuild(self, before: Checkpoint, profile: Profile, answers: Sequence[rows.Call] = ()) -> Stored:
        """Rewrites all derived rows from the stored events, by this profile, in one transaction.

        `answers` are stored first, and complete what the events leave out.
        """
        events = facts = 0
        recent, self.recent = Recent(), Recent()
        with self._writing() as connection, _indexes_built_last(connection, before):
            hold_fence(connection, before)
            insert(connection, self.chain_id, "call", answers)
            replace_profile(connection, self.chain_id, profile)
            for table in DERIVED:
                connection.execute(
                    text(f'DELETE FROM "{table}" WHERE chain_id = :chain_id'), {"chain_id": self.chain_id}
                )
            for chunk in self._stored_events(connection):
                placed = completed(connection, self.chain_id, self.reader.calls, self._read_again(chunk))
                open_rows = load_open_rows(connection, self.chain_id, named_by(placed), recent)
                changes = fold(open_rows, placed, self.rules)
                recent.note(before.hash, changes.open)
                _apply_readings([stored.event for stored in chunk], changes)
                changed = [stored.event for stored in chunk if _read_columns(stored.event) != stored.read]
                update(connection, self.chain_id, "event", READ_COLUMNS, ("position",), changed)
                self._write(connection, changes)
                events, facts = events + len(chunk), facts + len(placed)
        return Stored(0, events, facts)

    # Writing

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that writes much."""
        with self.engine.begin() as connection:
            yield connection
        shorten_wal(self.engine)

    def _write(self, connection: Connection, changes: Changes) -> None:
        for table, closed in changes.closed.items():
            close(connection, self.chain_id, table, closed)
        for table, inserted in changes.inserted.items():
            insert(connection, self.chain_id, table, inserted)

    def _block_rows(self, before: Checkpoint, batch: Batch) -> tuple[list[rows.Block], tuple[bytes, int]]:
        """Returns the rows of the batch's blocks, each with its digest, and the last digest with its block."""
        digest, number = before.digest, before.digest_number
        found: list[rows.Block] = []
        for block in batch.blocks:
            if block.logs:
                digest, number = block_digest(digest, block.header.hash, block.logs), block.header.number
            found.append(_block_row(block, digest if block.logs else None))
        if not found or found[-1].number != batch.last.number:
            found.append(_block_row(BlockLogs(batch.last, (), 0), None))
        return found, (digest, number)

    def _prune(self, connection: Connection, before: Checkpoint, indexed: int, heads: Heads) -> None:
        """Drops headers that no reorg can ask for any more and that hold none of our events."""
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
        found = connection.execute(
            text(
                """SELECT number, hash, timestamp FROM block WHERE chain_id = :chain_id AND number <= :number
                ORDER BY number DESC LIMIT :limit"""
            ),
            {"chain_id": self.chain_id, "number": at_or_below, "limit": limit},
        )
        return [KeptBlock(number, bytes(hash), timestamp) for number, hash, timestamp in found]

    def _digest_at(self, connection: Connection, number: int) -> tuple[bytes, int]:
        found = connection.execute(
            text(
                """SELECT digest, number FROM block WHERE chain_id = :chain_id AND number <= :number
                AND digest IS NOT NULL ORDER BY number DESC LIMIT 1"""
            ),
            {"chain_id": self.chain_id, "number": number},
        ).one_or_none()
        if found is not None:
            return bytes(found[0]), found[1]
        contracts = read_watch_set(connection, self.chain_id)
        return digest_of(self.chain_id, contracts), first_block(contracts) - 1

    def _stored_events(self, connection: Connection) -> Iterator[list[StoredEvent]]:
        """Yields stored events in chunks of whole blocks."""
        after = -1
        while True:
            at = {"chain_id": self.chain_id, "after": after, "limit": REBUILD_CHUNK}
            last = connection.execute(
                text(
                    """SELECT max(position) FROM (SELECT position FROM event
                    WHERE chain_id = :chain_id AND position > :after ORDER BY position LIMIT :limit) AS chunk"""
                ),
                at,
            ).scalar_one()
            if last is None:
                return
            found = connection.execute(
                text(
                    f"""SELECT timestamp, position, address, topics, data, transaction_hash, transaction_index,
                        {", ".join(READ_COLUMNS)}
                    FROM event JOIN block ON block.chain_id = event.chain_id AND number = position >> 20
                    WHERE event.chain_id = :chain_id AND position > :after AND position <= :last ORDER BY position"""
                ),
                {"chain_id": self.chain_id, "after": after, "last": end_of_block(block_of(last))},
            )
            chunk = [
                StoredEvent(
                    rows.Event(position, address, topics, data, hash, index, Kind.UNMAPPED.value),
                    block_time,
                    tuple(read),
                )
                for block_time, position, address, topics, data, hash, index, *read in found
            ]
            after = chunk[-1].event.position
            yield chunk

    def _read_again(self, chunk: Sequence[StoredEvent]) -> list[Placed]:
        facts = (
            read_event(self.reader, stored.event, block_of(stored.event.position), stored.block_time)
            for stored in chunk
        )
        return [fact for fact in facts if fact is not None]


@contextmanager
def _indexes_built_last(connection: Connection, before: Checkpoint) -> Iterator[None]:
    """Takes the indexes of the derived tables away, and builds them when their rows are written."""
    if connection.dialect.name != "sqlite" or not before.backfilled:
        yield  # on PostgreSQL nobody could read meanwhile
        return
    indexes = [index for index in SECONDARY_INDEXES if index.table in DERIVED]
    for index in indexes:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {index.name}")
    yield
    connection.exec_driver_sql(SORT_MEMORY)
    for index in indexes:
        connection.exec_driver_sql(index.ddl)


def _apply_readings(events: Sequence[rows.Event], changes: Changes) -> None:
    """Fills in the derived columns of the events that are facts."""
    for event in events:
        reading = changes.readings.get(event.position)
        if reading is not None:
            event.kind = int(reading.kind)
            event.device_id = reading.device_id
            event.manufacturer_id = reading.manufacturer_id
            event.hardware_license_id = reading.hardware_license_id
            event.vehicle_id = reading.vehicle_id
            event.license_id = reading.license_id
            event.event_time = reading.event_time
            event.biz_step = reading.biz_step
            event.disposition = reading.disposition
            event.flags = int(reading.flags)


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


def _lower_finality(connection: Connection, chain_id: int, to: KeptBlock) -> None:
    """Forgets what was called final above the block: only an operator may say that the chain broke its word."""
    connection.execute(
        text(
            """UPDATE chain SET safe_number = NULL, finalized_number = NULL, finalized_hash = NULL,
                finalized_time = NULL
            WHERE chain_id = :chain_id AND finalized_number > :number"""
        ),
        {"chain_id": chain_id, "number": to.number},
    )
