"""The manufacturer, hardware license or vehicle that an event is about, as of the pin of the event.

An orphaned event may name an object that no canonical event names. Such an object has its id and no other value.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Table

from api.graphql.context import Info
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.sql import tables
from api.queries.tokens import Token
from api.reading.batching import Loader
from schema.profile.reader import Mapped

if TYPE_CHECKING:
    from api.graphql.types.manufacturers import HardwareLicense, Manufacturer
    from api.graphql.types.vehicles import Vehicle

LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.graphql.types.manufacturers")]
LazyHardwareLicense = Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]
LazyVehicle = Annotated["Vehicle", strawberry.lazy("api.graphql.types.vehicles")]

UNKNOWN_ID = -1
"""The row id of an object that no canonical log names. No row has it."""


async def manufacturer_of(self: LifecycleEvent, info: Info) -> LazyManufacturer:
    """Returns the manufacturer that an event is about."""
    from api.graphql.types.manufacturers import load_manufacturer, to_manufacturer

    subject = await _subject(self, "manufacturer", info.context.loaders.manufacturer_id)
    if isinstance(subject, int):
        return await load_manufacturer(info.context, self.pin, subject)
    return to_manufacturer(_bare_row(subject, tables.manufacturer_version), self.pin)


async def hardware_license_of(self: LifecycleEvent, info: Info) -> LazyHardwareLicense:
    """Returns the hardware license that an event is about."""
    from api.graphql.types.manufacturers import load_hardware_license, to_hardware_license

    subject = await _subject(self, "hardware_license", info.context.loaders.hardware_license_id)
    if isinstance(subject, int):
        return await load_hardware_license(info.context, self.pin, subject)
    return to_hardware_license(_bare_row(subject, tables.hardware_license_version), self.pin)


async def vehicle_of(self: LifecycleEvent, info: Info) -> LazyVehicle | None:
    """Returns the vehicle that an event is about."""
    from api.graphql.types.vehicles import Vehicle, load_vehicle

    subject = await _subject(self, "vehicle", info.context.loaders.vehicle_id)
    if isinstance(subject, int):
        return await load_vehicle(info.context, self.pin, subject)
    return Vehicle(row=_bare_row(subject, tables.vehicle_version))


async def manufacturer_if_any(self: LifecycleEvent, info: Info) -> LazyManufacturer | None:
    """Returns the manufacturer that an event is about, None if it names none."""
    return await manufacturer_of(self, info) if _names(self, "manufacturer_id") else None


async def vehicle_if_any(self: LifecycleEvent, info: Info) -> LazyVehicle | None:
    """Returns the vehicle that an event is about, None if it names none."""
    return await vehicle_of(self, info) if _names(self, "vehicle_id") else None


async def _subject(event: LifecycleEvent, kind: str, ids: Loader[Token, int | None]) -> int | Token:
    """Returns the row id of the object that an event is about, or its token if no canonical event names it."""
    id: int | None = getattr(event.row, f"{kind}_id")
    if id is not None:
        return id
    token = _token(event, f"{kind}_id", kind)
    id = await ids.load(token)
    return token if id is None or id > event.pin.position else id


def _names(event: LifecycleEvent, field: str) -> bool:
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


def _bare_row(token: Token, versions: Table) -> Any:
    chain_id, contract, token_id = token
    unknown = dict.fromkeys((column.name for column in versions.c), None)
    return SimpleNamespace(
        **{**unknown, "id": UNKNOWN_ID, "chain_id": chain_id, "contract": contract, "token_id": token_id}
    )
