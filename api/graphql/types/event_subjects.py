"""The manufacturer, hardware license or vehicle that an event is about, as of the pin of the event.

An orphaned event may name an object that no canonical event names. Such an object has its id and no other value.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from api.graphql.context import Info
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.scalars import BigInt
from api.queries.sql import tables
from api.queries.tokens import Token
from api.reading.batching import Loader
from schema.did import TokenDid
from schema.profile.model import Mapped

if TYPE_CHECKING:
    from api.graphql.types.manufacturers import HardwareLicense, Manufacturer
    from api.graphql.types.vehicles import Vehicle

NOBODY = -1
"""The row id of an object that no canonical log names. No row has it."""


async def manufacturer_of(event: LifecycleEvent, info: Info) -> "Manufacturer":
    """Returns the manufacturer that an event is about."""
    from api.graphql.types.manufacturers import load_manufacturer, to_manufacturer

    if event.row.manufacturer_id is not None:
        return await load_manufacturer(info.context, event.pin, event.row.manufacturer_id)
    token = _token(event, "manufacturer_id", "manufacturer")
    id = await _id(event, info.context.loaders.manufacturer_id, token)
    if id is not None:
        return await load_manufacturer(info.context, event.pin, id)
    return to_manufacturer(_bare(token, tables.manufacturer_version), event.pin)


async def hardware_license_of(event: LifecycleEvent, info: Info) -> "HardwareLicense":
    """Returns the hardware license that an event is about."""
    from api.graphql.types.manufacturers import load_hardware_license, to_hardware_license

    if event.row.hardware_license_id is not None:
        return await load_hardware_license(info.context, event.pin, event.row.hardware_license_id)
    token = _token(event, "hardware_license_id", "hardware_license")
    id = await _id(event, info.context.loaders.hardware_license_id, token)
    if id is not None:
        return await load_hardware_license(info.context, event.pin, id)
    return to_hardware_license(_bare(token, tables.hardware_license_version), event.pin)


async def vehicle_of(event: LifecycleEvent, info: Info) -> "Vehicle":
    """Returns the vehicle that an event is about."""
    from api.graphql.types.vehicles import Vehicle, load_vehicle

    if event.row.vehicle_id is not None:
        return await load_vehicle(info.context, event.pin, event.row.vehicle_id)
    token = _token(event, "vehicle_id", "vehicle")
    id = await _id(event, info.context.loaders.vehicle_id, token)
    if id is not None:
        return await load_vehicle(info.context, event.pin, id)
    return Vehicle(token_id=BigInt(token[2]), token_did=TokenDid(*token).checksummed, owner=None)


def names(event: LifecycleEvent, field: str) -> bool:
    """Returns whether an event names an object that it may leave out. `field`: `manufacturer_id` or `vehicle_id`."""
    if not event.row.orphaned:
        return getattr(event.row, field) is not None
    number = getattr(event.reading.fact, field, None) if isinstance(event.reading, Mapped) else None
    return number is not None and (field, number) != NO_VEHICLE


NO_VEHICLE = ("vehicle_id", 0)


def _token(event: LifecycleEvent, number: str, identity: str) -> Token:
    if not event.row.orphaned or not isinstance(event.reading, Mapped):
        raise LookupError(f"an event has no {number}: rebuild the database (certindex rebuild)")
    return event.row.chain_id, getattr(event.reading.contracts, identity), getattr(event.reading.fact, number)


async def _id(event: LifecycleEvent, ids: Loader[Token, int | None], token: Token) -> int | None:
    id = await ids.load(token)
    return id if id is not None and id <= event.pin.position else None


def _bare(token: Token, versions: Table) -> Any:
    chain_id, contract, token_id = token
    unknown = dict.fromkeys((column.name for column in versions.c), None)
    return SimpleNamespace(
        **{**unknown, "id": NOBODY, "chain_id": chain_id, "contract": contract, "token_id": token_id}
    )
