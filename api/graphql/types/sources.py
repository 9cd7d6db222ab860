"""Where a value of a device comes from: the log that said it, an event that stands in, a call, or nowhere."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import strawberry

from api.audit.evidence import ADDRESS_SETTERS, SETTERS, Evidence, Fits, sets
from api.graphql.context import Context
from api.graphql.inputs.orders import told
from api.graphql.types.event_rows import event_of
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.calls import last_call_block
from api.queries.sql.as_of import Pin
from schema import events as facts
from schema.events import ZERO_ADDRESS, Fact, Kind
from schema.profile.calls import CallField
from schema.profile.model import Reader
from schema.vocabulary import FirmwareUpdateResult


@strawberry.enum(description="Fields that have one value at a time and one event behind it.")
class DeviceField(Enum):
    OWNER = told("OWNER", "`owner`.")
    ADDRESS = told("ADDRESS", "`address`.")
    SERIAL_NUMBER = told("SERIAL_NUMBER", "`serialNumber`.")
    IMEI = told("IMEI", "`imei`.")
    DEV_EUI = told("DEV_EUI", "`devEUI`.")
    HARDWARE_REVISION = told("HARDWARE_REVISION", "`hardwareRevision`.")
    MANUFACTURER = told("MANUFACTURER", "`manufacturer`.")
    HARDWARE_LICENSE = told("HARDWARE_LICENSE", "`hardwareLicense`.")
    MANUFACTURED_AT = told("MANUFACTURED_AT", "`manufacturedAt`.")
    MINTED_AT = told("MINTED_AT", "`mintedAt`.")
    PROVISIONED_AT = told("PROVISIONED_AT", "`provisionedAt`.")
    CLAIMED_AT = told("CLAIMED_AT", "`claimedAt`.")
    BENEFICIARY = told("BENEFICIARY", "`beneficiary`.")
    PAIRED_VEHICLE = told("PAIRED_VEHICLE", "`pairedVehicle` and `pairedAt`.")
    INITIAL_FIRMWARE = told("INITIAL_FIRMWARE", "`initialFirmware`.")
    FIRMWARE = told("FIRMWARE", "`firmware`.")
    END_OF_LIFE = told("END_OF_LIFE", "`endOfLife.status`.")


@strawberry.enum(description="What kind of source a value has.")
class ValueOrigin(Enum):
    LOG = told("LOG", "Said by `event`.")
    DERIVED = told("DERIVED", "Stands in for a value that the chain does not carry, from `event`.")
    CALL = told("CALL", "Read by eth_call at a block, as no event carries it.")
    NOT_ON_CHAIN = told("NOT_ON_CHAIN", "No event recorded so far carries it.")


@strawberry.type(description="Where the present value of one field comes from.")
class ValueSource:
    origin: ValueOrigin = strawberry.field(description="What kind of source it is.")
    event: LifecycleEvent | None = strawberry.field(description="Null for CALL and NOT_ON_CHAIN.")
    reason: str = strawberry.field(description="One sentence: which rule, which call.")


class Setting(NamedTuple):
    """Which events set a field: the last of these kinds that fits."""

    kinds: tuple[Kind, ...]
    fits: Fits


async def source_of(context: Context, device: Any, pin: Pin, field: DeviceField) -> ValueSource:
    """Returns where the present value of a field of the device (a row of `select_devices`) comes from."""
    evidence = Evidence(context.runner, context.loaders, pin)
    if field is DeviceField.END_OF_LIFE and device.end_of_life_position is None:
        return await _of_burn(context, evidence, device, pin)
    rows = await evidence.setter(device.id, *_setting(field, context.snapshot.readers[pin.chain_id], device))
    if rows:
        return _from_event(context, rows, pin, field)
    if field is DeviceField.MANUFACTURER and device.manufacturer_id is not None:
        return await _of_call(context, device, pin)
    return ValueSource(origin=ValueOrigin.NOT_ON_CHAIN, event=None, reason=NOT_TOLD)


def _from_event(context: Context, rows: Sequence[Any], pin: Pin, field: DeviceField) -> ValueSource:
    event = event_of(context, rows[-1], pin)
    if field is DeviceField.PROVISIONED_AT and rows[-1].kind == Kind.DEVICE_CLAIMED:
        return ValueSource(origin=ValueOrigin.DERIVED, event=event, reason=CLAIMED)
    return ValueSource(origin=ValueOrigin.LOG, event=event, reason=TOLD)


async def _of_burn(context: Context, evidence: Evidence, device: Any, pin: Pin) -> ValueSource:
    rows = await evidence.at(device.burn_position) if device.owner is None else []
    if not rows:
        return ValueSource(origin=ValueOrigin.NOT_ON_CHAIN, event=None, reason=IN_SERVICE)
    return ValueSource(origin=ValueOrigin.DERIVED, event=event_of(context, rows[-1], pin), reason=BURNED)


async def _of_call(context: Context, device: Any, pin: Pin) -> ValueSource:
    call = context.snapshot.readers[pin.chain_id].calls[CallField.MANUFACTURER]
    block = await context.runner.read(last_call_block, pin.chain_id, call.to, call.data(device.token_id))
    reason = f"No event carries it: {call.name} answered it by eth_call at block {block} (certindex reconcile)."
    return ValueSource(origin=ValueOrigin.CALL, event=None, reason=reason)


TOLD = "The last event that sets it."
CLAIMED = "The contract records no provisioning: the time of the last claim stands for it."
BURNED = "No step of the end of life is recorded: the burn of the certificate counts as DECOMMISSIONED."
IN_SERVICE = "No step of the end of life is recorded, and no burn."
NOT_TOLD = "No event recorded so far carries it."


def _setting(field: DeviceField, reader: Reader, device: Any) -> Setting:
    if field is DeviceField.PROVISIONED_AT and reader.claims_provision(device.contract):
        return Setting((Kind.DEVICE_CLAIMED,), _any)
    return SETTINGS[field]


def _any(fact: Fact) -> bool:
    return True


def _burns(fact: Fact) -> bool:
    return isinstance(fact, facts.DeviceTransferred) and fact.recipient == ZERO_ADDRESS


def _says(*names: str) -> Fits:
    """Return the test for facts that carry one of the fields."""
    return lambda fact: any(getattr(fact, name, None) is not None for name in names)


def _unless_transfer(fact: Fact) -> bool:
    return not isinstance(fact, facts.DeviceTransferred) or _burns(fact)


def _runs(fact: Fact) -> bool:
    if isinstance(fact, facts.FirmwareUpdated):
        return fact.result in (None, FirmwareUpdateResult.SUCCEEDED)
    return isinstance(fact, facts.DeviceMinted) and fact.firmware_version is not None


MINT = (Kind.DEVICE_MINTED,)
SETTINGS: dict[DeviceField, Setting] = {
    DeviceField.OWNER: Setting((Kind.DEVICE_TRANSFERRED,), _any),
    DeviceField.ADDRESS: Setting(ADDRESS_SETTERS, _says("address")),
    DeviceField.SERIAL_NUMBER: Setting(SETTERS, sets("serialNumber", "serial_number")),
    DeviceField.IMEI: Setting(SETTERS, sets("imei", "imei")),
    DeviceField.DEV_EUI: Setting(SETTERS, sets("devEUI", None)),
    DeviceField.HARDWARE_REVISION: Setting(SETTERS, sets("hardwareRevision", None)),
    DeviceField.MANUFACTURER: Setting(MINT, _says("manufacturer_id")),
    DeviceField.HARDWARE_LICENSE: Setting(MINT, _says("hardware_license_id")),
    DeviceField.MANUFACTURED_AT: Setting(SETTERS, sets("manufacturedAt", "manufactured_at")),
    DeviceField.MINTED_AT: Setting(MINT, _any),
    DeviceField.PROVISIONED_AT: Setting((Kind.DEVICE_PROVISIONED,), _any),
    # a burn leaves no claim, beneficiary or pairing
    DeviceField.CLAIMED_AT: Setting(
        (Kind.DEVICE_CLAIMED, Kind.DEVICE_UNCLAIMED, Kind.DEVICE_TRANSFERRED), _unless_transfer
    ),
    DeviceField.BENEFICIARY: Setting((Kind.BENEFICIARY_SET, Kind.DEVICE_TRANSFERRED), _unless_transfer),
    DeviceField.PAIRED_VEHICLE: Setting(
        (Kind.DEVICE_PAIRED, Kind.DEVICE_UNPAIRED, Kind.DEVICE_TRANSFERRED), _unless_transfer
    ),
    DeviceField.INITIAL_FIRMWARE: Setting(MINT, _says("firmware_version")),
    DeviceField.FIRMWARE: Setting((Kind.FIRMWARE_UPDATED, Kind.DEVICE_MINTED), _runs),
    DeviceField.END_OF_LIFE: Setting((Kind.END_OF_LIFE_RECORDED,), _any),
}
