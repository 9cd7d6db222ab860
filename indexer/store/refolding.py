"""Folds the stored events of a chain again and compares the derived rows, without a write to their database.

The rows are folded into a scratch database, a temporary SQLite file. Memory holds a chunk of events, or a few rows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import Connection, Engine, text

from indexer.store.rewriting import Rewriting, StoredBlockEvents
from schema.bundle.state import position_text, shown
from schema.events import Kind
from schema.tables.database import connect
from schema.tables.kinds import DERIVED, SPANS
from schema.tables.rows import EventLog, EventReading
from schema.tables.statistics import write_statistics
from schema.tables.tables import Chain

TABLES = Chain.metadata.tables
ROWS_AT_A_TIME = 1_000

Values = tuple[Any, ...]
Group = tuple[Values, Sequence[Values]]
"""The rows with the same key. A key is made of positions, which both databases order alike."""


class Difference(Struct, frozen=True):
    """A stored value, or a whole row, that is not what the events give."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Report = Callable[[Difference], object]


class Refolding(Rewriting):
    """The stored events of a snapshot, and the scratch database that their derived rows are written to."""

    def __init__(self, snapshot: Connection, scratch: Connection, chain_id: int, report: Report) -> None:
        super().__init__(snapshot, chain_id, scratch)
        self._report = report

    def _write_block(
        self, block: StoredBlockEvents, events: Sequence[EventLog], readings: Mapping[int, EventReading]
    ) -> None:
        stored, made = (Counter(log.log_index for log in logs) for logs in (block.events, events))
        for index in sorted(stored.keys() | made.keys()):
            if stored[index] != made[index]:
                text = f"the number of its events is {stored[index]}, the profile makes it {made[index]}"
                self._report(Difference(f"log {index} of block {block.number}", text))

    def write(self, *chunk: Any) -> None:
        super().write(*chunk)
        self._derived.commit()  # a single transaction would need the disk space twice

    def _write_readings(self, changed: Iterable[tuple[int, EventReading, EventReading]]) -> None:
        for position, stored, reading in changed:
            pairs = zip(EventReading.__struct_fields__, astuple(stored), astuple(reading), strict=True)
            self._report_values(f"event {position_text(position)}", pairs)

    def compare(self) -> None:
        """Reports what no chunk shows: events without a block, and differences of the derived tables."""
        for position in self._events_without_block():
            self._report(Difference(f"event {position_text(position)}", "its block is not stored"))
        for table in DERIVED:
            self._compare_table(table)

    def _events_without_block(self) -> Iterator[int]:
        rows = self._connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(
            text(
                """SELECT position FROM event LEFT JOIN block
                ON block.chain_id = event.chain_id AND number = position >> 20
                WHERE event.chain_id = :chain_id AND number IS NULL ORDER BY position"""
            ),
            {"chain_id": self._chain_id},
        )
        return (row.position for row in rows)

    def _compare_table(self, table: str) -> None:
        columns = [column.name for column in TABLES[table].columns if column.name != "chain_id"]
        key = _key_of(table)
        key_columns = [columns.index(column) for column in key]
        stored, refolded = (
            _groups(_rows(connection, table, columns, key, self._chain_id), key_columns)
            for connection in (self._connection, self._derived)
        )
        for group, ours, theirs in _merge(stored, refolded):
            place = " ".join(
                [table, *(f"{name} {_shown(name, value)}" for name, value in zip(key, group, strict=True))]
            )
            # equal rows apart, the others are paired in some order: nearly always there is one of each
            ours, theirs = [row for row in ours if row not in theirs], [row for row in theirs if row not in ours]
            for row, other in zip_longest(sorted(ours, key=repr), sorted(theirs, key=repr)):
                if row is None or other is None:
                    self._report(
                        Difference(place, "the row is missing" if row is None else "no event makes such a row")
                    )
                else:
                    self._report_values(place, zip(columns, row, other, strict=True))

    def _report_values(self, place: str, values: Iterable[tuple[str, Any, Any]]) -> None:
        for name, stored, refolded in values:
            if stored != refolded:
                text = f"{name} is {_shown(name, stored)}, the events make it {_shown(name, refolded)}"
                self._report(Difference(place, text))


@contextmanager
def scratch_database() -> Iterator[Connection]:
    """Yields a connection to a temporary database with empty derived tables, which is removed at the end."""
    with TemporaryDirectory(prefix="certindex-") as folder:
        engine: Engine = connect(f"sqlite:///{Path(folder) / 'scratch.db'}")
        try:
            with engine.begin() as connection:
                Chain.metadata.create_all(connection, [TABLES[table] for table in DERIVED])
                write_statistics(connection)
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _key_of(table: str) -> Sequence[str]:
    """Returns the columns of positions that name a row, or a few rows."""
    if table in SPANS:
        return (SPANS[table].owner, "valid_from")
    return ("position",) if "position" in TABLES[table].columns else ("id",)


def _rows(
    connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], chain_id: int
) -> Iterator[Values]:
    query = f'SELECT {", ".join(columns)} FROM "{table}" WHERE chain_id = :chain_id ORDER BY {", ".join(key)}'
    rows = connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(text(query), {"chain_id": chain_id})
    return (tuple(map(_comparable, row)) for row in rows)


def _comparable(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value  # SQLite has numbers in place of booleans


def _groups(rows: Iterable[Values], key_columns: Sequence[int]) -> Iterator[Group]:
    for key, group in groupby(rows, key=itemgetter(*key_columns)):
        yield key if isinstance(key, tuple) else (key,), list(group)


def _merge(
    stored: Iterator[Group], refolded: Iterator[Group]
) -> Iterator[tuple[Values, Sequence[Values], Sequence[Values]]]:
    """Yields each key that either has, with the rows of both."""
    none: Group = ((), ())
    ours, theirs = next(stored, none), next(refolded, none)
    while ours[0] or theirs[0]:
        if ours[0] == theirs[0]:
            yield ours[0], ours[1], theirs[1]
            ours, theirs = next(stored, none), next(refolded, none)
        elif not theirs[0] or (ours[0] and _order(ours[0]) < _order(theirs[0])):
            yield ours[0], ours[1], ()
            ours = next(stored, none)
        else:
            yield theirs[0], (), theirs[1]
            theirs = next(refolded, none)


def _order(key: Values) -> list[tuple[bool, Any]]:
    """Returns what SQLite orders by: a number before anything else, which only someone else can have written there."""
    return [(not isinstance(value, int), value if isinstance(value, int) else repr(value)) for value in key]


def _shown(name: str, value: Any) -> str:
    match value:
        case None:
            return "null"
        case str():
            return f'"{value}"'
        case int() if name == "kind" and value in Kind._value2member_map_:
            return Kind(value).name
    try:
        return str(shown(name, value))
    except TypeError:  # not of the column's type, which SQLite allows
        return repr(value)
