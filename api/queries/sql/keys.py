"""Many look-ups in one statement: what is asked for goes in as rows, whatever their number.

Each key brings its own position and clock, so that parts of an answer that stand at different points share a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    FromClause,
    Row,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.sql.selectable import Subquery

from api.queries.sql.as_of import Pin
from api.queries.sql.prepared import fetch
from api.queries.sql.scope import Scope, scope_of


class Key(NamedTuple):
    """An object of a chain at a point: its id is the position of the first log that names it, 0 where none is asked."""

    chain_id: int
    id: int
    position: int
    clock: int


def key_of(pin: Pin, id: int = 0) -> Key:
    """Returns the key of an object at a pin."""
    return Key(pin.chain_id, id, pin.position, pin.clock)


KEY_COLUMNS = ("place", *Key._fields)
ARRAYS = tuple(f"keys_{name}" for name in KEY_COLUMNS)


def key_rows(connection: Connection, keys: Sequence[Key]) -> Subquery:
    """Returns the keys as a table: `place` (from 0), chain_id, id, position, clock."""
    values = key_values(connection, keys)
    return _json_table(values) if connection.dialect.name == "sqlite" else _array_table(values)


def key_table(dialect: str) -> Subquery:
    """Returns the same table without keys: they come when the statement is executed, as `key_values`."""
    return _json_table({"keys": None}) if dialect == "sqlite" else _array_table(dict.fromkeys(ARRAYS))


def key_values(connection: Connection, keys: Sequence[Key]) -> dict[str, Any]:
    """Returns the parameters that keys are in a statement."""
    rows = [(place, *key) for place, key in enumerate(keys)]
    if connection.dialect.name == "sqlite":
        return {"keys": msgspec.json.encode(rows).decode()}
    columns = list(zip(*rows, strict=True)) or [()] * len(ARRAYS)
    return {name: list(column) for name, column in zip(ARRAYS, columns, strict=True)}


Build = Callable[[Scope], Select[Any]]


def rows_by_key(connection: Connection, build: Build, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the row for each key, None for a key without one. `build` is asked once for the query, at the scope of
    each key."""
    found: list[Row[Any] | None] = [None] * len(keys)
    for row in fetch(connection, _built(build, connection.dialect.name), key_values(connection, keys)):
        found[row.place] = row
    return found


@cache
def _built(build: Build, dialect: str) -> Select[Any]:
    # making a statement takes many times as long as executing it
    scope = scope_of(key_table(dialect))
    return build(scope).add_columns(scope.keys.c.place)


def lists_by_place(connection: Connection, query: Select[Any], length: int) -> list[list[Row[Any]]]:
    """Returns the query's rows for each key, in the query's order; the query tells each row's `place`."""
    found: list[list[Row[Any]]] = [[] for _ in range(length)]
    for row in connection.execute(query):
        found[row.place].append(row)
    return found


def _json_table(values: Mapping[str, Any]) -> Subquery:
    # one parameter, so that the statement is the same for any number of keys
    each: Any = func.json_each(bindparam("keys", values["keys"], type_=String)).table_valued("value")
    columns = [
        type_coerce(func.json_extract(each.c.value, f"$[{index}]"), BigInteger).label(name)
        for index, name in enumerate(KEY_COLUMNS)
    ]
    # with a limit SQLite takes each key apart once, else again wherever a column is used: this one is none
    return select(*columns).select_from(each).limit(literal_column("-1")).subquery("k")


def _array_table(values: Mapping[str, Any]) -> Subquery:
    arrays = [cast(bindparam(name, values[name], type_=ARRAY(BigInteger)), ARRAY(BigInteger)) for name in ARRAYS]
    each: FromClause = func.unnest(*arrays).table_valued(*KEY_COLUMNS, name="each_key").render_derived()
    return select(*(type_coerce(each.c[name], BigInteger).label(name) for name in KEY_COLUMNS)).subquery("k")
