"""Rewriting all derived rows of a chain from its stored events, inside one transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import Connection, text

from indexer.changes import Changes, Names, OpenRows
from indexer.store.bulk import insert, insert_values, update, write_spans
from indexer.store.checkpoint import Checkpoint
from indexer.store.contract_calls import load_results
from indexer.store.open_row_cache import OpenRowCache
from indexer.store.open_rows import index_addresses, load_open_rows
from indexer.store.watch_set import WatchedContract, read_watch_set
from schema.profile.calls import ContractCall
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.kinds import DERIVED, SPANS
from schema.tables.rows import EventLog, EventReading, positioned
from schema.tables.values import block_of, end_of_block, position

EVENTS_A_CHUNK = 10_000
EVENT_COLUMNS = (*EventLog.__struct_fields__, *EventReading.__struct_fields__)
log_values = attrgetter(*EventLog.__struct_fields__)
SORT_MEMORY = "PRAGMA cache_size = -8192"
"""On SQLite every thread that sorts takes as much memory as the cache may; what is more goes to disk."""


class StoredBlockEvents(Struct, frozen=True):
    """The stored events of a block in order, each with its reading. `timestamp` in unix seconds.

    `logs` are as they were fetched: one that is several events comes once.
    """

    number: int
    timestamp: int
    logs: Sequence[EventLog]
    events: Sequence[EventLog]
    readings: Sequence[EventReading]


class Rewriting:
    """The open transaction of a rebuild: reads the stored events in chunks, and writes what they mean.

    `derived` is the connection to the derived tables, by default that to the events.
    """

    def __init__(self, connection: Connection, chain_id: int, derived: Connection | None = None) -> None:
        self._connection = connection
        self._derived = connection if derived is None else derived
        self._chain_id = chain_id
        self._cache = OpenRowCache()
        self._addresses_indexed = False

    def chunks(self) -> Iterator[list[StoredBlockEvents]]:
        """Yields the stored events, some whole blocks at a time."""
        after = -1
        while (end := self._end_of_chunk(after)) is not None:
            yield list(self._blocks(after, end))
            after = end

    def watch_set(self) -> list[WatchedContract]:
        """Returns the watched contracts: all that the events of the present chunk and those before it created."""
        return read_watch_set(self._connection, self._chain_id)

    def contract_results(self, calls: Iterable[ContractCall]) -> Mapping[ContractCall, bytes]:
        """Returns the stored result of each call that has one."""
        return load_results(self._connection, self._chain_id, calls)

    def open_rows(self, names: Names) -> OpenRows:
        """Returns ids and open rows of all that is named, as the chunks before have left them."""
        if names.addresses and not self._addresses_indexed:
            index_addresses(self._derived)
            self._addresses_indexed = True
        return load_open_rows(self._derived, self._chain_id, names, self._cache)

    def write(
        self,
        blocks: Iterable[StoredBlockEvents],
        spread: Mapping[int, Sequence[EventLog]],
        readings: Mapping[int, EventReading],
        changes: Changes,
    ) -> None:
        """Writes the changes of a chunk, and the readings that differ from the stored ones.

        `spread` has the events of the blocks in which a log is several.
        """
        same: list[StoredBlockEvents] = []
        for block in blocks:
            events = spread.get(block.number, block.logs)
            if events is block.events or events == block.events:
                same.append(block)
            else:
                self._write_block(block, events, readings)
        self._write_readings(
            (log.position, stored, readings[log.position])
            for block in same
            for log, stored in zip(block.events, block.readings, strict=True)
            if readings[log.position] != stored
        )
        write_changes(self._derived, self._chain_id, changes)
        self._cache.note(b"", changes.open_rows)

    def _write_block(
        self, block: StoredBlockEvents, events: Sequence[EventLog], readings: Mapping[int, EventReading]
    ) -> None:
        """Writes the events of a block whose logs are other events than before."""
        first, last = position(block.number, 0), end_of_block(block.number)
        self._connection.execute(
            text("DELETE FROM event WHERE chain_id = :chain_id AND position BETWEEN :first AND :last"),
            {"chain_id": self._chain_id, "first": first, "last": last},
        )
        insert_events(self._connection, self._chain_id, events, readings)

    def _write_readings(self, changed: Iterable[tuple[int, EventReading, EventReading]]) -> None:
        """Writes readings; `changed` has position, stored reading and new reading."""
        rows = [(*astuple(reading), position) for position, _, reading in changed]
        update(self._connection, self._chain_id, "event", EventReading.__struct_fields__, ("position",), rows)

    def _end_of_chunk(self, after: int) -> int | None:
        """Returns the last position of the chunk behind a position, None if no event is there."""
        last = self._connection.execute(
            text(
                """SELECT max(position) FROM (SELECT position FROM event
                WHERE chain_id = :chain_id AND position > :after ORDER BY position LIMIT :limit) AS chunk"""
            ),
            {"chain_id": self._chain_id, "after": after, "limit": EVENTS_A_CHUNK},
        ).scalar_one()
        return None if last is None else end_of_block(block_of(last))

    def _blocks(self, after: int, end: int) -> Iterator[StoredBlockEvents]:
        log_columns, reading_columns = EventLog.__struct_fields__, EventReading.__struct_fields__
        rows = self._connection.execute(
            text(
                f"""SELECT timestamp, {", ".join((*log_columns, *reading_columns))}
                FROM event JOIN block ON block.chain_id = event.chain_id AND number = position >> 20
                WHERE event.chain_id = :chain_id AND position > :after AND position <= :end ORDER BY position"""
            ),
            {"chain_id": self._chain_id, "after": after, "end": end},
        )
        count = 1 + len(log_columns)
        for number, events in groupby(rows, key=lambda row: block_of(row.position)):
            block = list(events)
            stored = [EventLog(*row[1:count]) for row in block]
            readings = [EventReading(*row[count:]) for row in block]
            yield StoredBlockEvents(number, block[0].timestamp, _logs(number, stored), stored, readings)


def _logs(number: int, events: Sequence[EventLog]) -> Sequence[EventLog]:
    """Returns the logs of a block: of the events of one log the first, which has its bytes, whatever item it states."""
    logs = [next(items) for _, items in groupby(events, attrgetter("log_index"))]
    return events if len(logs) == len(events) else positioned(number, logs)


def insert_events(
    connection: Connection, chain_id: int, events: Sequence[EventLog], readings: Mapping[int, EventReading]
) -> None:
    """Inserts events, each with its reading."""
    values = (log_values(log) + astuple(readings[log.position]) for log in events)
    insert_values(connection, chain_id, "event", EVENT_COLUMNS, values, len(events))


def write_changes(connection: Connection, chain_id: int, changes: Changes) -> None:
    """Writes the ends of stored spans, and the new rows."""
    for table, rows in changes.inserted.items():
        if table in SPANS:
            write_spans(connection, chain_id, table, changes.closed[table], rows)
        else:
            insert(connection, chain_id, table, rows)


@contextmanager
def indexes_built_last(connection: Connection, before: Checkpoint) -> Iterator[None]:
    """Drops the indexes of the derived tables, and builds them after their rows are written."""
    if connection.dialect.name != "sqlite" or not before.backfilled:
        yield  # on PostgreSQL no reader could read meanwhile
        return
    indexes = [index for index in SECONDARY_INDEXES if index.table in DERIVED]
    for index in indexes:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {index.name}")
    yield
    connection.exec_driver_sql(SORT_MEMORY)
    for index in indexes:
        connection.exec_driver_sql(index.ddl)
