"""The device: every section of its certificate, as it stands at the answer's block."""

from datetime import datetime
from typing import Annotated, Any, Optional, TypeVar

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.inputs.orders import OLDEST_FIRST, LifecycleEventOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Build, Connection, Listed, connect
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
from api.graphql.types.event_rows import event_at, events_of
from api.graphql.types.events import (
    DeviceMinted,
    DeviceTransferred,
    EndOfLifeRecorded,
    FactoryReset,
    FirmwareUpdated,
    TestRecorded,
)
from api.graphql.types.identity import Imei, imei
from api.graphql.types.licenses import License, hardware_license_at_mint, manufacturing_license_at_mint
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.manufacturers import HardwareLicense, Manufacturer, load_hardware_license, load_manufacturer
from api.graphql.types.node import Node
from api.graphql.types.provenance import Provenance
from api.graphql.types.sources import DeviceField, ValueSource, source_of
from api.graphql.types.vehicles import Vehicle, load_vehicle
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32, block_time, date_time
from api.queries.events import (
    END_OF_LIFE_STEPS,
    EVENT_ORDERS,
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
from schema.did import TokenDid
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, Sanitization

EventT = TypeVar("EventT", bound=LifecycleEvent)

SourceField = Annotated[DeviceField, strawberry.argument(description="Which field.")]
HistoryFilterBy = Annotated[LifecycleEventFilter | None, strawberry.argument(description="Which events.")]
HistoryOrderBy = Annotated[LifecycleEventOrder | None, strawberry.argument(description="In which order.")]


@strawberry.type(description="An address that a device had, and while which blocks it did.")
class DeviceAddress:
    address: Address = strawberry.field(description="The address.")
    from_: Block = strawberry.field(name="from", description="The block from which it was held.")
    until: Block | None = strawberry.field(description="Null while it is held.")


@strawberry.type(description="A free attribute.")
class Attribute:
    name: str = strawberry.field(description="As the chain gave it.")
    value: str = strawberry.field(description="As the chain gave it.")


@strawberry.type(description="What a device runs.")
class Firmware:
    version: str = strawberry.field(description="As the chain gave it.")
    semver: bool = strawberry.field(description="Whether the version can be ordered by semver.")
    image_hash: Bytes32 | None = strawberry.field(description="Hash of the image, where the update stated it.")
    applied_at: datetime | None = strawberry.field(
        description="Block time of the update; null for the initial firmware."
    )


@strawberry.type(
    description="Status: that of the furthest step DECOMMISSIONED < RECYCLED < DISPOSED; a burn counts as "
    "DECOMMISSIONED; UNKNOWN when only steps of unknown codes were recorded."
)
class EndOfLife:
    device: strawberry.Private[int]
    pin: strawberry.Private[Pin]
    status: EndOfLifeStatus = strawberry.field(description="How far it is.")
    occurred_at: datetime | None = strawberry.field(
        description="When the step that set the status happened, by its emitter, else its block's time."
    )
    facility: str | None = strawberry.field(description="Where that step happened, as its emitter wrote it.")
    sanitization: Sanitization | None = strawberry.field(
        description="The strongest that any step states: NONE < CLEAR < PURGE < DESTROY; null when none states one."
    )

    @connection_field("The steps recorded, oldest first.")
    async def steps(self, info: Info, page: PageArguments) -> Connection[EndOfLifeRecorded]:
        return await connect(
            info, Listed(END_OF_LIFE_STEPS, BY_POSITION, self.device), page, (self.pin,), events_of(info.context)
        )


@strawberry.type(description="A hardware device and its minting certificate.")
class Device(Node):
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    token_id: BigInt = derived("Its number in its contract.", lambda device: BigInt(device.row.token_id))
    token_did: str = derived(
        "The device's name across networks, the same at every block.",
        lambda device: TokenDid(device.row.chain_id, device.row.contract, device.row.token_id).checksummed,
        name="tokenDID",
    )
    chain_id: BigInt = derived("The network, by EIP-155.", lambda device: BigInt(device.row.chain_id))
    contract: Address = derived("The contract of the token.", lambda device: Address(device.row.contract))
    owner: Address | None = derived(
        "By Transfer alone; null when burned or never seen.",
        lambda device: None if device.row.owner is None else Address(device.row.owner),
    )
    address: Address | None = derived(
        "The device's own address, now.",
        lambda device: None if device.row.address is None else Address(device.row.address),
    )
    serial_number: str | None = derived(
        "As the manufacturer wrote it.", lambda device: device.row.serial_number or None
    )
    imei: Imei | None = derived("International Mobile Equipment Identity.", lambda device: imei(device.row.imei))
    dev_eui: str | None = derived("LoRaWAN identifier.", lambda device: device.row.dev_eui or None, name="devEUI")
    hardware_revision: str | None = derived(
        "Revision of the hardware, where it was set.", lambda device: device.row.hardware_revision or None
    )
    manufactured_at: datetime | None = derived(
        "Manufacturing date, by the manufacturer.", lambda device: date_time(device.row.manufactured_at)
    )
    minted_at: datetime | None = derived(
        "Block time of the mint; null when it was not seen.",
        lambda device: None if device.row.minted_at is None else block_time(device.row.minted_at),
    )
    provisioned_at: datetime | None = derived(
        "When it was provisioned; where the contract records none, when it was last claimed (`sourceOf`).",
        lambda device: date_time(device.row.provisioned_at),
    )
    claimed_at: datetime | None = derived(
        "Block time of the claim; null while it is not claimed.", lambda device: date_time(device.row.claimed_at)
    )
    beneficiary: Address | None = derived(
        "Who has its proceeds; null: the owner.",
        lambda device: None if device.row.beneficiary is None else Address(device.row.beneficiary),
    )
    paired_at: datetime | None = derived(
        "Block time of the pairing with `pairedVehicle`.", lambda device: date_time(device.row.paired_at)
    )
    initial_firmware: str | None = derived(
        "The firmware it was made with.", lambda device: device.row.initial_firmware or None
    )
    last_updated_at: datetime | None = derived(
        "Block time of its latest event.", lambda device: block_time(device.row.updated_at)
    )

    def node_id(self) -> DeviceId:
        return DeviceId.of_row(self.row, self.pin)

    @field("Every address it ever had, newest first, at most 100; the rest are in `history`.")
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

    @field("Attributes that have no field of their own, by name, at most 100.")
    async def attributes(self, info: Info) -> list[Attribute]:
        rows = await info.context.loaders.attributes.load(key_of(self.pin, self.row.id))
        return [Attribute(name=row.name, value=row.value) for row in rows]

    @field("Who minted it.")
    async def manufacturer(self, info: Info) -> Manufacturer | None:
        id = self.row.manufacturer_id
        return None if id is None else await load_manufacturer(info.context, self.pin, id)

    @field("The manufacturer's licence as it stood just before the mint's log; null when the mint was not seen.")
    async def manufacturer_license_at_mint(self, info: Info) -> License | None:
        return await manufacturing_license_at_mint(info.context, self.row, self.pin)

    @field("The Hardware Device License that it was minted under, now.")
    async def hardware_license(self, info: Info) -> HardwareLicense | None:
        id = self.row.hardware_license_id
        return None if id is None else await load_hardware_license(info.context, self.pin, id)

    @field("The hardware licence as it stood just before the mint's log; null when the mint was not seen.")
    async def hardware_license_at_mint(self, info: Info) -> License | None:
        return await hardware_license_at_mint(info.context, self.row, self.pin)

    @field("The event that minted it; null when it was not seen.")
    async def mint(self, info: Info) -> DeviceMinted | None:
        position = self.row.mint_position
        event = None if position is None else await event_at(info.context, self.pin, position)
        return event if isinstance(event, DeviceMinted) else None

    @field("The vehicle that it is paired with.")
    async def paired_vehicle(self, info: Info) -> Vehicle | None:
        id = self.row.vehicle_id
        return None if id is None else await load_vehicle(info.context, self.pin, id)

    @field("The burned device whose address this one took over in the same transaction.")
    async def predecessor(self, info: Info) -> Optional["Device"]:
        id = self.row.predecessor_id
        return None if id is None else await load_device(info.context, self.pin, id)

    @field("The device that took over the address of this one in the transaction that burned it.")
    async def successor(self, info: Info) -> Optional["Device"]:
        found = await info.context.loaders.successor.load(key_of(self.pin, self.row.id))
        return None if found is None else await load_device(info.context, self.pin, found.device_id)

    @field("Where the present value of one field comes from: the log that set it, a contract call, or a rule.")
    async def source_of(self, info: Info, field: SourceField) -> ValueSource:
        return await source_of(info.context, self.row, self.pin, field)

    @field("Current: the initial one, then each SUCCEEDED update in order of record.")
    def firmware(self) -> Firmware | None:
        row = self.row
        if not row.firmware:
            return None
        return Firmware(
            version=row.firmware,
            semver=bool(row.firmware_version_key),
            image_hash=None if row.firmware_image_hash is None else Bytes32(row.firmware_image_hash),
            applied_at=date_time(row.firmware_updated_at),
        )

    @connection_field("Updates over the air, failed ones too, oldest first.")
    async def firmware_updates(self, info: Info, page: PageArguments) -> Connection[FirmwareUpdated]:
        return await self._facts(FirmwareUpdated, info, FIRMWARE_UPDATES, page)

    @connection_field("In-circuit test results, oldest first.")
    async def in_circuit_tests(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._facts(TestRecorded, info, IN_CIRCUIT_TESTS, page)

    @connection_field("Mechanical test results, oldest first.")
    async def mechanical_tests(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._facts(TestRecorded, info, MECHANICAL_TESTS, page)

    @connection_field("Quality inspections in the factory, oldest first.")
    async def quality_inspections(self, info: Info, page: PageArguments) -> Connection[TestRecorded]:
        return await self._facts(TestRecorded, info, QUALITY_INSPECTIONS, page)

    @connection_field("The owner always may, and is not listed.")
    async def authorized_users(
        self,
        info: Info,
        page: PageArguments,
        filter_by: AuthorizationFilterBy = UNSET,
        active_at: ActiveAt = UNSET,
        scope: Scoped = AuthorizationScope.ACTIVE,
    ) -> Connection[Authorization]:
        return await connect_authorizations(info, page, (self.pin,), filter_by, active_at, scope, device=self.row.id)

    @connection_field("Resets to the factory state, oldest first.")
    async def factory_resets(self, info: Info, page: PageArguments) -> Connection[FactoryReset]:
        return await self._facts(FactoryReset, info, FACTORY_RESETS, page)

    @field("How far it is in its end of life.")
    def end_of_life(self) -> EndOfLife:
        row = self.row
        return EndOfLife(
            device=row.id,
            pin=self.pin,
            status=EndOfLifeStatus(row.end_of_life_status),
            occurred_at=date_time(row.end_of_life_at),
            facility=row.facility or None,
            sanitization=None if row.sanitization is None else Sanitization(row.sanitization),
        )

    @connection_field("Changes of owner, mint and burn too, oldest first.")
    async def transfers(self, info: Info, page: PageArguments) -> Connection[DeviceTransferred]:
        return await self._facts(DeviceTransferred, info, TRANSFERS, page)

    @connection_field("Every event of the device.")
    async def history(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HistoryFilterBy = UNSET,
        order_by: HistoryOrderBy = OLDEST_FIRST,
    ) -> Connection[LifecycleEvent]:
        by = order_by or OLDEST_FIRST
        order = EVENT_ORDERS[by.field.name, by.descends]
        listed = Listed(HISTORY, order, self.row.id, to_filter(filter_by))
        return await connect(info, listed, page, (self.pin,), events_of(info.context))

    @field("The auditor's questions, answered.")
    def provenance(self) -> Provenance:
        return Provenance(device=self.row, pin=self.pin)

    @field("The block this answer stands at.")
    def as_of(self) -> Block:
        return to_block(_standing(self.pin))

    async def _facts(self, fact: type[EventT], info: Info, listing: Listing, page: PageArguments) -> Connection[EventT]:
        listed = Listed(listing, BY_POSITION, self.row.id)
        build: Build[EventT] = events_of(info.context)
        return await connect(info, listed, page, (self.pin,), build)


def to_device(row: Row[Any], pin: Pin) -> Device:
    """Returns the device of a row, as it stands at the pin."""
    return Device(row=row, pin=pin)


async def load_device(context: Context, pin: Pin, id: int) -> Device:
    """Returns the device of an id that a row at or before the pin names."""
    row = await context.loaders.device.load(key_of(pin, id))
    if row is None:
        raise LookupError(f"device {id} of chain {pin.chain_id} is named by a row and not there at {pin.position}")
    return to_device(row, pin)


def _standing(pin: Pin) -> BlockPoint:
    if pin.block is None:
        raise LookupError(f"something of chain {pin.chain_id} is answered before its first block")
    return pin.block


async def _block(context: Context, chain_id: int, position: int) -> Block:
    block = await context.loaders.block.load((chain_id, block_of(position)))
    if block is None:
        raise LookupError(f"block {block_of(position)} of chain {chain_id} holds an event and is not kept")
    return to_block(block)
