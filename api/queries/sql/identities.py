"""Identities and their spans.

An identity is a device, a manufacturer, a hardware license or a vehicle: one row with the token that names it. What
changes about it is in tables of spans, which have a column named after the identity's table: `device_id`.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, select

from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.pages import ListPart
from api.queries.sql.scope import Scope

SPAN = ("chain_id", "valid_from", "valid_to")


def select_identities(scope: Scope, identities: Table, *span_tables: Table) -> Select[Any]:
    """Returns the SELECT of identities as they are at the scope of each key, without the condition which identities.

    The key column of a text is left out, as the text itself is selected.
    """
    columns: list[ColumnElement[Any]] = [*identities.c]
    joined = OrderedJoin(scope.keys, identities, identities.c.chain_id == scope.chain_id)
    for spans in span_tables:
        id = _identity_id(identities, spans)
        columns += [c for c in spans.c if c is not id and c.name not in SPAN and not c.name.endswith("_key")]
        joined = joined.then(spans, and_(id == identities.c.id, scope.holds(spans)))
    return select(*columns).select_from(joined)


def list_parts(identities: Table, *span_tables: Table) -> tuple[ListPart, ...]:
    """Returns the parts of a listing of identities: their spans, and the identities themselves last."""
    return (
        *(ListPart(spans, _identity_id(identities, spans), Scope.holds) for spans in span_tables),
        ListPart(identities, identities.c.id, Scope.named),
    )


def _identity_id(identities: Table, spans: Table) -> ColumnElement[int]:
    id: ColumnElement[int] = spans.c[f"{identities.name}_id"]
    return id
