"""Copying a chain into a database beside the live one, with its events folded again.

The copy follows the live database, which an indexer goes on writing: events come in chunks, each with its blocks and
from one state of the live database. Blocks that a reorg removed since are removed from the copy first. The other rows
are made equal by `equalize`, which runs on a connection that sees both databases.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from indexer.changes import Changes
from indexer.errors import Stop
from indexer.store.bulk import insert
from indexer.store.checkpoint import read_checkpoint
from indexer.store.open_row_cache import OpenRowCache
from indexer.store.rewriting import Rewriting, StoredBlockEvents, insert_events, write_changes
from indexer.store.rollback import Cause, delete_above
from schema.tables import rows
from schema.tables.database import REVISION
from schema.tables.notices import UNKNOWN_HASH
from schema.tables.rows import EventLog, EventReading
from schema.tables.tables import Chain
from schema.tables.values import MAX_BLOCK_NUMBER, end_of_block

TABLES = Chain.metadata.tables

REPLACED = ("contract", "verification_failure", "disagreement")
"""Tables of few rows, which may change."""

ADDED = ("verified_header", "receipt_proof", "call", "reorg", "orphaned_block", "orphaned_event")
"""Tables whose rows never change."""

AT_THE_SWITCH = {
    "profile": ":profile",
    "revision": "revision + 1",
    "writer": "NULL",
    "writer_epoch": "writer_epoch + 1",
    "writer_beat": "writer_beat + 1",
}
"""What differs in the chain's row. The writer's epoch: readers keep counts of the past while one writer writes."""

BEFORE_THE_FIRST = (-1, UNKNOWN_HASH)
IN_RANGE = "chain_id = :chain_id AND number >= :first AND number <= :last"
BLOCKS = f"SELECT {', '.join(rows.Block.__struct_fields__)} FROM block WHERE {IN_RANGE} AND digest IS NOT NULL"


Report = Callable[[int], object]
"""Called with the last block of each chunk."""


class State(NamedTuple):
    """A state of a chain in the live database: equal states have equal rows."""

    chain_id: int
    revision: int
    writer_epoch: int
    indexed_hash: bytes


def states(connection: Connection, live: str = "") -> list[State]:
    """Returns the state of each chain. `live` is the prefix of the live database's tables. Raises Stop."""
    revision = connection.exec_driver_sql(f"SELECT version_num FROM {live}alembic_version").scalar_one()
    if revision != REVISION:
        raise Stop(f"A newer release has migrated the database to revision {revision}: begin again with that release.")
    chains = connection.execute(
        text(f"SELECT chain_id, revision, writer_epoch, indexed_hash FROM {live}chain ORDER BY chain_id")
    )
    return [State(id, revision, epoch, bytes(hash)) for id, revision, epoch, hash in chains]


class Copying(Rewriting):
    """The events of a chain that the copy does not have yet. `live` reads the live database, and is not in use.

    Each chunk is committed with what it means, so that an interrupted copy can be continued.
    """

    def __init__(self, live: Connection, copy: Connection, chain_id: int, report: Report) -> None:
        super().__init__(live, chain_id, copy)
        self._report = report

    def chunks(self) -> Iterator[list[StoredBlockEvents]]:
        """Yields the events behind those of the copy, as long as the live database has more."""
        end: int | None = 0
        while end is not None:
            with self._connection.begin():
                after = self._remove_orphaned_blocks()
                if (end := self._end_of_chunk(after)) is not None:
                    yield list(self._blocks(after, end))
        self._derived.commit()

    def write(
        self,
        blocks: Iterable[StoredBlockEvents],
        spread: Mapping[int, Sequence[EventLog]],
        readings: Mapping[int, EventReading],
        changes: Changes,
    ) -> None:
        """Writes the blocks and events of a chunk, and its changes."""
        numbers = [block.number for block in blocks]
        at = {"chain_id": self._chain_id, "first": numbers[0], "last": numbers[-1]}
        # a reorg may have put events in place of a block without events
        self._derived.execute(text(f"DELETE FROM block WHERE {IN_RANGE}"), at)
        block_rows = [rows.Block(*row) for row in self._connection.execute(text(BLOCKS), at)]
        insert(self._derived, self._chain_id, "block", block_rows)
        events = [log for block in blocks for log in spread.get(block.number, block.logs)]
        insert_events(self._derived, self._chain_id, events, readings)
        write_changes(self._derived, self._chain_id, changes)
        self._cache.note(b"", changes.open_rows)
        self._derived.commit()
        self._report(numbers[-1])

    def _remove_orphaned_blocks(self) -> int:
        """Removes blocks that the live database does not have any more. Returns the last position of the others."""
        newest = common = self._copied_block(MAX_BLOCK_NUMBER)
        while common != BEFORE_THE_FIRST and not self._is_live(common):
            common = self._copied_block(common[0] - 1)
        if common != newest:
            delete_above(self._derived, read_checkpoint(self._connection, self._chain_id), common, Cause.OPERATOR)
            self._cache = OpenRowCache()
        return end_of_block(common[0])

    def _copied_block(self, at_or_below: int) -> tuple[int, bytes]:
        """Returns number and hash of the newest block with events in the copy."""
        block = self._derived.execute(
            text(
                """SELECT number, hash FROM block WHERE chain_id = :chain_id AND number <= :number
                AND digest IS NOT NULL ORDER BY number DESC LIMIT 1"""
            ),
            {"chain_id": self._chain_id, "number": at_or_below},
        ).one_or_none()
        return BEFORE_THE_FIRST if block is None else (block.number, bytes(block.hash))

    def _is_live(self, block: tuple[int, bytes]) -> bool:
        statement = text("SELECT 1 FROM block WHERE chain_id = :chain_id AND number = :number AND hash = :hash")
        at = {"chain_id": self._chain_id, "number": block[0], "hash": block[1]}
        return self._connection.execute(statement, at).first() is not None


def equalize(connection: Connection, live: str, chain_id: int, profile_name: str) -> None:
    """Makes the rows of the copy equal that are not folded from events: blocks, evidence, and the chain's own row.

    The connection sees the copy's tables by their names, and the live ones behind the prefix.
    """
    at = {"chain_id": chain_id, "profile": profile_name}
    for table in REPLACED:
        connection.execute(text(f'DELETE FROM "{table}" WHERE chain_id = :chain_id'), at)
        connection.execute(text(_inserted(table, live)), at)
    for table in ADDED:
        surplus = f"""DELETE FROM "{table}" WHERE chain_id = :chain_id AND {_missing_in(live, table, table)}"""
        connection.execute(text(surplus), at)
        connection.execute(text(f"{_inserted(table, live)} AND {_missing_in('', table, 'live')}"), at)
    for statement in _block_statements(live):
        connection.execute(text(statement), at)
    connection.execute(text("DELETE FROM chain WHERE chain_id = :chain_id"), at)
    connection.execute(text(_inserted("chain", live, AT_THE_SWITCH)), at)


def _block_statements(live: str) -> Iterator[str]:
    """Yields the statements that copy blocks without events, of which there are few, and the levels of the others."""
    yield "DELETE FROM block WHERE chain_id = :chain_id AND digest IS NULL"
    yield f"{_inserted('block', live)} AND digest IS NULL"
    same = f"other WHERE {_same_key('block', 'block')}"
    yield f"""UPDATE block SET level = (SELECT level FROM {live}block AS {same}) WHERE chain_id = :chain_id
        AND EXISTS (SELECT 1 FROM {live}block AS {same} AND other.level <> block.level)"""


def _inserted(table: str, live: str, values: Mapping[str, str] | None = None) -> str:
    """Returns the statement that copies a chain's rows, but for columns with other values."""
    names = [column.name for column in TABLES[table].columns]
    copied = ", ".join((values or {}).get(name, f'"{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    return f'INSERT INTO "{table}" ({columns}) SELECT {copied} FROM {live}"{table}" AS live WHERE chain_id = :chain_id'


def _missing_in(prefix: str, table: str, alias: str) -> str:
    """Returns the condition that a row has no counterpart in the table of the other database."""
    return f'NOT EXISTS (SELECT 1 FROM {prefix}"{table}" AS other WHERE {_same_key(table, alias)})'


def _same_key(table: str, alias: str) -> str:
    return " AND ".join(f'other."{column.name}" = "{alias}"."{column.name}"' for column in TABLES[table].primary_key)
