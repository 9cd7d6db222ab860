"""Relations: rows of one subject at a point. A statement selects the columns that a response needs, and no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select

from api.queries.sql.keys import Key, key_table, key_values
from api.queries.sql.prepared import fetch_tuples
from api.queries.sql.scope import Scope, scope_of

Columns = tuple[str, ...]
Cells = tuple[Any, ...]
"""A row as the driver returns it: the selected columns in their order, and perhaps more behind them."""

MAX_STATEMENTS = 512


@dataclass(frozen=True, eq=False)
class Relation:
    """Rows that have an id.

    `columns` are the columns that a row has. `make(scope, names, *others)` is the SELECT of some of them at the scope
    of each key, with other columns of the same tables behind them. `is_named(scope)` is the condition that a row is
    that of the key's id.
    """

    name: str
    columns: Columns
    make: Callable[..., Select[Any]] = field(repr=False)
    is_named: Callable[[Scope], ColumnElement[bool]] = field(repr=False)


def labeled(columns: Mapping[str, ColumnElement[Any]], names: Columns) -> list[ColumnElement[Any]]:
    """Returns some of the columns, each under its name."""
    return [columns[name].label(name) for name in names]


def rows_by_key(
    connection: Connection, relation: Relation, columns: Columns, keys: Sequence[Key]
) -> list[Cells | None]:
    """Returns the row of each key's id at the key's point, None if there is none."""
    rows: list[Cells | None] = [None] * len(keys)
    for row in fetch_tuples(
        connection, _statement(connection.dialect.name, relation, columns), key_values(connection, keys)
    ):
        rows[row[-1]] = row
    return rows


@lru_cache(MAX_STATEMENTS)
def _statement(dialect: str, relation: Relation, columns: Columns) -> Select[Any]:
    # making a statement takes many times as long as executing it
    scope = scope_of(key_table(dialect))
    return relation.make(scope, columns, scope.keys.c.place).where(relation.is_named(scope))
