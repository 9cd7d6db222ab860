"""Keys: many objects are read in one statement, which joins a table of their keys.

Each key has its own position and clock, so that objects at different points share a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.sql.selectable import Subquery

from api.queries.sql.as_of import Pin
from api.queries.sql.prepared import fetch
from api.queries.sql.scope import Scope, scope_of


class Key(NamedTuple):
    """An object of a chain at a point.

    `id` is the position of the first log that names the object, 0 if the SELECT does not use it.
    """

    chain_id: int
    id: int
    position: int
    clock: int


def key_of(pin: Pin, id: int = 0) -> Key:
    """Returns the key of an object at a pin."""
    return Key(pin.chain_id, id, pin.position, pin.clock)


def scope_of_one(connection: Connection, key: Key) -> Scope:
    """Returns the scope of a single key, whose point is made of numbers.

    The database then knows how few rows a condition leaves, and reads a subquery first. One that refers to the table of
    keys is read again for each row outside, or after all of them.
    """
    chain_id, id, position, clock = (literal(number, BigInteger) for number in key)
    return Scope(key_rows(connection, [key]), chain_id, id, position, clock, connection)


KEY_COLUMNS = ("place", *Key._fields)
ARRAYS = tuple(f"keys_{name}" for name in KEY_COLUMNS)


def key_rows(connection: Connection, keys: Sequence[Key]) -> Subquery:
    """Returns the keys as a table: `place` (the index of the key), chain_id, id, position, clock."""
    values = key_values(connection, keys)
    return _json_table(values) if connection.dialect.name == "sqlite" else _array_table(_arrays(values))


def key_table(dialect: str) -> Subquery:
    """Returns the same table without the keys, which are bound when the statement is executed (`key_values`).

    PostgreSQL's planner does not look into sub-selects. A plan for given keys then seems no better than one for any
    keys, and each connection keeps the latter: to plan a look-up of one key takes several times as long as to execute
    it. A statement that has to know the size of its page is still planned anew.
    """
    if dialect == "sqlite":
        return _json_table({"keys": None})
    return _array_table([select(array).scalar_subquery() for array in _arrays(dict.fromkeys(ARRAYS))])


def key_values(connection: Connection, keys: Sequence[Key]) -> dict[str, Any]:
    """Returns the parameters that bind keys to a `key_table`."""
    rows = [(place, *key) for place, key in enumerate(keys)]
    if connection.dialect.name == "sqlite":
        return {"keys": msgspec.json.encode(rows).decode()}
    columns = list(zip(*rows, strict=True)) or [()] * len(ARRAYS)
    # as text, which the driver passes on: it writes each number of a list in Python
    return {name: f"{{{','.join(map(str, column))}}}" for name, column in zip(ARRAYS, columns, strict=True)}


Build = Callable[[Scope], Select[Any]]
RowsByKey = Callable[[Connection, Sequence[Key]], list[Row[Any] | None]]


def row_by_key(build: Build) -> RowsByKey:
    """Makes a SELECT at the scope of each key the query that returns the row of each key, None for a key without a row.

    The SELECT is built once a process and dialect.
    """

    @wraps(build)
    def query(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
        rows: list[Row[Any] | None] = [None] * len(keys)
        for row in fetch(connection, _built(build, connection.dialect.name), key_values(connection, keys)):
            rows[row.place] = row
        return rows

    return query


@cache
def _built(build: Build, dialect: str) -> Select[Any]:
    # making a statement takes many times as long as executing it
    scope = scope_of(key_table(dialect))
    return build(scope).add_columns(scope.keys.c.place)


def lists_by_key(
    connection: Connection, query: Select[Any], order: Any, limit: int, length: int
) -> list[list[Row[Any]]]:
    """Returns the first `limit` rows of each of `length` keys in an order; the query selects the key's `place`."""
    place = query.selected_columns.place
    rank = func.row_number().over(partition_by=place, order_by=order).label("rank")
    ranked = query.add_columns(rank).subquery("ranked")
    lists: list[list[Row[Any]]] = [[] for _ in range(length)]
    for row in connection.execute(select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.place, ranked.c.rank)):
        lists[row.place].append(row)
    return lists


def _json_table(values: Mapping[str, Any]) -> Subquery:
    # one parameter, so that the SQL is the same for any number of keys
    each: Any = func.json_each(bindparam("keys", values["keys"], type_=String)).table_valued("value")
    columns = [
        type_coerce(func.json_extract(each.c.value, f"$[{index}]"), BigInteger).label(name)
        for index, name in enumerate(KEY_COLUMNS)
    ]
    # LIMIT -1 is no limit: it makes SQLite parse each key once, instead of wherever one of its columns is used
    return select(*columns).select_from(each).limit(literal_column("-1")).subquery("k")


def _arrays(values: Mapping[str, Any]) -> list[ColumnElement[Any]]:
    return [cast(bindparam(name, values[name], type_=String), ARRAY(BigInteger)) for name in ARRAYS]


def _array_table(arrays: Sequence[ColumnElement[Any]]) -> Subquery:
    each: FromClause = func.unnest(*arrays).table_valued(*KEY_COLUMNS, name="each_key").render_derived()
    return select(*(type_coerce(each.c[name], BigInteger).label(name) for name in KEY_COLUMNS)).subquery("k")
