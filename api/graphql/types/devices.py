"""The device: every section of its certificate, as of the block of the response."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, Optional

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.inputs.orders import OLDEST_FIRST, LifecycleEventOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, ListQuery
from api.graphql.paging.tokens import DeviceId
from api.graphql.types.authorizations import (
    ActiveAt,
    Authorization,
    AuthorizationFilterBy,
    AuthorizationScope,
    Scoped,
    connect_authorizations,
)
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.event_rows import connect_events, event_at
from api.graphql.types.events import (
    DeviceMinted,
    DeviceTransferred,
    EndOfLifeRecorded,
    FactoryReset,
    FirmwareUpdated,
    TestRecorded,
)
from api.graphql.types.identity import Imei, to_imei
from api.graphql.types.licenses import HARDWARE, MANUFACTURING, License, license_at_mint
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.manufacturers import HardwareLicense, Manufacturer, load_hardware_license, load_manufacturer
from api.graphql.types.node import Node
from api.graphql.types.provenance import Provenance
from api.graphql.types.sources import DeviceField, ValueSource, source_of
from api.graphql.types.vehicles import Vehicle, load_vehicle
from api.graphql.vocabulary.fields import derived, field, from_row
from api.graphql.vocabulary.scalars import (
    Address,
    BigInt,
    Bytes32,
    block_time,
    date_time,
    to_address,
    to_bytes32,
    to_text,
)
from api.queries.events import (
    END_OF_LIFE_STEPS,
    FACTORY_RESETS,
    FIRMWARE_UPDATES,
    HISTORY,
    IN_CIRCUIT_TESTS,
    MECHANICAL_TESTS,
    QUALITY_INSPECTIONS,
    TRANSFERS,
)
from api.queries.sql.as_of import BlockPoint, Pin
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION, Listing
from api.reading.loaders import row_named
from schema.did import TokenDid
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, Sanitization

SourceField = Annotated[DeviceField, strawberry.argument(description="The field whose source is requested.")]
HistoryFilterBy = Annotated[
    LifecycleEventFilter | None, strawberry.argument(description="Returns only events that pass this filter.")
]
HistoryOrderBy = Annotated[LifecycleEventOrder | None, strawberry.argument(description="The order of the list.")]


@strawberry.type(description="An address that a device has or had, with the blocks between which the device held it.")
class DeviceAddress:
    address: Address = strawberry.field(description="The address.")
    from_: Block = strawberry.field(name="from", description="The block in which the device received the address.")
    until: Block | None = strawberry.field(
        description="The block in which the device lost the address. Null while the device holds it."
    )


@strawberry.type(description="An attribute that the API has no field for.")
class Attribute:
    name: str = strawberry.field(description="The text as the contract emitted it.")
    value: str = strawberry.field(description="The text as the contract emitted it.")


@strawberry.type(description="The firmware that a device runs.")
class Firmware:
    row: strawberry.Private[Row[Any]]
    version: str = from_row("The text as the contract emitted it.", str, source="firmware")
    semver: bool = from_row(
        "Whether the version is a semver 2.0.0 version, so that it can be ordered.", bool, source="firmware_version_key"
    )
    image_hash: Bytes32 | None = from_row(
        "The hash of the firmware image. Null if the update does not state one.",
        to_bytes32,
        source="firmware_image_hash",
    )
    applied_at: datetime | None = from_row(
        "The block time of the update. Null for the initial firmware.", date_time, source="firmware_updated_at"
    )


@strawberry.type(
    description="The end of life of a device. The status is that of the furthest step, DECOMMISSIONED < RECYCLED < "
    "DISPOSED. A burn counts as DECOMMISSIONED. The status is UNKNOWN if only steps with unknown codes are recorded."
)
class EndOfLife:
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    status: EndOfLifeStatus = from_row(
        "The furthest step of the end of life so far.", EndOfLifeStatus, source="end_of_life_status"
    )
    occurred_at: datetime | None = from_row(
        "The time of the step that set the status, according to its emitter; if the event states no time, the block "
        "time. Null without a step.",
        date_time,
        source="end_of_life_at",
    )
    facility: str | None = from_row(
        "The facility of the step that set the status, as its emitter wrote it. Null if none is stated.", to_text
    )
    sanitization: Sanitization | None = derived(
        "The strongest sanitization that any step states: NONE < CLEAR < PURGE < DESTROY. Null if no step states one.",
        lambda end: None if end.row.sanitization is None else Sanitization(end.row.sanitization),
    )

    @connection_field("The recorded steps, oldest first.")
    async def steps(self, info: Info, page: PageArguments) -> Connection[EndOfLifeRecorded]:
        return await connect_events(info, ListQuery(END_OF_LIFE_STEPS, BY_POSITION, self.row.id), page, (self.pin,))


@strawberry.type(description="A hardware device and its minting certificate.")
class Device(Node):
    token_id: BigInt = from_row("The token id in the contract.", BigInt)
    token_did: str = derived(
        "The DID of the device: `did:erc721:<chainId>:<contract>:<tokenId>`. It is the same at every block.",
        lambda device: TokenDid(device.row.chain_id, device.row.contract, device.row.token_id).checksummed,
        name="tokenDID",
    )
    chain_id: BigInt = from_row("The EIP-155 chain id of the network.", BigInt)
    contract: Address = from_row("The address of the contract of the token.", Address)
    owner: Address | None = from_row(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen.", to_address
    )
    address: Address | None = from_row("The address of the device itself. Null if none is known.", to_address)
    serial_number: str | None = from_row(
        "The text as the manufacturer wrote it. Null if it is unknown or was cleared.", to_text
    )
    imei: Imei | None = from_row(
        "The International Mobile Equipment Identity. Null if it is unknown or was cleared.", to_imei
    )
    dev_eui: str | None = from_row(
        "The LoRaWAN identifier (DevEUI). Null if it is unknown or was cleared.", to_text, name="devEUI"
    )
    hardware_revision: str | None = from_row("The hardware revision. Null if it is unknown or was cleared.", to_text)
    manufactured_at: datetime | None = from_row(
        "The manufacturing date that the manufacturer states. Null if it is unknown.", date_time
    )
    minted_at: datetime | None = derived(
        "The block time of the mint. Null if the mint was not seen.",
        lambda device: None if device.row.minted_at is None else block_time(device.row.minted_at),
    )
    provisioned_at: datetime | None = from_row(
        "The time at which the device was provisioned. If the contract has no event for it, the time of "
        "the last claim (`sourceOf` shows which). Null if there is neither.",
        date_time,
    )
    claimed_at: datetime | None = from_row(
        "The block time of the claim. Null while the device is not claimed.", date_time
    )
    beneficiary: Address | None = from_row(
        "The account that receives the proceeds of the device. Null if that is the owner.", to_address
    )
    paired_at: datetime | None = from_row(
        "The block time of the pairing with `pairedVehicle`. Null while the device is not paired.", date_time
    )
    initial_firmware: str | None = from_row("The firmware version at the mint. Null if it is unknown.", to_text)
    last_updated_at: datetime | None = from_row(
        "The block time of the latest event of the device.", block_time, source="updated_at"
    )

    def node_id(self) -> DeviceId:
        return DeviceId.of_row(self.row, self.pin)

    @field("Every address that the device has or had, newest first, at most 100. `history` has the rest.")
    async def addresses(self, info: Info) -> list[DeviceAddress]:
        context, chain_id = info.context, self.row.chain_id

        async def held(row: Row[Any]) -> DeviceAddress:
            return DeviceAddress(
                address=Address(row.address),
                from_=await _block(context, chain_id, row.since),
                until=None if row.until is None else await _block(context, chain_id, row.until),
            )

        rows = await context.loaders.addresses.load(key_of(self.pin, self.row.id))
        return await context.runner.gather(*map(held, rows))

    @field("The attributes that have no field of their own, ordered by name, at most 100.")
    async def attributes(self, info: Info) -> list[Attribute]:
        rows = await info.context.loaders.attributes.load(key_of(self.pin, self.row.id))
        return [Attribute(name=row.name, value=row.value) for row in rows]

    @field("The manufacturer that minted the device. Null if it is unknown.")
    async def manufacturer(self, info: Info) -> Manufacturer | None:
        id = self.row.manufacturer_id
        return None if id is None else await load_manufacturer(info.context, self.pin, id)

    @field(
        "The Manufacturing License of the manufacturer just before the log of the mint. Null if the mint was not seen."
    )
    async def manufacturer_license_at_mint(self, info: Info) -> License | None:
        return await license_at_mint(info.context, MANUFACTURING, self.row, self.pin)

    @field("The Hardware Device License that the device was minted under, in its present state. Null if it is unknown.")
    async def hardware_license(self, info: Info) -> HardwareLicense | None:
        id = self.row.hardware_license_id
        return None if id is None else await load_hardware_license(info.context, self.pin, id)

    @field("The Hardware Device License just before the log of the mint. Null if the mint was not seen.")
    async def hardware_license_at_mint(self, info: Info) -> License | None:
        return await license_at_mint(info.context, HARDWARE, self.row, self.pin)

    @field("The event that minted the device. Null if it was not seen.")
    async def mint(self, info: Info) -> DeviceMinted | None:
        position = self.row.mint_position
        event = None if position is None else await event_at(info.context, self.pin, position)
        return event if isinstance(event, DeviceMinted) else None

    @field("The vehicle that the device is paired with. Null if there is none.")
    async def paired_vehicle(self, info: Info) -> Vehicle | None:
        id = self.row.vehicle_id
        return None if id is None else await load_vehicle(info.context, self.pin, id)

    @field("The burned device whose address this device took over in the same transaction. Null if there is none.")
    async def predecessor(self, info: Info) -> Optional["Device"]:
        id = self.row.predecessor_id
        return None if id is None else await load_device(info.context, self.pin, id)

    @field(
        "The device that took over the address of this device in the transaction that burned it. Null if there is none."
    )
    async def successor(self, info: Info) -> Optional["Device"]:
        row = await info.context.loaders.successor.load(key_of(self.pin, self.row.id))
        return None if row is None else await load_device(info.context, self.pin, row.device_id)

    @field("The source of the present value of one field: the log that set it, a contract call, or a rule.")
    async def source_of(self, info: Info, field: SourceField) -> ValueSource:
        return await source_of(info.context, self.row, self.pin, field)

    @field(
        "The firmware that the device runs: the initial firmware, then that of each SUCCEEDED update in the "
        "order of the log. Null if it is unknown."
    )
    def firmware(self) -> Firmware | None:
        return Firmware(row=self.row) if self.row.firmware else None

    @connection_field("The updates over the air, including failed ones, oldest first.")
    async def firmware_updates(self, info: Info, page: PageArguments) -> Connection[FirmwareUpdated]:
        return await self._events(info, FIRMWARE_UPDATES, page)

    @connection_field("The results of in-circuit tests, oldest first.")
    async def in_circuit_tests(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._events(info, IN_CIRCUIT_TESTS, page)

    @connection_field("The results of mechanical tests, oldest first.")
    async def mechanical_tests(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._events(info, MECHANICAL_TESTS, page)

    @connection_field("The results of quality inspections in the factory, oldest first.")
    async def quality_inspections(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._events(info, QUALITY_INSPECTIONS, page)

    @connection_field(
        "The grants that let users access and manage the device, in the order in which they were granted. "
        "The owner always has access and is not listed."
    )
    async def authorized_users(
        self,
        info: Info,
        page: PageArguments,
        filter_by: AuthorizationFilterBy = UNSET,
        active_at: ActiveAt = UNSET,
        scope: Scoped = AuthorizationScope.ACTIVE,
    ) -> Connection[Authorization]:
        return await connect_authorizations(info, page, (self.pin,), filter_by, active_at, scope, device=self.row.id)

    @connection_field("The resets to the factory state, oldest first.")
    async def factory_resets(self, info: Info, page: PageArguments) -> Connection[FactoryReset]:
        return await self._events(info, FACTORY_RESETS, page)

    @field("The end of life of the device.")
    def end_of_life(self) -> EndOfLife:
        return EndOfLife(row=self.row, pin=self.pin)

    @connection_field("The changes of owner, including mint and burn, oldest first.")
    async def transfers(self, info: Info, page: PageArguments) -> Connection[DeviceTransferred]:
        return await self._events(info, TRANSFERS, page)

    @connection_field("All events of the device, oldest first unless `orderBy` says otherwise.")
    async def history(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HistoryFilterBy = UNSET,
        order_by: HistoryOrderBy = OLDEST_FIRST,
    ) -> Connection[LifecycleEvent]:
        query = ListQuery(HISTORY, (order_by or OLDEST_FIRST).order, self.row.id, to_filter(filter_by))
        return await connect_events(info, query, page, (self.pin,))

    @field("The answers to an auditor's questions about the device.")
    def provenance(self) -> Provenance:
        return Provenance(device=self.row, pin=self.pin)

    @field("The block at which the state of the device was read.")
    def as_of(self) -> Block:
        return to_block(_standing(self.pin))

    def _events(self, info: Info, listing: Listing, page: PageArguments) -> Awaitable[Connection[Any]]:
        return connect_events(info, ListQuery(listing, BY_POSITION, self.row.id), page, (self.pin,))


def to_device(row: Row[Any], pin: Pin) -> Device:
    """Returns the device of a row, as of the pin."""
    return Device(row=row, pin=pin)


async def load_device(context: Context, pin: Pin, id: int) -> Device:
    """Returns the device whose id a row contains. Raises LookupError if it does not exist at the pin."""
    return to_device(await row_named(context.loaders.device, "device", pin, id), pin)


def _standing(pin: Pin) -> BlockPoint:
    if pin.block is None:
        raise LookupError(f"an object of chain {pin.chain_id} is read before its first block")
    return pin.block


async def _block(context: Context, chain_id: int, position: int) -> Block:
    block = await context.loaders.block.load((chain_id, block_of(position)))
    if block is None:
        raise LookupError(f"block {block_of(position)} of chain {chain_id} contains an event and is not stored")
    return to_block(block)
