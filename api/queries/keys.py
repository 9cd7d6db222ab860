"""Many look-ups in one statement: what is asked for goes in as rows, whatever their number.

Each key brings its own position and clock, so that parts of an answer that stand at different points share a statement.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, FromClause, bindparam, cast, func, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import Subquery

from api.queries.pins import Pin


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
    each: FromClause = func.unnest(*arrays).table_valued(*KEY_COLUMNS, name="each_key")
    return select(*(type_coerce(each.c[name], BigInteger).label(name) for name in KEY_COLUMNS)).subquery("k")
