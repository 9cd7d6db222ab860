"""Many look-ups in one statement: what is asked for goes in as rows, whatever their number.

Each key brings its own position and clock, so that parts of an answer that stand at different points share a statement.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Connection, FromClause, Row, Select, bindparam, cast, func, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import Subquery

from api.queries.pins import Pin

if TYPE_CHECKING:
    from api.queries.scope import Scope


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


def key_rows(connection: Connection, keys: Sequence[Key]) -> Subquery:
    """Returns the keys as a table: `place` (from 0), chain_id, id, position, clock."""
    rows = [(place, *key) for place, key in enumerate(keys)]
    if connection.dialect.name == "sqlite":
        return _json_rows(rows)
    return _array_rows(rows)


def rows_by_place(connection: Connection, query: Select[Any], scope: "Scope", length: int) -> list[Row[Any] | None]:
    """Returns the query's row for each key, None for a key without one. The query reads the scope's keys."""
    found: list[Row[Any] | None] = [None] * length
    for row in connection.execute(query.add_columns(scope.keys.c.place)):
        found[row.place] = row
    return found


def lists_by_place(connection: Connection, query: Select[Any], length: int) -> list[list[Row[Any]]]:
    """Returns the query's rows for each key, in the query's order; the query tells each row's `place`."""
    found: list[list[Row[Any]]] = [[] for _ in range(length)]
    for row in connection.execute(query):
        found[row.place].append(row)
    return found


def _json_rows(rows: Sequence[tuple[int, ...]]) -> Subquery:
    # one parameter, so that the statement is the same for any number of keys
    each: Any = func.json_each(bindparam("keys", json.dumps(rows))).table_valued("value")
    columns = [
        type_coerce(func.json_extract(each.c.value, f"$[{index}]"), BigInteger).label(name)
        for index, name in enumerate(KEY_COLUMNS)
    ]
    return select(*columns).select_from(each).subquery("k")


def _array_rows(rows: Sequence[tuple[int, ...]]) -> Subquery:
    columns = list(zip(*rows, strict=True)) or [()] * len(KEY_COLUMNS)
    arrays = [
        cast(bindparam(f"keys_{name}", list(column), type_=ARRAY(BigInteger)), ARRAY(BigInteger))
        for name, column in zip(KEY_COLUMNS, columns, strict=True)
    ]
    each: FromClause = func.unnest(*arrays).table_valued(*KEY_COLUMNS, name="each_key").render_derived()
    return select(*(type_coerce(each.c[name], BigInteger).label(name) for name in KEY_COLUMNS)).subquery("k")
