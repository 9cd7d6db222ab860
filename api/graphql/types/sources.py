"""The source of a value of a device: the log that set it, a rule, a contract call, or none."""

from collections import defaultdict
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, NamedTuple

import strawberry

from api.audit.evidence import ADDRESS_SETTERS, SETTERS, Fits, events_at, sets, setters
from api.graphql.context import Context
from api.graphql.plan.fields import At
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import enum_value
from api.queries.calls import last_call_block
from api.queries.events import EVENT
from api.queries.recorded import RecordedEvent
from api.queries.sql.as_of import Pin
from schema import events as facts
from schema.events import ZERO_ADDRESS, Fact, Kind
from schema.profile.calls import CallField
from schema.profile.reader import Reader
from schema.vocabulary import FirmwareUpdateResult


@strawberry.enum(description="A field that has one value at a time, with one event behind it.")
class DeviceField(Enum):
    OWNER = enum_value("OWNER", "`owner`.")
    ADDRESS = enum_value("ADDRESS", "`address`.")
    SERIAL_NUMBER = enum_value("SERIAL_NUMBER", "`serialNumber`.")
    IMEI = enum_value("IMEI", "`imei`.")
    DEV_EUI = enum_value("DEV_EUI", "`devEUI`.")
    HARDWARE_REVISION = enum_value("HARDWARE_REVISION", "`hardwareRevision`.")
    MANUFACTURER = enum_value("MANUFACTURER", "`manufacturer`.")
    HARDWARE_LICENSE = enum_value("HARDWARE_LICENSE", "`hardwareLicense`.")
    MANUFACTURED_AT = enum_value("MANUFACTURED_AT", "`manufacturedAt`.")
    MINTED_AT = enum_value("MINTED_AT", "`mintedAt`.")
    PROVISIONED_AT = enum_value("PROVISIONED_AT", "`provisionedAt`.")
    CLAIMED_AT = enum_value("CLAIMED_AT", "`claimedAt`.")
    BENEFICIARY = enum_value("BENEFICIARY", "`beneficiary`.")
    PAIRED_VEHICLE = enum_value("PAIRED_VEHICLE", "`pairedVehicle` and `pairedAt`.")
    INITIAL_FIRMWARE = enum_value("INITIAL_FIRMWARE", "`initialFirmware`.")
    FIRMWARE = enum_value("FIRMWARE", "`firmware`.")
    END_OF_LIFE = enum_value("END_OF_LIFE", "`endOfLife.status`.")


@strawberry.enum(description="The kind of source that a value has.")
class ValueOrigin(Enum):
    LOG = enum_value("LOG", "`event` states the value.")
    DERIVED = enum_value(
        "DERIVED", "The value follows from `event` by a rule, because no event of the contract states it."
    )
    CALL = enum_value("CALL", "The value was read by `eth_call` at a block, because no event states it.")
    NOT_ON_CHAIN = enum_value("NOT_ON_CHAIN", "No event recorded so far states the value.")


@strawberry.type(description="The source of the present value of one field.")
class ValueSource:
    origin: ValueOrigin = strawberry.field(description="The kind of source.")
    event: LifecycleEvent | None = strawberry.field(
        description="The event that the value comes from. Null for CALL and NOT_ON_CHAIN."
    )
    reason: str = strawberry.field(description="The rule or the call, in one sentence.")


class Setting(NamedTuple):
    """The events that set a field: the last one of these kinds whose fact fits."""

    kinds: tuple[Kind, ...]
    fits: Fits


class SourceDevice(NamedTuple):
    """The cells of a device that its sources depend on."""

    pin: Pin
    id: int
    contract: bytes
    token_id: int
    owner: bytes | None
    manufacturer_id: int | None
    burn_position: int | None
    end_of_life_position: int | None


SOURCE_CELLS = SourceDevice._fields


def sources_of(
    context: Context,
    rows: Sequence[tuple[Any, ...]],
    *,
    field: Annotated[DeviceField, strawberry.argument(description="The field whose source is requested.")],
) -> list[ValueSource]:
    """Returns the source of the present value of a field of each device."""
    read, devices = context.read, [SourceDevice(*row) for row in rows]
    sources: list[ValueSource | None] = [None] * len(devices)
    groups: dict[tuple[Kind, ...], list[tuple[int, Fits]]] = defaultdict(list)
    for place, device in enumerate(devices):
        if field is DeviceField.END_OF_LIFE and device.end_of_life_position is None:
            continue
        setting = _setting(field, context.snapshot.readers[device.pin.chain_id], device)
        groups[setting.kinds].append((place, setting.fits))
    for kinds, members in groups.items():
        keys = [(devices[place].pin, devices[place].id) for place, _ in members]
        for (place, _), events in zip(members, setters(read, keys, kinds, [fits for _, fits in members]), strict=True):
            sources[place] = _from_event(context, events, devices[place], field)
    burned = [place for place, source in enumerate(sources) if source is None]
    positions = [
        (devices[place].pin, [devices[place].burn_position] if devices[place].owner is None else []) for place in burned
    ]
    for place, events in zip(burned, events_at(read, positions), strict=True):
        sources[place] = _of_burn(context, events, devices[place].pin)
    return [source for source in sources if source is not None]


def _from_event(
    context: Context, events: Sequence[RecordedEvent], device: SourceDevice, field: DeviceField
) -> ValueSource:
    if not events:
        if field is DeviceField.MANUFACTURER and device.manufacturer_id is not None:
            return _of_call(context, device)
        return ValueSource(origin=ValueOrigin.NOT_ON_CHAIN, event=None, reason=NO_EVENT)
    event = _row(context, events[-1], device.pin)
    if field is DeviceField.PROVISIONED_AT and events[-1].kind == Kind.DEVICE_CLAIMED:
        return ValueSource(origin=ValueOrigin.DERIVED, event=event, reason=CLAIMED)
    return ValueSource(origin=ValueOrigin.LOG, event=event, reason=SET_BY_EVENT)


def _of_burn(context: Context, events: Sequence[RecordedEvent], pin: Pin) -> ValueSource:
    if not events:
        return ValueSource(origin=ValueOrigin.NOT_ON_CHAIN, event=None, reason=NO_END_OF_LIFE)
    return ValueSource(origin=ValueOrigin.DERIVED, event=_row(context, events[-1], pin), reason=BURNED)


def _of_call(context: Context, device: SourceDevice) -> ValueSource:
    call = context.snapshot.readers[device.pin.chain_id].calls[CallField.MANUFACTURER]
    block = context.read.now(last_call_block, device.pin.chain_id, call.to, call.data(device.token_id))
    reason = f"No event states the value: {call.name} returned it by eth_call at block {block} (certindex reconcile)."
    return ValueSource(origin=ValueOrigin.CALL, event=None, reason=reason)


def _row(context: Context, event: RecordedEvent, pin: Pin) -> Any:
    return At(context.read.fit(event), pin, EVENT)


SET_BY_EVENT = "The last event that sets the field."
CLAIMED = "The contract has no event for provisioning, so the time of the last claim stands for it."
BURNED = "No end-of-life step is recorded, and the burn of the certificate counts as DECOMMISSIONED."
NO_END_OF_LIFE = "No end-of-life step and no burn is recorded."
NO_EVENT = "No event recorded so far states the value."


def _setting(field: DeviceField, reader: Reader, device: Any) -> Setting:
    if field is DeviceField.PROVISIONED_AT and reader.claims_provision(device.contract):
        return Setting((Kind.DEVICE_CLAIMED,), _any)
    return SETTINGS[field]


def _any(fact: Fact) -> bool:
    return True


def _burns(fact: Fact) -> bool:
    return isinstance(fact, facts.DeviceTransferred) and fact.recipient == ZERO_ADDRESS


def _carries(*names: str) -> Fits:
    """Returns the test for facts that carry one of the fields."""
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
    DeviceField.ADDRESS: Setting(ADDRESS_SETTERS, _carries("address")),
    DeviceField.SERIAL_NUMBER: Setting(SETTERS, sets("serialNumber", "serial_number")),
    DeviceField.IMEI: Setting(SETTERS, sets("imei", "imei")),
    DeviceField.DEV_EUI: Setting(SETTERS, sets("devEUI", None)),
    DeviceField.HARDWARE_REVISION: Setting(SETTERS, sets("hardwareRevision", None)),
    DeviceField.MANUFACTURER: Setting(MINT, _carries("manufacturer_id")),
    DeviceField.HARDWARE_LICENSE: Setting(MINT, _carries("hardware_license_id")),
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
    DeviceField.INITIAL_FIRMWARE: Setting(MINT, _carries("firmware_version")),
    DeviceField.FIRMWARE: Setting((Kind.FIRMWARE_UPDATED, Kind.DEVICE_MINTED), _runs),
    DeviceField.END_OF_LIFE: Setting((Kind.END_OF_LIFE_RECORDED,), _any),
}
