"""Manufacturers and hardware licences: who may make what, and the devices they made."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import DeviceFilter, to_filter
from api.graphql.inputs.orders import NEWEST_FIRST, DeviceOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, Listed, connect
from api.graphql.paging.tokens import HardwareLicenseId, ManufacturerId
from api.graphql.types.event_rows import events_of
from api.graphql.types.licenses import License, hardware_device_license, manufacturing_license
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.devices import DEVICE_ORDERS, DEVICES_OF_HARDWARE_LICENSE, DEVICES_OF_MANUFACTURER
from api.queries.events import HARDWARE_LICENSE_HISTORY, MANUFACTURER_HISTORY
from api.queries.licenses import HARDWARE_LICENSES_OF_MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION, Listing
from schema.did import TokenDid
from schema.events import ManufacturerTransferred

if TYPE_CHECKING:
    from api.graphql.types.devices import Device

Devices = Connection[Annotated["Device", strawberry.lazy("api.graphql.types.devices")]]
DeviceFilterBy = Annotated[DeviceFilter | None, strawberry.argument(description="Which devices.")]
DeviceOrderBy = Annotated[DeviceOrder | None, strawberry.argument(description="In which order.")]


@strawberry.type(description="Who may mint device certificates.")
class Manufacturer(Node):
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    token_id: BigInt = strawberry.field(description="The manufacturer id; where manufacturers are NFTs, the token id.")
    chain_id: BigInt = strawberry.field(description="The network, by EIP-155.")
    contract: Address = strawberry.field(description="The contract that numbers it.")
    name: str | None = strawberry.field(description="As the registrar wrote it.")
    owner: Address | None = strawberry.field(description="The licensed account, or the NFT's owner.")

    def node_id(self) -> ManufacturerId:
        return ManufacturerId.of_row(self.row, self.pin)

    @field("Name across networks; null where manufacturers are no NFTs.", name="tokenDID")
    def token_did(self, info: Info) -> str | None:
        row = self.row
        is_token = info.context.snapshot.readers[row.chain_id].has_rule_for(ManufacturerTransferred, row.contract)
        return TokenDid(row.chain_id, row.contract, row.token_id).checksummed if is_token else None

    @field("The Manufacturing License, now.")
    def license(self, info: Info) -> License:
        return manufacturing_license(info.context, self.row, self.row.id, self.pin, self.contract)

    @connection_field("The Hardware Device Licenses that it holds.")
    async def hardware_licenses(
        self,
        info: Info,
        page: PageArguments,
    ) -> Connection[Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]]:
        listed = Listed(HARDWARE_LICENSES_OF_MANUFACTURER, BY_POSITION, self.row.id)
        return await connect(info, listed, page, (self.pin,), to_hardware_license)

    @connection_field("The devices that it minted.")
    async def devices(
        self,
        info: Info,
        page: PageArguments,
        filter_by: DeviceFilterBy = UNSET,
        order_by: DeviceOrderBy = NEWEST_FIRST,
    ) -> Devices:
        return await _devices(info, DEVICES_OF_MANUFACTURER, self.row.id, self.pin, page, filter_by, order_by)

    @connection_field("The events of its licence and of the hardware licences granted to it.")
    async def history(
        self,
        info: Info,
        page: PageArguments,
    ) -> Connection[LifecycleEvent]:
        listed = Listed(MANUFACTURER_HISTORY, BY_POSITION, self.row.id)
        return await connect(info, listed, page, (self.pin,), events_of(info.context))


@strawberry.type(description="A Hardware Device License: the permission to mint certificates for one model.")
class HardwareLicense(Node):
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    hardware_license_id: BigInt = strawberry.field(description="Its number in its contract.")
    chain_id: BigInt = strawberry.field(description="The network, by EIP-155.")
    contract: Address = strawberry.field(description="The contract that numbers it.")
    model: str | None = strawberry.field(description="The licensed model.")
    hardware_revision: str | None = strawberry.field(description="The licensed revision.")

    def node_id(self) -> HardwareLicenseId:
        return HardwareLicenseId.of_row(self.row, self.pin)

    @field("Whose licence it is.")
    async def manufacturer(self, info: Info) -> Manufacturer | None:
        id = self.row.manufacturer_id
        return None if id is None else await load_manufacturer(info.context, self.pin, id)

    @field("The licence, now.")
    def license(self, info: Info) -> License:
        return hardware_device_license(info.context, self.row, self.row.id, self.pin, self.contract)

    @connection_field("The devices minted under it.")
    async def devices(
        self,
        info: Info,
        page: PageArguments,
        filter_by: DeviceFilterBy = UNSET,
        order_by: DeviceOrderBy = NEWEST_FIRST,
    ) -> Devices:
        return await _devices(info, DEVICES_OF_HARDWARE_LICENSE, self.row.id, self.pin, page, filter_by, order_by)

    @connection_field("Its grants and revocations.")
    async def history(
        self,
        info: Info,
        page: PageArguments,
    ) -> Connection[LifecycleEvent]:
        listed = Listed(HARDWARE_LICENSE_HISTORY, BY_POSITION, self.row.id)
        return await connect(info, listed, page, (self.pin,), events_of(info.context))


async def _devices(
    info: Info,
    listing: Listing,
    parent: int,
    pin: Pin,
    page: PageArguments,
    filter_by: DeviceFilter | None,
    order_by: DeviceOrder | None,
) -> "Connection[Device]":
    # devices import this module
    from api.graphql.types.devices import to_device

    by = order_by or NEWEST_FIRST
    listed = Listed(listing, DEVICE_ORDERS[by.field.name, by.descends], parent, to_filter(filter_by))
    return await connect(info, listed, page, (pin,), to_device)


def to_manufacturer(row: Row[Any], pin: Pin) -> Manufacturer:
    """Returns the manufacturer of a row, as it stands at the pin."""
    return Manufacturer(
        row=row,
        pin=pin,
        token_id=BigInt(row.token_id),
        chain_id=BigInt(row.chain_id),
        contract=Address(row.contract),
        name=row.name or None,
        owner=None if row.account is None else Address(row.account),
    )


def to_hardware_license(row: Row[Any], pin: Pin) -> HardwareLicense:
    """Returns the hardware licence of a row, as it stands at the pin."""
    return HardwareLicense(
        row=row,
        pin=pin,
        hardware_license_id=BigInt(row.token_id),
        chain_id=BigInt(row.chain_id),
        contract=Address(row.contract),
        model=row.model or None,
        hardware_revision=row.hardware_revision or None,
    )


async def load_manufacturer(context: Context, pin: Pin, id: int) -> Manufacturer:
    """Returns the manufacturer of an id that a row at or before the pin names."""
    row = await context.loaders.manufacturer.load(key_of(pin, id))
    if row is None:
        raise LookupError(
            f"manufacturer {id} of chain {pin.chain_id} is named by a row and not there at {pin.position}"
        )
    return to_manufacturer(row, pin)


async def load_hardware_license(context: Context, pin: Pin, id: int) -> HardwareLicense:
    """Returns the hardware licence of an id that a row at or before the pin names."""
    row = await context.loaders.hardware_license.load(key_of(pin, id))
    if row is None:
        raise LookupError(
            f"hardware licence {id} of chain {pin.chain_id} is named by a row and not there at {pin.position}"
        )
    return to_hardware_license(row, pin)
