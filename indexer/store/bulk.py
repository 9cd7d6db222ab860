"""Writing many rows at once: one prepared statement on SQLite, binary COPY on PostgreSQL."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import BigInteger, Boolean, Connection, LargeBinary, SmallInteger, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from indexer.errors import Stop
from schema.tables import tables
from schema.tables.database import wrapped_error
from schema.tables.kinds import SPANS
from schema.tables.values import OPEN

ROWS_A_STATEMENT = 50
"""On SQLite. sqlite3 releases Python's lock once a statement: with one row each, two threads would only exchange it."""

SPANS_AT_ONCE = 5_000
"""Their pages fit in SQLite's cache."""

Values = tuple[Any, ...]


def insert(connection: Connection, chain_id: int, table: str, rows: Sequence[Struct]) -> None:
    """Inserts rows of one struct. An existing key is an error: no row is ever written twice."""
    if rows:
        columns = rows[0].__struct_fields__
        insert_values(connection, chain_id, table, columns, map(astuple, rows), len(rows))


def insert_values(
    connection: Connection, chain_id: int, table: str, columns: Sequence[str], rows: Iterable[Values], count: int
) -> None:
    """Inserts `count` rows, given as values of the columns. An existing key is an error."""
    if not count:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, chain_id, table, columns, rows)
        return
    # ROLLBACK: to undo one statement alone, SQLite would copy each page before it changes it
    names = ", ".join(("chain_id", *columns))
    marks = f"({chain_id}, {', '.join('?' * len(columns))})"
    for rows_of_each, statements in _by_statements(iter(rows), count):
        values = ", ".join([marks] * rows_of_each)
        connection.exec_driver_sql(f'INSERT OR ROLLBACK INTO "{table}" ({names}) VALUES {values}', statements)


def write_spans(
    connection: Connection, chain_id: int, table: str, closed: Sequence[Struct], opened: Sequence[Struct]
) -> None:
    """Writes the ends of stored spans, and new spans. Raises Stop if a stored one is missing.

    They are written in the order of their owners, whose rows are side by side in SQLite, some owners at a time: the
    end of a span and the span behind it are on one page, which a large step would have written to disk in between.
    """
    owner = attrgetter(SPANS[table].owner)
    closed, opened = sorted(closed, key=owner), sorted(opened, key=owner)
    written = 0
    for first in range(0, len(closed), SPANS_AT_ONCE):
        ends = closed[first : first + SPANS_AT_ONCE]
        next_owner = bisect_right(opened, owner(ends[-1]), written, key=owner)
        _close(connection, chain_id, table, ends)
        insert(connection, chain_id, table, opened[written:next_owner])
        written = next_owner
    insert(connection, chain_id, table, opened[written:])


def _close(connection: Connection, chain_id: int, table: str, rows: Sequence[Struct]) -> None:
    span = SPANS[table]
    key = (span.owner, "valid_from")
    values = list(map(attrgetter(*span.end_columns, *key), rows))
    if span.repeats:  # the open row was not loaded: it is the one without an end
        key = (span.owner, "valid_to")
        values = [(*ends_and_owner, OPEN) for *ends_and_owner, _ in values]
    update(connection, chain_id, table, span.end_columns, key, values)


def update(
    connection: Connection,
    chain_id: int,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Sequence[Values],
) -> None:
    """Sets columns of the rows named by `key`; `rows` hold the values of the columns, then of the key."""
    if not rows:
        return
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    sets = ", ".join(f"{column} = {mark}" for column in columns)
    where = " AND ".join(f"{column} = {mark}" for column in key)
    result = connection.exec_driver_sql(f'UPDATE "{table}" SET {sets} WHERE chain_id = {chain_id} AND {where}', rows)
    if result.rowcount != len(rows):
        raise Stop(
            f"The tables contradict each other: {len(rows)} rows of {table} were to be changed, "
            f"{result.rowcount} are there. Rewrite them from the stored events: certindex rebuild"
        )


def _by_statements(rows: Iterator[Values], count: int) -> Iterator[tuple[int, list[Values]]]:
    """Yields the number of rows of a statement and the values of each statement: full statements, then single rows."""
    if count >= ROWS_A_STATEMENT:
        flat = chain.from_iterable
        statements = range(count // ROWS_A_STATEMENT)
        yield ROWS_A_STATEMENT, [tuple(flat(islice(rows, ROWS_A_STATEMENT))) for _ in statements]
    if count % ROWS_A_STATEMENT:
        yield 1, list(rows)


def _copy(connection: Connection, chain_id: int, table: str, columns: Sequence[str], rows: Iterable[Values]) -> None:
    names = ("chain_id", *columns)
    statement = f'COPY "{table}" ({", ".join(names)}) FROM STDIN (FORMAT BINARY)'
    of_chain = (chain_id,)
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            copy.set_types(_types(table, names))
            for row in rows:
                copy.write_row(of_chain + row)
    except connection.dialect.loaded_dbapi.Error as error:
        raise wrapped_error(connection, statement, error) from error


@cache
def _types(table: str, columns: tuple[str, ...]) -> list[str]:
    return [_postgres_type(tables.Chain.metadata.tables[table].c[column].type) for column in columns]


def _postgres_type(declared: TypeEngine[Any]) -> str:
    if isinstance(declared, TypeDecorator):
        declared = declared.impl_instance
    for known, name in POSTGRES_TYPES:
        if isinstance(declared, known):
            return name
    return "text"


POSTGRES_TYPES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (BigInteger, "int8"),
    (SmallInteger, "int2"),
    (LargeBinary, "bytea"),
    (Boolean, "bool"),
    (Text, "text"),
)
