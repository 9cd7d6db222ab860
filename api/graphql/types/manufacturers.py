"""Manufacturers, their hardware licenses, and the devices that they minted."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import DeviceFilter, to_filter
from api.graphql.inputs.orders import NEWEST_FIRST, DeviceOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, ListQuery, connect
from api.graphql.paging.tokens import HardwareLicenseId, ManufacturerId
from api.graphql.types.event_rows import connect_events
from api.graphql.types.licenses import HARDWARE, MANUFACTURING, License, license_of
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node
from api.graphql.vocabulary.fields import field, from_row
from api.graphql.vocabulary.scalars import Address, BigInt, to_address, to_text
from api.queries.devices import DEVICES_OF_HARDWARE_LICENSE, DEVICES_OF_MANUFACTURER
from api.queries.events import HARDWARE_LICENSE_HISTORY, MANUFACTURER_HISTORY
from api.queries.licenses import HARDWARE_LICENSES_OF_MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.pages import BY_POSITION, Listing
from api.reading.loaders import row_named
from schema.did import TokenDid
from schema.events import ManufacturerTransferred

if TYPE_CHECKING:
    from api.graphql.types.devices import Device

Devices = Connection[Annotated["Device", strawberry.lazy("api.graphql.types.devices")]]
DeviceFilterBy = Annotated[
    DeviceFilter | None, strawberry.argument(description="Returns only devices that pass this filter.")
]
DeviceOrderBy = Annotated[DeviceOrder | None, strawberry.argument(description="The order of the list.")]


@strawberry.type(description="A manufacturer, which may mint device certificates while it is licensed.")
class Manufacturer(Node):
    token_id: BigInt = from_row("The manufacturer id. If manufacturers are NFTs, the token id.", BigInt)
    chain_id: BigInt = from_row("The EIP-155 chain id of the network.", BigInt)
    contract: Address = from_row("The address of the contract that assigns the id.", Address)
    name: str | None = from_row("The name as the registrar wrote it. Null if it is unknown.", to_text)
    owner: Address | None = from_row(
        "The licensed account. If manufacturers are NFTs, the owner of the NFT. Null if it is unknown.",
        to_address,
        source="account",
    )

    def node_id(self) -> ManufacturerId:
        return ManufacturerId.of_row(self.row, self.pin)

    @field("The DID of the manufacturer. Null if manufacturers are not NFTs in this contract.", name="tokenDID")
    def token_did(self, info: Info) -> str | None:
        row = self.row
        is_token = info.context.snapshot.readers[row.chain_id].has_rule_for(ManufacturerTransferred, row.contract)
        return TokenDid(row.chain_id, row.contract, row.token_id).checksummed if is_token else None

    @field("The Manufacturing License in its present state.")
    def license(self, info: Info) -> License:
        return license_of(info.context, MANUFACTURING, self.row, self.row.id, self.pin, self.contract)

    @connection_field(
        "The Hardware Device Licenses of the manufacturer, in the order in which they were first granted."
    )
    async def hardware_licenses(
        self, info: Info, page: PageArguments
    ) -> Connection[Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]]:
        query = ListQuery(HARDWARE_LICENSES_OF_MANUFACTURER, BY_POSITION, self.row.id)
        return await connect(info, query, page, (self.pin,), to_hardware_license)

    @connection_field("The devices that the manufacturer minted, newest mint first unless `orderBy` says otherwise.")
    async def devices(
        self, info: Info, page: PageArguments, filter_by: DeviceFilterBy = UNSET, order_by: DeviceOrderBy = NEWEST_FIRST
    ) -> Devices:
        return await _devices(info, DEVICES_OF_MANUFACTURER, self.row.id, self.pin, page, filter_by, order_by)

    @connection_field("The events of the manufacturer, of its license and of its hardware licenses, oldest first.")
    async def history(self, info: Info, page: PageArguments) -> Connection[LifecycleEvent]:
        query = ListQuery(MANUFACTURER_HISTORY, BY_POSITION, self.row.id)
        return await connect_events(info, query, page, (self.pin,))


@strawberry.type(description="A Hardware Device License: the permission to mint certificates for one device model.")
class HardwareLicense(Node):
    hardware_license_id: BigInt = from_row(
        "The number of the hardware license in its contract.", BigInt, source="token_id"
    )
    chain_id: BigInt = from_row("The EIP-155 chain id of the network.", BigInt)
    contract: Address = from_row("The address of the contract that assigns the id.", Address)
    model: str | None = from_row("The licensed model. Null if it is unknown.", to_text)
    hardware_revision: str | None = from_row("The licensed hardware revision. Null if it is unknown.", to_text)

    def node_id(self) -> HardwareLicenseId:
        return HardwareLicenseId.of_row(self.row, self.pin)

    @field("The manufacturer that holds the hardware license. Null if the contract does not state it.")
    async def manufacturer(self, info: Info) -> Manufacturer | None:
        id = self.row.manufacturer_id
        return None if id is None else await load_manufacturer(info.context, self.pin, id)

    @field("The license in its present state.")
    def license(self, info: Info) -> License:
        return license_of(info.context, HARDWARE, self.row, self.row.id, self.pin, self.contract)

    @connection_field(
        "The devices that were minted under the hardware license, newest mint first unless `orderBy` says otherwise."
    )
    async def devices(
        self, info: Info, page: PageArguments, filter_by: DeviceFilterBy = UNSET, order_by: DeviceOrderBy = NEWEST_FIRST
    ) -> Devices:
        return await _devices(info, DEVICES_OF_HARDWARE_LICENSE, self.row.id, self.pin, page, filter_by, order_by)

    @connection_field("The grants and revocations of the hardware license, oldest first.")
    async def history(self, info: Info, page: PageArguments) -> Connection[LifecycleEvent]:
        query = ListQuery(HARDWARE_LICENSE_HISTORY, BY_POSITION, self.row.id)
        return await connect_events(info, query, page, (self.pin,))


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

    query = ListQuery(listing, (order_by or NEWEST_FIRST).order, parent, to_filter(filter_by))
    return await connect(info, query, page, (pin,), to_device)


def to_manufacturer(row: Row[Any], pin: Pin) -> Manufacturer:
    """Returns the manufacturer of a row, as of the pin."""
    return Manufacturer(row=row, pin=pin)


def to_hardware_license(row: Row[Any], pin: Pin) -> HardwareLicense:
    """Returns the hardware license of a row, as of the pin."""
    return HardwareLicense(row=row, pin=pin)


async def load_manufacturer(context: Context, pin: Pin, id: int) -> Manufacturer:
    """Returns the manufacturer whose id a row contains. Raises LookupError if it does not exist at the pin."""
    return to_manufacturer(await row_named(context.loaders.manufacturer, "manufacturer", pin, id), pin)


async def load_hardware_license(context: Context, pin: Pin, id: int) -> HardwareLicense:
    """Returns the hardware license whose id a row contains. Raises LookupError if it does not exist at the pin."""
    return to_hardware_license(await row_named(context.loaders.hardware_license, "hardware license", pin, id), pin)
