"""Keys: many objects are read in one statement, which joins a table of their keys.

Each key has its own position and clock, so that objects at different points share a statement. If the keys share a
point, a filter is compared at that point instead (`PointSelect`): what it selects by the point alone, as the devices
that a user may use, is then read once, and not for each row.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
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
    case,
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
from api.queries.sql.scope import ReadNumber, Scope, scope_of


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
    number = numbers_now(connection, [key.chain_id], chain_id)
    return Scope(key_rows(connection, [key]), chain_id, id, position, clock, number)


def scope_of_keys(connection: Connection, keys: Sequence[Key]) -> Scope:
    """Returns the scope of each of the keys, whose numbers of a chain are read now."""
    scope = scope_of(key_rows(connection, keys))
    return scope._replace(number=numbers_now(connection, {key.chain_id for key in keys}, scope.chain_id))


def numbers_now(
    connection: Connection, chain_ids: Collection[int], chain_id: ColumnElement[int]
) -> Callable[[ReadNumber, Hashable], ColumnElement[int]]:
    """Returns the `Scope.number` of a statement that is executed once: the numbers of each chain."""

    def number(read: ReadNumber, operand: Hashable) -> ColumnElement[int]:
        numbers = {id: literal(read(connection, id, operand), BigInteger) for id in chain_ids}
        return numbers.popitem()[1] if len(numbers) == 1 else case(numbers, value=chain_id)

    return number


KEY_COLUMNS = ("place", *Key._fields)
ID_COLUMNS = ("place", "chain_id", "id")


def key_rows(connection: Connection, keys: Sequence[Key]) -> Subquery:
    """Returns the keys as a table: `place` (the index of the key), chain_id, id, position, clock."""
    values = key_values(connection, keys)
    if connection.dialect.name == "sqlite":
        return _json_table(KEY_COLUMNS, values)
    return _array_table(KEY_COLUMNS, _arrays(KEY_COLUMNS, values))


def key_table(dialect: str, columns: Sequence[str] = KEY_COLUMNS) -> Subquery:
    """Returns the same table without the keys, which are bound when the statement is executed (`key_values`).

    PostgreSQL's planner does not look into sub-selects. A plan for given keys then seems no better than one for any
    keys, and each connection keeps the latter: to plan a look-up of one key takes several times as long as to execute
    it. A statement that has to know the size of its page is still planned anew.
    """
    if dialect == "sqlite":
        return _json_table(columns, {"keys": None})
    arrays = _arrays(columns, dict.fromkeys(_array_names(columns)))
    return _array_table(columns, [select(array).scalar_subquery() for array in arrays])


def key_values(connection: Connection, keys: Sequence[Key]) -> dict[str, Any]:
    """Returns the parameters that bind keys to a `key_table`."""
    return _table_values(connection.dialect.name, KEY_COLUMNS, [(place, *key) for place, key in enumerate(keys)])


def _table_values(dialect: str, names: Sequence[str], rows: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    if dialect == "sqlite":
        return {"keys": msgspec.json.encode(rows).decode()}
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    # as text, which the driver passes on: it writes each number of a list in Python
    return {
        name: f"{{{','.join(map(str, column))}}}" for name, column in zip(_array_names(names), columns, strict=True)
    }


# One chain


def indexes_by_chain(keys: Sequence[Key]) -> Mapping[int, list[int]]:
    """Returns the indexes of the keys of each chain."""
    indexes: dict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        indexes[key.chain_id].append(index)
    return indexes


def share_point(keys: Sequence[Key]) -> bool:
    """Returns whether the keys of a chain are read at one position and clock."""
    return len(keys) == 1 or len({key[2:] for key in keys}) == 1


@dataclass(frozen=True)
class Numbers:
    """The `Scope.number` of a statement that is executed repeatedly: parameters, by what is read for them."""

    dialect: str
    names: dict[tuple[ReadNumber, Hashable], str] = field(default_factory=dict)

    def __call__(self, read: ReadNumber, operand: Hashable) -> ColumnElement[int]:
        return _number(self.dialect, self.names.setdefault((read, operand), f"number_{len(self.names)}"))


class PointSelect(NamedTuple):
    """A SELECT that reads the keys of a chain, at their one point or each at its own: `values` are its parameters."""

    select: Select[Any]
    numbers: Numbers
    one_point: bool

    def values(self, connection: Connection, keys: Sequence[Key]) -> dict[str, Any]:
        chain_id, _, position, clock = keys[0]
        values = {name: read(connection, chain_id, operand) for (read, operand), name in self.numbers.names.items()}
        values["point_chain_id"] = chain_id
        if not self.one_point:
            return values | key_values(connection, keys)
        rows = [(place, chain_id, key.id) for place, key in enumerate(keys)]
        table = _table_values(connection.dialect.name, ID_COLUMNS, rows)
        return {**values, **table, "point_position": position, "point_clock": clock}


def scope_of_chain(dialect: str, *, one_point: bool) -> tuple[Scope, Numbers]:
    """Returns the scope of a `PointSelect`, and its numbers."""
    keys, numbers = key_table(dialect, ID_COLUMNS if one_point else KEY_COLUMNS), Numbers(dialect)
    chain_id, position, clock = (_number(dialect, f"point_{name}") for name in ("chain_id", "position", "clock"))
    if not one_point:
        position, clock = keys.c.position, keys.c.clock
    return Scope(keys, chain_id, keys.c.id, position, clock, numbers), numbers


def _number(dialect: str, name: str) -> ColumnElement[int]:
    number = bindparam(name, type_=BigInteger)
    # PostgreSQL keeps the plan of a sub-select for any number, as in `key_table`
    return number if dialect == "sqlite" else select(number).scalar_subquery()


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


def _json_table(names: Sequence[str], values: Mapping[str, Any]) -> Subquery:
    # one parameter, so that the SQL is the same for any number of keys
    each: Any = func.json_each(bindparam("keys", values["keys"], type_=String)).table_valued("value")
    columns = [
        type_coerce(func.json_extract(each.c.value, f"$[{index}]"), BigInteger).label(name)
        for index, name in enumerate(names)
    ]
    # LIMIT -1 is no limit: it makes SQLite parse each key once, instead of wherever one of its columns is used
    return select(*columns).select_from(each).limit(literal_column("-1")).subquery("k")


def _array_names(names: Sequence[str]) -> list[str]:
    return [f"keys_{name}" for name in names]


def _arrays(names: Sequence[str], values: Mapping[str, Any]) -> list[ColumnElement[Any]]:
    return [cast(bindparam(name, values[name], type_=String), ARRAY(BigInteger)) for name in _array_names(names)]


def _array_table(names: Sequence[str], arrays: Sequence[ColumnElement[Any]]) -> Subquery:
    each: FromClause = func.unnest(*arrays).table_valued(*names, name="each_key").render_derived()
    return select(*(type_coerce(each.c[name], BigInteger).label(name) for name in names)).subquery("k")
