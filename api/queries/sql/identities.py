"""Identities and their spans.

An identity is a device, a manufacturer, a hardware license or a vehicle: one row with the token that names it. What
changes about it is in tables of spans, which have a column named after the identity's table: `device_id`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, select

from api.queries.sql.keys import Key, key_rows, lists_by_key
from api.queries.sql.listings import ListPart
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.relations import Columns, Relation, labeled
from api.queries.sql.scope import Scope, scope_of

SPAN = ("chain_id", "valid_from", "valid_to")

MAX_LIST = 100
"""The number of attributes, or of addresses, that are returned of one token."""


def identity_relation(identities: Table, *span_tables: Table, keys: tuple[str, ...] = ()) -> Relation:
    """Returns the relation of identities as they are at a point: what names them, and the columns of their spans.

    The key column of a text is left out, as the text itself is there, unless it is one of `keys`.
    """
    columns: dict[str, ColumnElement[Any]] = {c.name: c for c in identities.c}
    for spans in span_tables:
        id = _identity_id(identities, spans)
        columns |= {
            c.name: c
            for c in spans.c
            if c is not id and c.name not in SPAN and (not c.name.endswith("_key") or c.name in keys)
        }

    def make(scope: Scope, names: Columns, *others: ColumnElement[Any]) -> Select[Any]:
        # an identity that is named has one span in each table, so that a table without a selected column is not joined
        used = {getattr(column, "table", None) for column in (*map(columns.__getitem__, names), *others)}
        joined = OrderedJoin(scope.keys, identities, scope.named(identities))
        for spans in span_tables:
            if spans in used:
                joined = joined.then(
                    spans, and_(_identity_id(identities, spans) == identities.c.id, scope.holds(spans))
                )
        return select(*labeled(columns, names), *others).select_from(joined)

    return Relation(identities.name, tuple(columns), make, lambda scope: identities.c.id == scope.id)


def list_parts(identities: Table, *span_tables: Table) -> tuple[ListPart, ...]:
    """Returns the parts of a listing of identities: their spans, and the identities themselves last."""
    return (
        *(ListPart(spans, _identity_id(identities, spans), Scope.holds) for spans in span_tables),
        ListPart(identities, identities.c.id, Scope.named),
    )


def attributes_of(table: Table, owner: ColumnElement[int]) -> Callable[..., list[list[Row[Any]]]]:
    """Returns the query of the attributes (name, value) of each key's token, by name."""

    def query(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
        scope = scope_of(key_rows(connection, keys))
        rows = select(scope.keys.c.place, table.c.name, table.c.value).select_from(
            OrderedJoin(scope.keys, table, and_(owner == scope.id, scope.holds(table)))
        )
        return lists_by_key(connection, rows, (table.c.name_key, table.c.valid_from), MAX_LIST, len(keys))

    return query


def _identity_id(identities: Table, spans: Table) -> ColumnElement[int]:
    id: ColumnElement[int] = spans.c[f"{identities.name}_id"]
    return id
