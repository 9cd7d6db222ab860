"""The device: every section of its certificate, as of the block of the response."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Optional

import strawberry

from api.graphql.context import Context
from api.graphql.paging.connections import Connection, many
from api.graphql.paging.tokens import DeviceId
from api.graphql.plan.fields import column, computed, of, one, part, row_of, value
from api.graphql.types.authorizations import Authorization, authorized_users
from api.graphql.types.blocks import Block, block_of_pin, to_block
from api.graphql.types.events import (
    DeviceMinted,
    DeviceTransferred,
    EndOfLifeRecorded,
    FactoryReset,
    FirmwareUpdated,
    TestRecorded,
)
from api.graphql.types.identity import Attribute, Imei, attributes_of
from api.graphql.types.licenses import License, license_at_mint
from api.graphql.types.lifecycle_event import LifecycleEvent, history_of
from api.graphql.types.manufacturers import HardwareLicense, Manufacturer
from api.graphql.types.node import Node, node_id
from api.graphql.types.provenance import Provenance
from api.graphql.types.sources import SOURCE_CELLS, ValueSource, sources_of
from api.graphql.types.vehicles import Vehicle
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32, block_time, date_time, to_text
from api.queries.blocks import blocks
from api.queries.devices import DEVICE, addresses, attributes, successors
from api.queries.events import (
    END_OF_LIFE_STEPS,
    EVENT,
    FACTORY_RESETS,
    FIRMWARE_UPDATES,
    HISTORY,
    IN_CIRCUIT_TESTS,
    MECHANICAL_TESTS,
    QUALITY_INSPECTIONS,
    TRANSFERS,
)
from api.queries.licenses import HARDWARE_LICENSE, MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.vehicles import VEHICLE
from schema.did import did_of
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, Sanitization


@strawberry.type(description="An address that a device has or had, with the blocks between which the device held it.")
class DeviceAddress:
    address: Address = strawberry.field(description="The address.")
    from_: Block = strawberry.field(name="from", description="The block in which the device received the address.")
    until: Block | None = strawberry.field(
        description="The block in which the device lost the address. Null while the device holds it."
    )


@strawberry.type(description="The firmware that a device runs.")
@of(DEVICE)
class Firmware:
    version: str = column("The text as the contract emitted it.", source="firmware")
    semver: bool = column(
        "Whether the version is a semver 2.0.0 version, so that it can be ordered.", bool, source="firmware_version_key"
    )
    image_hash: Bytes32 | None = column(
        "The hash of the firmware image. Null if the update does not state one.", source="firmware_image_hash"
    )
    applied_at: datetime | None = column(
        "The block time of the update. Null for the initial firmware.", date_time, source="firmware_updated_at"
    )


@strawberry.type(
    description="The end of life of a device. The status is that of the furthest step, DECOMMISSIONED < RECYCLED < "
    "DISPOSED. A burn counts as DECOMMISSIONED. The status is UNKNOWN if only steps with unknown codes are recorded."
)
@of(DEVICE)
class EndOfLife:
    status: EndOfLifeStatus = column(
        "The furthest step of the end of life so far.", EndOfLifeStatus, source="end_of_life_status"
    )
    occurred_at: datetime | None = column(
        "The time of the step that set the status, according to its emitter; if the event states no time, the block "
        "time. Null without a step.",
        date_time,
        source="end_of_life_at",
    )
    facility: str | None = column(
        "The facility of the step that set the status, as its emitter wrote it. Null if none is stated.", to_text
    )
    sanitization: Sanitization | None = column(
        "The strongest sanitization that any step states: NONE < CLEAR < PURGE < DESTROY. Null if no step states one.",
        lambda code: None if code is None else Sanitization(code),
    )

    steps: Connection[EndOfLifeRecorded] = many("The recorded steps, oldest first.", END_OF_LIFE_STEPS)


def _addresses(context: Context, devices: Sequence[tuple[Pin, int]]) -> list[list[DeviceAddress]]:
    read = context.read
    held = read.each(addresses, [key_of(pin, id) for pin, id in devices])
    numbers = [
        (pin.chain_id, block_of(position))
        for (pin, _), rows in zip(devices, held, strict=True)
        for row in rows
        for position in (row.since, row.until)
        if position is not None
    ]
    stored = dict(zip(numbers, read.each(blocks, numbers), strict=True))

    def block(chain_id: int, position: int) -> Any:
        row = stored[chain_id, block_of(position)]
        if row is None:
            raise LookupError(f"block {block_of(position)} of chain {chain_id} contains an event and is not stored")
        return to_block(row)

    return [
        [
            DeviceAddress(
                address=Address(row.address),
                from_=block(pin.chain_id, row.since),
                until=None if row.until is None else block(pin.chain_id, row.until),
            )
            for row in rows
        ]
        for (pin, _), rows in zip(devices, held, strict=True)
    ]


@strawberry.type(description="A hardware device and its minting certificate.")
@of(DEVICE)
class Device(Node):
    id: strawberry.ID = node_id(DeviceId.of_token, "chain_id", "contract", "token_id")
    token_id: BigInt = column("The token id in the contract.")
    token_did: str = value(
        "The DID of the device: `did:erc721:<chainId>:<contract>:<tokenId>`. It is the same at every block.",
        did_of,
        "chain_id",
        "contract",
        "token_id",
        name="tokenDID",
    )
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    contract: Address = column("The address of the contract of the token.")
    owner: Address | None = column(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen."
    )
    address: Address | None = column("The address of the device itself. Null if none is known.")
    serial_number: str | None = column(
        "The text as the manufacturer wrote it. Null if it is unknown or was cleared.", to_text
    )
    imei: Imei | None = column(
        "The International Mobile Equipment Identity. Null if it is unknown or was cleared.", to_text
    )
    dev_eui: str | None = column(
        "The LoRaWAN identifier (DevEUI). Null if it is unknown or was cleared.", to_text, name="devEUI"
    )
    hardware_revision: str | None = column("The hardware revision. Null if it is unknown or was cleared.", to_text)
    manufactured_at: datetime | None = column(
        "The manufacturing date that the manufacturer states. Null if it is unknown.", date_time
    )
    minted_at: datetime | None = column(
        "The block time of the mint. Null if the mint was not seen.",
        lambda seconds: None if seconds is None else block_time(seconds),
    )
    provisioned_at: datetime | None = column(
        "The time at which the device was provisioned. If the contract has no event for it, the time of "
        "the last claim (`sourceOf` shows which). Null if there is neither.",
        date_time,
    )
    claimed_at: datetime | None = column(
        "The block time of the claim. Null while the device is not claimed.", date_time
    )
    beneficiary: Address | None = column(
        "The account that receives the proceeds of the device. Null if that is the owner."
    )
    paired_at: datetime | None = column(
        "The block time of the pairing with `pairedVehicle`. Null while the device is not paired.", date_time
    )
    initial_firmware: str | None = column("The firmware version at the mint. Null if it is unknown.", to_text)
    last_updated_at: datetime | None = column(
        "The block time of the latest event of the device.", block_time, source="updated_at"
    )
    addresses: list[DeviceAddress] = computed(
        "Every address that the device has or had, newest first, at most 100. `history` has the rest.",
        _addresses,
        "pin",
        "id",
    )
    attributes: list[Attribute] = computed(
        "The attributes that have no field of their own, ordered by name, at most 100.",
        attributes_of(attributes),
        "pin",
        "id",
    )
    manufacturer: Manufacturer | None = one(
        "The manufacturer that minted the device. Null if it is unknown.", MANUFACTURER, "manufacturer_id"
    )
    manufacturer_license_at_mint: License | None = license_at_mint(
        MANUFACTURER,
        "The Manufacturing License of the manufacturer just before the log of the mint. Null if the mint was not seen.",
    )
    hardware_license: HardwareLicense | None = one(
        "The Hardware Device License that the device was minted under, in its present state. Null if it is unknown.",
        HARDWARE_LICENSE,
        "hardware_license_id",
    )
    hardware_license_at_mint: License | None = license_at_mint(
        HARDWARE_LICENSE, "The Hardware Device License just before the log of the mint. Null if the mint was not seen."
    )
    mint: DeviceMinted | None = one(
        "The event that minted the device. Null if it was not seen.", EVENT, "mint_position"
    )
    paired_vehicle: Vehicle | None = one(
        "The vehicle that the device is paired with. Null if there is none.", VEHICLE, "vehicle_id"
    )
    predecessor: Optional["Device"] = one(
        "The burned device whose address this device took over in the same transaction. Null if there is none.",
        DEVICE,
        "predecessor_id",
    )
    successor: Optional["Device"] = computed(
        "The device that took over the address of this device in the transaction that burned it. Null if there is "
        "none.",
        row_of(DEVICE, successors),
        "pin",
        "id",
    )
    source_of: ValueSource = computed(
        "The source of the present value of one field: the log that set it, a contract call, or a rule.",
        sources_of,
        *SOURCE_CELLS,
    )
    firmware: Firmware | None = part(
        "The firmware that the device runs: the initial firmware, then that of each SUCCEEDED update in the "
        "order of the log. Null if it is unknown.",
        DEVICE,
        "firmware",
    )
    firmware_updates: Connection[FirmwareUpdated] = many(
        "The updates over the air, including failed ones, oldest first.", FIRMWARE_UPDATES
    )
    in_circuit_tests: Connection[TestRecorded] = many(
        "The results of in-circuit tests, oldest first.", IN_CIRCUIT_TESTS
    )
    mechanical_tests: Connection[TestRecorded] = many(
        "The results of mechanical tests, oldest first.", MECHANICAL_TESTS
    )
    quality_inspections: Connection[TestRecorded] = many(
        "The results of quality inspections in the factory, oldest first.", QUALITY_INSPECTIONS
    )
    authorized_users: Connection[Authorization] = many(
        "The grants that let users access and manage the device, in the order in which they were granted. "
        "The owner always has access and is not listed.",
        authorized_users(DEVICE),
    )
    factory_resets: Connection[FactoryReset] = many("The resets to the factory state, oldest first.", FACTORY_RESETS)
    end_of_life: EndOfLife = part("The end of life of the device.", DEVICE)
    transfers: Connection[DeviceTransferred] = many(
        "The changes of owner, including mint and burn, oldest first.", TRANSFERS
    )
    history: Connection[LifecycleEvent] = many(
        "All events of the device, oldest first by default.", history_of(HISTORY)
    )
    provenance: Provenance = part("The answers to an auditor's questions about the device.", DEVICE)
    as_of: Block = value("The block at which the state of the device was read.", block_of_pin, "pin")
