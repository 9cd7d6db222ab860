"""The manufacturer, hardware license, vehicle or account that an event is about, as of the pin of the event.

An orphaned event may name an object that no canonical event names. Such an object has its id and no other value.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.graphql.context import Context
from api.graphql.plan.fields import At, Ref, computed
from api.queries.sql import tables
from api.queries.sql.as_of import Pin
from api.queries.sql.relations import Relation
from api.queries.tokens import Token, token_ids
from schema.profile.reader import DecodedEvent, Mapped

if TYPE_CHECKING:
    from api.graphql.types.manufacturers import HardwareLicense, Manufacturer
    from api.graphql.types.vehicles import Account, SyntheticDevice, Vehicle

LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.graphql.types.manufacturers")]
LazyHardwareLicense = Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]
LazyVehicle = Annotated["Vehicle", strawberry.lazy("api.graphql.types.vehicles")]
LazySyntheticDevice = Annotated["SyntheticDevice", strawberry.lazy("api.graphql.types.vehicles")]
LazyAccount = Annotated["Account", strawberry.lazy("api.graphql.types.vehicles")]

UNKNOWN_ID = -1
"""The row id of an object that no canonical log names. No row has it."""

NO_VEHICLE = ("vehicle", 0)

Subject = tuple[Pin, int | None, bool, int, DecodedEvent]
"""Of an event: its pin, the id of the object, whether a reorg removed it, its chain and its reading."""


def subject(description: str, relation: Relation) -> Any:
    """Declares a field of an event that is the object that it is about."""
    return _field(description, relation, _subjects)


def subject_if_any(description: str, relation: Relation) -> Any:
    """Declares the same field of an event that need not name such an object."""

    def subjects(relation: Relation, context: Context, events: Sequence[Subject]) -> list[Ref | At | None]:
        named = [event for event in events if _names(relation, event)]
        values = iter(_subjects(relation, context, named))
        return [next(values) if _names(relation, event) else None for event in events]

    return _field(description, relation, subjects)


def _field(description: str, relation: Relation, batch: Any) -> Any:
    cells = ("pin", f"{relation.name}_id", "orphaned", "chain_id", "reading")
    return computed(description, partial(batch, relation), *cells)


def _subjects(relation: Relation, context: Context, events: Sequence[Subject]) -> list[Ref | At]:
    tokens = [_token(relation, event) if event[1] is None else None for event in events]
    ids = dict(
        zip(
            filter(None, tokens),
            context.read.each(_IDS[relation.name], [token for token in tokens if token is not None]),
            strict=True,
        )
    )

    def value(event: Subject, token: Token | None) -> Ref | At:
        pin, id, *_ = event
        if token is None:
            assert id is not None  # else the event has a token
            return Ref(relation, id, pin)
        id = ids[token]
        if id is not None and id <= pin.position:
            return Ref(relation, id, pin)
        chain_id, contract, token_id = token
        known = {"id": UNKNOWN_ID, "chain_id": chain_id, "contract": contract, "token_id": token_id}
        return At(tuple(map(known.get, context.read.shape(relation).columns)), pin, relation)

    return [value(event, token) for event, token in zip(events, tokens, strict=True)]


_IDS = {
    table.name: partial(token_ids, table=table)
    for table in (
        tables.manufacturer,
        tables.hardware_license,
        tables.vehicle,
        tables.synthetic_device,
        tables.account,
    )
}


def _names(relation: Relation, event: Subject) -> bool:
    """Returns whether an event names an object that it may leave out."""
    _, id, orphaned, _, reading = event
    if not orphaned:
        return id is not None
    number = getattr(reading.fact, _field_of(relation), None) if isinstance(reading, Mapped) else None
    return number is not None and (relation.name, number) != NO_VEHICLE


def _token(relation: Relation, event: Subject) -> Token:
    _, _, orphaned, chain_id, reading = event
    name = relation.name
    if not orphaned or not isinstance(reading, Mapped):
        raise LookupError(f"an event has no {name}_id: rebuild the database (certindex rebuild)")
    number = getattr(reading.fact, _field_of(relation))
    return (chain_id, number, 0) if name == "account" else (chain_id, getattr(reading.contracts, name), number)


def _field_of(relation: Relation) -> str:
    """Returns the field of a fact that names a row of the relation."""
    return "grantor" if relation.name == "account" else f"{relation.name}_id"
