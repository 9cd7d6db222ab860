"""Writing many rows at once: one prepared statement on SQLite, binary COPY on PostgreSQL."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import BigInteger, Boolean, Connection, LargeBinary, SmallInteger, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from indexer.errors import Stop
from schema.tables import tables

SPAN_KEYS: dict[str, tuple[str, ...]] = {
    "device_version": ("device_id", "valid_from"),
    "device_activity": ("device_id", "valid_from"),
    "device_attribute": ("device_id", "valid_from"),
    "authorization": ("device_id", "valid_from"),
    "manufacturer_version": ("manufacturer_id", "valid_from"),
    "hardware_license_version": ("hardware_license_id", "valid_from"),
    "vehicle_version": ("vehicle_id", "valid_from"),
    "license_version": ("license_id", "valid_from"),
}
"""The tables of spans, with what names a row in its chain."""

SPAN_ENDS: dict[str, tuple[str, ...]] = {"authorization": ("valid_to", "ended_at", "end_reason")}
"""What closing a row sets, where it is more than `valid_to`."""

ROWS_A_STATEMENT = 50
"""On SQLite. Python's lock is given away once a statement: with a row each, two threads would only pass it around."""


def insert(connection: Connection, chain_id: int, table: str, rows: Sequence[Struct]) -> None:
    """Inserts rows of one kind. An existing key is an error: nothing is ever written twice."""
    if not rows:
        return
    rows = _in_order(table, rows)
    columns = rows[0].__struct_fields__
    if connection.dialect.name == "postgresql":
        _copy(connection, chain_id, table, columns, rows)
        return
    names = ", ".join(("chain_id", *columns))
    marks = f"({chain_id}, {', '.join('?' * len(columns))})"
    for together, found in _by_statements(rows):
        values = ", ".join([marks] * together)
        connection.exec_driver_sql(f'INSERT INTO "{table}" ({names}) VALUES {values}', found)


def close(connection: Connection, chain_id: int, table: str, rows: Sequence[Struct]) -> None:
    """Writes the ends of stored spans. Raises Stop where a row is not there: the tables contradict each other."""
    ends = SPAN_ENDS.get(table, ("valid_to",))
    update(connection, chain_id, table, ends, SPAN_KEYS[table], _in_order(table, rows))


def update(
    connection: Connection,
    chain_id: int,
    table: str,
    changed: Sequence[str],
    key: Sequence[str],
    rows: Sequence[Struct],
) -> None:
    """Sets the columns `changed` of the rows named by `key`."""
    if not rows:
        return
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    sets = ", ".join(f"{column} = {mark}" for column in changed)
    where = " AND ".join(f"{column} = {mark}" for column in key)
    result = connection.exec_driver_sql(
        f'UPDATE "{table}" SET {sets} WHERE chain_id = {chain_id} AND {where}',
        [tuple(getattr(row, column) for column in (*changed, *key)) for row in rows],
    )
    if result.rowcount != len(rows):
        raise Stop(
            f"The tables contradict each other: {len(rows)} rows of {table} were to be changed, "
            f"{result.rowcount} are there. Rewrite them from the stored events: certindex rebuild"
        )


def _in_order(table: str, rows: Sequence[Struct]) -> Sequence[Struct]:
    """Returns spans, which come by position, by what they are of: neighbours share a page, a batch has many."""
    key = SPAN_KEYS.get(table)
    return rows if key is None else sorted(rows, key=attrgetter(key[0]))


def _by_statements(rows: Sequence[Struct]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yields how many rows a statement takes, and the values of each statement: of many rows, then of those left."""
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT
    starts = range(0, whole, ROWS_A_STATEMENT)
    if whole:
        yield ROWS_A_STATEMENT, [_end_to_end(rows[at : at + ROWS_A_STATEMENT]) for at in starts]
    if whole < len(rows):
        yield 1, list(map(astuple, rows[whole:]))


def _end_to_end(rows: Sequence[Struct]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(map(astuple, rows)))


def _copy(connection: Connection, chain_id: int, table: str, columns: Sequence[str], rows: Sequence[Struct]) -> None:
    names = ("chain_id", *columns)
    statement = f'COPY "{table}" ({", ".join(names)}) FROM STDIN (FORMAT BINARY)'
    of_chain = (chain_id,)
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(statement) as copy:
        copy.set_types(_types(table, names))
        for row in rows:
            copy.write_row(of_chain + astuple(row))


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
