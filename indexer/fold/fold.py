"""The fold: from the open rows of a batch's subjects, and its facts in order, to the rows to write.

Pure: nothing is read or written here, and the only clock is the block's. Each `case` is one fact; rules of more than a
line are in `devices`, `claims`, `grants`, `licenses`, `license_tokens`, `vehicles` and `contradictions`; `keys` repeats
what devices are found by.
"""

from collections.abc import Sequence
from typing import assert_never

from indexer.changes import Changes, GrantSubject, OpenRows
from indexer.fold import claims, devices, grants, keys, license_tokens, licenses, vehicles
from indexer.fold.contradictions import AFTER_END_OF_LIFE, contradictions
from indexer.fold.located_fact import LocatedFact
from indexer.fold.policy import Policy
from indexer.fold.row_changes import RowChanges
from schema.events import (
    CODE_FIELDS,
    KIND_OF,
    ZERO_ADDRESS,
    AboutDevice,
    AccessGranted,
    AccessRevoked,
    BeneficiarySet,
    DeviceAddressReset,
    DeviceAttributeSet,
    DeviceBurned,
    DeviceClaimed,
    DeviceFact,
    DeviceMinted,
    DevicePaired,
    DeviceProvisioned,
    DeviceTransferred,
    DeviceUnclaimed,
    DeviceUnpaired,
    EndOfLifeRecorded,
    Fact,
    FactoryReset,
    FirmwareUpdated,
    HardwareLicensed,
    HardwareLicenseRevoked,
    LicenseMinted,
    LicenseRevoked,
    LicenseTransferred,
    ManufacturerAttributeSet,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    ManufacturerMinted,
    ManufacturerTransferred,
    SyntheticDeviceAttributeSet,
    SyntheticDeviceBurned,
    SyntheticDeviceMinted,
    SyntheticDeviceTransferred,
    TestRecorded,
    UserAuthorized,
    UserRevoked,
    VehicleAttributeSet,
    VehicleBurned,
    VehicleDefinitionSet,
    VehicleMinted,
    VehicleTransferred,
)
from schema.tables import rows
from schema.tables.rows import EventReading
from schema.tables.values import saturate, text_key
from schema.vocabulary import (
    AuthorizationEndReason,
    EventFlag,
    FirmwareUpdateResult,
    LicenseStatus,
    Verdict,
    known_code,
)

TIME_IN_FUTURE = EventFlag.TIME_IN_FUTURE.value
UNKNOWN_CODE = EventFlag.UNKNOWN_CODE.value
UNKNOWN_DEVICE = EventFlag.UNKNOWN_DEVICE.value
KINDS = {fact_type: kind.value for fact_type, kind in KIND_OF.items()}
SUCCEEDED = FirmwareUpdateResult.SUCCEEDED.value


def fold(open_rows: OpenRows, facts: Sequence[LocatedFact], policy: Policy) -> Changes:
    """Returns the changes of the facts, which come in order of position."""
    changes = RowChanges(open_rows)
    readings = {located.position: _apply(changes, policy, located) for located in facts}
    keys.follow_versions(changes)
    return Changes(readings, changes.inserted(), changes.closed(), changes.open_rows())


def _apply(changes: RowChanges, policy: Policy, located: LocatedFact) -> EventReading:
    fact = located.fact
    reading = _read(fact, located.block_time)
    reading.item = located.item
    if isinstance(fact, AboutDevice):  # nearly all are, and each case that does not match takes 0.1 us
        _apply_to_device(changes, policy, located, fact, reading)
        return reading
    match fact:
        case ManufacturerLicensed():
            reading.manufacturer_id = licenses.license_manufacturer(changes, located, fact)
        case ManufacturerLicenseRevoked():
            reading.manufacturer_id = manufacturer = changes.manufacturer(located, fact.manufacturer_id)
            version = changes.manufacturer_version.change(manufacturer, located.position)
            licenses.revoke(version, located.position, located.block_time, fact.reason)
        case HardwareLicensed():
            reading.hardware_license_id, reading.manufacturer_id = licenses.license_hardware(changes, located, fact)
        case HardwareLicenseRevoked():
            reading.hardware_license_id = license = changes.hardware_license(located, fact.hardware_license_id)
            held = changes.hardware_license_version.change(license, located.position)
            reading.manufacturer_id = held.manufacturer_id
            licenses.revoke(held, located.position, located.block_time, fact.reason)
        case ManufacturerMinted() | ManufacturerTransferred() | ManufacturerAttributeSet():
            by_tokens = policy.licensed_by_tokens
            reading.manufacturer_id = license_tokens.apply_to_manufacturer(
                changes, located, fact, licensed_by_tokens=by_tokens
            )
            if isinstance(fact, ManufacturerTransferred):
                subject = GrantSubject(manufacturer_id=reading.manufacturer_id)
                burns = fact.recipient == ZERO_ADDRESS
                grants.void(changes, policy.grant_policies, located, "manufacturer", subject, burns=burns)
        case LicenseMinted() | LicenseTransferred() | LicenseRevoked():
            reading.license_id, reading.manufacturer_id = license_tokens.apply_to_license(changes, located, fact)
        case VehicleMinted() | VehicleTransferred() | VehicleBurned() | VehicleAttributeSet() | VehicleDefinitionSet():
            reading.vehicle_id = vehicles.apply_to_vehicle(changes, policy.grant_policies, located, fact)
        case (
            SyntheticDeviceMinted()
            | SyntheticDeviceTransferred()
            | SyntheticDeviceBurned()
            | SyntheticDeviceAttributeSet()
        ):
            vehicles.apply_to_synthetic_device(changes, policy.grant_policies, located, fact, reading)
        case AccessGranted() | AccessRevoked():
            grants.apply_to_subject(changes, policy.grant_policies, located, fact, reading)
        case _:
            assert_never(fact)
    return reading


def _read(fact: Fact, block_time: int) -> EventReading:
    """Returns the reading that follows from the fact alone."""
    _, biz_step, disposition = fact.epcis
    reading = EventReading(KINDS[type(fact)], biz_step=biz_step, disposition=disposition)
    happened_at = fact.event_time
    if happened_at is not None:
        reading.event_time = saturate(happened_at)
        if happened_at > block_time:
            reading.flags |= TIME_IN_FUTURE
    for field, codes in CODE_FIELDS[type(fact)].items():
        number = getattr(fact, field)
        if number is not None and not known_code(codes, number):
            reading.flags |= UNKNOWN_CODE
    return reading


# Devices


def _apply_to_device(
    changes: RowChanges, policy: Policy, located: LocatedFact, fact: DeviceFact, reading: EventReading
) -> None:
    if located.contracts.by_address:
        device = changes.device_at(located)
        if device is None:
            _leave_unknown(changes, located, fact, reading)
            return
    else:
        device = changes.device(located, fact.token_id)
    reading.device_id = device
    flags = contradictions(fact, changes.device_version.open[device], policy, located.contracts.device)
    activity = changes.device_activity.change(device, located.position)
    activity.updated_at = located.block_time
    if flags & AFTER_END_OF_LIFE:
        activity.active_after_end_of_life = True
    match fact:  # the frequent ones first
        case FirmwareUpdated():
            _update_firmware(changes, located, fact, device, activity)
        case TestRecorded():
            _record_test(changes, located, fact, device)
        case DeviceTransferred():
            _transfer(changes, policy, located, fact, device)
        case UserAuthorized():
            subject = GrantSubject(device)
            grants.authorize(changes, policy.grant_policies[fact.source], located, fact, subject)
        case DeviceMinted():
            flags |= _mint(changes, policy, located, fact, device, activity)
        case DeviceProvisioned():
            happened_at = located.block_time if fact.provisioned_at is None else fact.provisioned_at
            devices.provision(changes.device_version.change(device, located.position), happened_at)
        case FactoryReset():
            _reset(changes, located, fact, device, activity)
        case UserRevoked():
            key = (*GrantSubject(device), fact.user, fact.source, fact.scope)
            grants.end_grant(changes, key, located, AuthorizationEndReason.REVOKED)
        case DeviceClaimed():
            provisions = policy.claims_provision(located.contracts.device)
            claims.claim(
                changes.device_version.change(device, located.position), located.block_time, provisions=provisions
            )
        case DeviceUnclaimed():
            claims.unclaim(changes.device_version.change(device, located.position))
        case DevicePaired():
            reading.vehicle_id = vehicle = _named_vehicle(changes, located, fact)
            claims.pair(changes.device_version.change(device, located.position), vehicle, located.block_time)
        case DeviceUnpaired():
            reading.vehicle_id = _named_vehicle(changes, located, fact)
            claims.pair(changes.device_version.change(device, located.position), None, located.block_time)
        case BeneficiarySet():
            claims.set_beneficiary(changes.device_version.change(device, located.position), fact.beneficiary)
        case DeviceAttributeSet():
            _set_attribute(changes, located, fact, device)
        case DeviceAddressReset():
            changes.set_address(located, device, fact.address)
        case EndOfLifeRecorded():
            _record_end_of_life(changes, located, fact, device)
        case DeviceBurned():
            pass  # the transfer to zero that comes with it burns the device
        case _:
            assert_never(fact)
    if flags:
        reading.flags |= flags


def _leave_unknown(changes: RowChanges, located: LocatedFact, fact: DeviceFact, reading: EventReading) -> None:
    """Reads a fact that names its device by an address that no device has. It changes no device."""
    reading.flags |= UNKNOWN_DEVICE
    if isinstance(fact, DevicePaired | DeviceUnpaired):
        reading.vehicle_id = _named_vehicle(changes, located, fact)


def _named_vehicle(changes: RowChanges, located: LocatedFact, fact: DevicePaired | DeviceUnpaired) -> int | None:
    # vehicle 0 means none
    return changes.vehicle(located, fact.vehicle_id) if fact.vehicle_id else None


def _mint(
    changes: RowChanges,
    policy: Policy,
    located: LocatedFact,
    fact: DeviceMinted,
    device: int,
    activity: rows.DeviceActivity,
) -> int:
    version = changes.device_version.change(device, located.position)
    version.mint_position = located.position
    version.minted_at = located.block_time
    if fact.address is not None:
        changes.set_address(located, device, fact.address)
        claims.succeed(changes, located, device, version)
    if fact.serial_number is not None:
        devices.set_serial_number(version, fact.serial_number)
    if fact.imei is not None:
        devices.set_imei(version, fact.imei)
    if fact.manufactured_at is not None:
        version.manufactured_at = saturate(fact.manufactured_at)
    if fact.firmware_version is not None:
        devices.set_initial_firmware(version, activity, fact.firmware_version)
    return _judge_licenses(changes, policy, located, fact, version)


def _judge_licenses(
    changes: RowChanges, policy: Policy, located: LocatedFact, fact: DeviceMinted, version: rows.DeviceVersion
) -> int:
    """Records the licenses at the mint's block time, by the facts before it. Returns UNLICENSED or no flag."""
    status = hardware_status = LicenseStatus.UNKNOWN
    verdict = Verdict.UNKNOWN
    maker = None
    if fact.manufacturer_id is not None:
        maker = version.manufacturer_id = changes.manufacturer(located, fact.manufacturer_id)
        whole = policy.manufacturer_licenses_are_whole(located.contracts.manufacturer)
        license = changes.manufacturer_version.open[maker]
        status = licenses.status_of(license, located.block_time, history_is_whole=whole)
    if fact.hardware_license_id is not None:
        version.hardware_license_id = changes.hardware_license(located, fact.hardware_license_id)
        whole = policy.hardware_licenses_are_whole(located.contracts.hardware_license)
        held = changes.hardware_license_version.open[version.hardware_license_id]
        hardware_status = licenses.status_of(held, located.block_time, history_is_whole=whole)
        verdict = licenses.hardware_verdict(hardware_status, held.manufacturer_id, maker)
    version.manufacturer_license_at_mint = status.value
    version.hardware_license_at_mint = hardware_status.value
    version.hardware_licensed_at_mint = verdict.value
    unlicensed = status in licenses.NOT_LICENSED or verdict is Verdict.FAIL
    return EventFlag.UNLICENSED if unlicensed else 0


def _transfer(changes: RowChanges, policy: Policy, located: LocatedFact, fact: DeviceTransferred, device: int) -> None:
    changes.append("transfer", rows.Transfer(located.position, device, fact.sender, fact.recipient))
    version = changes.device_version.change(device, located.position)
    burns = fact.recipient == ZERO_ADDRESS
    if burns:
        claims.leave(changes, located, device, version)
        devices.burn(version, located.position, located.block_time)
    else:
        devices.own(version, fact.recipient)
    grants.void(changes, policy.grant_policies, located, "device", GrantSubject(device), burns=burns)


def _set_attribute(changes: RowChanges, located: LocatedFact, fact: DeviceAttributeSet, device: int) -> None:
    correct = devices.CORRECTIONS.get(fact.attribute)
    if correct is not None and (fact.attribute != "manufacturedAt" or devices.is_seconds(fact.value)):
        correct(changes.device_version.change(device, located.position), fact.value)
        return
    key = (device, fact.attribute)
    if key in changes.device_attribute.open:
        changes.device_attribute.end(key, located.position)
    if fact.value:
        row = rows.DeviceAttribute(device, located.position, fact.attribute, text_key(fact.attribute), fact.value)
        changes.device_attribute.start(key, row)


def _record_test(changes: RowChanges, located: LocatedFact, fact: TestRecorded, device: int) -> None:
    changes.append(
        "test_result",
        rows.TestResult(
            located.position,
            device,
            fact.kind.value,
            fact.passed,
            _int64(fact.tested_at),
            fact.station,
            fact.report_uri,
            fact.report_hash,
        ),
    )
    version = changes.device_version.change(device, located.position)
    devices.record_test(version, fact.kind, Verdict.PASS if fact.passed else Verdict.FAIL)


def _reset(
    changes: RowChanges, located: LocatedFact, fact: FactoryReset, device: int, activity: rows.DeviceActivity
) -> None:
    changes.append(
        "factory_reset",
        rows.FactoryReset(located.position, device, fact.initiator, _int64(fact.reset_at), _int64(fact.reason)),
    )
    activity.factory_reset_count += 1
    if fact.address is not None:
        changes.set_address(located, device, fact.address)


def _update_firmware(
    changes: RowChanges, located: LocatedFact, fact: FirmwareUpdated, device: int, activity: rows.DeviceActivity
) -> None:
    changes.append(
        "firmware_update",
        rows.FirmwareUpdate(
            located.position,
            device,
            fact.from_version,
            fact.to_version,
            fact.image_hash,
            _int64(fact.result),
            _int64(fact.applied_at),
        ),
    )
    if fact.result is None or fact.result == SUCCEEDED:
        devices.set_firmware(activity, fact.to_version)
        activity.firmware_image_hash = fact.image_hash
        activity.firmware_updated_at = located.block_time


def _record_end_of_life(changes: RowChanges, located: LocatedFact, fact: EndOfLifeRecorded, device: int) -> None:
    changes.append(
        "end_of_life_step",
        rows.EndOfLifeStep(
            located.position,
            device,
            saturate(fact.process),
            _int64(fact.occurred_at),
            fact.facility,
            _int64(fact.sanitization),
            fact.evidence_uri,
            fact.evidence_hash,
        ),
    )
    happened_at = located.block_time if fact.occurred_at is None else fact.occurred_at
    version = changes.device_version.change(device, located.position)
    devices.end_service(version, located.position, fact.process, happened_at, fact.facility, fact.sanitization)


def _int64(number: int | None) -> int | None:
    return None if number is None else saturate(number)
