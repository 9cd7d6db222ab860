"""What the facts mean: from the open rows of what a batch names, and its facts in order, to the rows to write.

Pure: nothing is read or written here, and no clock but the block's. Each `case` is one fact; the rules that need more
than a line are beside it in `devices`, `claims`, `grants`, `licensing`, `tokens` and `contradictions`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from msgspec import Struct

from indexer.fold import claims, devices, grants, license_tokens, licenses
from indexer.fold.contradictions import contradictions
from indexer.fold.row_changes import Ledger, OpenRows, Placed
from schema.events import (
    CODE_FIELDS,
    KIND_OF,
    ZERO_ADDRESS,
    AboutDevice,
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
    TestRecorded,
    UserAuthorized,
    UserRevoked,
    VehicleBurned,
    VehicleMinted,
    VehicleTransferred,
)
from schema.profile.model import GrantPolicy
from schema.tables import rows
from schema.tables.values import saturate, text_key
from schema.vocabulary import (
    AuthorizationEndReason,
    EventFlag,
    FirmwareUpdateResult,
    LicenseStatus,
    Verdict,
    known_code,
)

AFTER_END_OF_LIFE = EventFlag.AFTER_END_OF_LIFE.value
"""A plain number: the & of an enum costs more than the rest of its line."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the profile and the watch set say beyond the facts: grant policies, and where absence means something.

    The functions take the contract whose ids are meant. `licensed_by_tokens`: a manufacturer's licence is an NFT that
    its owner holds. `claims_provision`: no provisioning is recorded, and a claim stands for it.
    """

    grant_policies: Mapping[str, GrantPolicy]
    mints_are_whole: Callable[[bytes], bool]
    manufacturer_licenses_are_whole: Callable[[bytes], bool]
    hardware_licenses_are_whole: Callable[[bytes], bool]
    licensed_by_tokens: bool
    claims_provision: Callable[[bytes], bool]


class Reading(Struct, gc=False):
    """What the fold found out about one log: the derived columns of its event."""

    kind: int
    device_id: int | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    vehicle_id: int | None = None
    license_id: int | None = None
    event_time: int | None = None
    biz_step: int | None = None
    disposition: int | None = None
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch changes: readings by position, rows to insert by table, stored rows to close by table.

    `open` is what is open when that is done, of all that the batch names.
    """

    readings: dict[int, Reading]
    inserted: dict[str, list[Any]]
    closed: dict[str, list[Any]]
    open: OpenRows


def fold(open_rows: OpenRows, facts: Sequence[Placed], rules: Rules) -> Changes:
    """Returns what the facts, in order of position, change."""
    ledger = Ledger(open_rows)
    readings = {placed.position: _apply(ledger, rules, placed) for placed in facts}
    return Changes(readings, ledger.inserted(), ledger.closed(), ledger.open())


def _apply(ledger: Ledger, rules: Rules, at: Placed) -> Reading:
    fact = at.fact
    reading = _read(fact, at.block_time)
    if isinstance(fact, AboutDevice):  # nearly all are, and each case that is not taken costs 0.1 us
        _apply_to_device(ledger, rules, at, fact, reading)
        return reading
    match fact:
        case ManufacturerLicensed():
            reading.manufacturer_id = licenses.license_manufacturer(ledger, at, fact)
        case ManufacturerLicenseRevoked():
            reading.manufacturer_id = manufacturer = ledger.manufacturer(at, fact.manufacturer_id)
            version = ledger.manufacturer_versions.change(manufacturer, at.position)
            licenses.revoke(version, at.position, at.block_time, fact.reason)
        case HardwareLicensed():
            reading.hardware_license_id, reading.manufacturer_id = licenses.license_hardware(ledger, at, fact)
        case HardwareLicenseRevoked():
            reading.hardware_license_id = license = ledger.hardware_license(at, fact.hardware_license_id)
            held = ledger.hardware_license_versions.change(license, at.position)
            licenses.revoke(held, at.position, at.block_time, fact.reason)
        case ManufacturerMinted() | ManufacturerTransferred() | ManufacturerAttributeSet():
            by_tokens = rules.licensed_by_tokens
            reading.manufacturer_id = license_tokens.apply_to_manufacturer(
                ledger, at, fact, licensed_by_tokens=by_tokens
            )
        case LicenseMinted() | LicenseTransferred() | LicenseRevoked():
            reading.license_id, reading.manufacturer_id = license_tokens.apply_to_license(ledger, at, fact)
        case VehicleMinted() | VehicleTransferred() | VehicleBurned():
            reading.vehicle_id = license_tokens.apply_to_vehicle(ledger, at, fact)
        case _:
            assert_never(fact)
    return reading


def _read(fact: Fact, block_time: int) -> Reading:
    """Returns what can be told from the fact alone."""
    _, biz_step, disposition = fact.epcis
    reading = Reading(KIND_OF[type(fact)], biz_step=biz_step, disposition=disposition)
    happened_at = fact.event_time
    if happened_at is not None:
        reading.event_time = saturate(happened_at)
        if happened_at > block_time:
            reading.flags |= EventFlag.TIME_IN_FUTURE
    for field, codes in CODE_FIELDS[type(fact)].items():
        number = getattr(fact, field)
        if number is not None and not known_code(codes, number):
            reading.flags |= EventFlag.UNKNOWN_CODE
    return reading


# Devices


def _apply_to_device(ledger: Ledger, rules: Rules, at: Placed, fact: DeviceFact, reading: Reading) -> None:
    reading.device_id = device = ledger.device(at, fact.token_id)
    flags = contradictions(
        fact,
        ledger.device_versions.open[device],
        ends=lambda: _ends(rules, fact),
        mints_are_whole=rules.mints_are_whole(at.device_contract),
    )
    activity = ledger.device_activities.change(device, at.position)
    activity.updated_at = at.block_time
    if flags & AFTER_END_OF_LIFE:
        activity.active_after_end_of_life = True
    match fact:  # the frequent ones first
        case FirmwareUpdated():
            _update_firmware(ledger, at, fact, device, activity)
        case TestRecorded():
            _record_test(ledger, at, fact, device)
        case DeviceTransferred():
            _transfer(ledger, rules, at, fact, device)
        case UserAuthorized():
            grants.authorize(ledger, rules.grant_policies[fact.source], at, fact, device)
        case DeviceMinted():
            flags |= _mint(ledger, rules, at, fact, device, activity)
        case DeviceProvisioned():
            happened_at = at.block_time if fact.provisioned_at is None else fact.provisioned_at
            devices.provision(ledger.device_versions.change(device, at.position), happened_at)
        case DeviceClaimed():
            provisions = rules.claims_provision(at.device_contract)
            claims.claim(ledger.device_versions.change(device, at.position), at.block_time, provisions=provisions)
        case DeviceUnclaimed():
            claims.unclaim(ledger.device_versions.change(device, at.position))
        case DevicePaired():
            reading.vehicle_id = vehicle = _named_vehicle(ledger, at, fact)
            claims.pair(ledger.device_versions.change(device, at.position), vehicle, at.block_time)
        case DeviceUnpaired():
            reading.vehicle_id = _named_vehicle(ledger, at, fact)
            claims.pair(ledger.device_versions.change(device, at.position), None, at.block_time)
        case BeneficiarySet():
            claims.set_beneficiary(ledger.device_versions.change(device, at.position), fact.beneficiary)
        case UserRevoked():
            key = (device, fact.user, fact.source, fact.scope)
            grants.end_grant(ledger, key, at, AuthorizationEndReason.REVOKED)
        case FactoryReset():
            _reset(ledger, at, fact, device, activity)
        case DeviceAttributeSet():
            _set_attribute(ledger, at, fact, device)
        case DeviceAddressReset():
            devices.set_address(ledger.device_versions.change(device, at.position), fact.address)
        case EndOfLifeRecorded():
            _record_end_of_life(ledger, at, fact, device)
        case DeviceBurned():
            pass  # the transfer to zero, which comes with it, burns
        case _:
            assert_never(fact)
    reading.flags |= flags


def _ends(rules: Rules, fact: DeviceFact) -> bool:
    """Tells whether a grant or a pairing is one in form only: it ends the one before."""
    match fact:
        case UserAuthorized():
            return grants.expiry(rules.grant_policies[fact.source], fact) is None
        case DevicePaired():
            return not fact.vehicle_id
        case _:
            return False


def _named_vehicle(ledger: Ledger, at: Placed, fact: DevicePaired | DeviceUnpaired) -> int | None:
    # vehicle 0 stands for none
    return ledger.vehicle(at, fact.vehicle_id) if fact.vehicle_id else None


def _mint(
    ledger: Ledger, rules: Rules, at: Placed, fact: DeviceMinted, device: int, activity: rows.DeviceActivity
) -> int:
    version = ledger.device_versions.change(device, at.position)
    version.mint_position = at.position
    version.minted_at = at.block_time
    if fact.address is not None:
        devices.set_address(version, fact.address)
        claims.succeed(ledger, at, device, version)
    if fact.serial_number is not None:
        devices.set_serial_number(version, fact.serial_number)
    if fact.imei is not None:
        devices.set_imei(version, fact.imei)
    if fact.manufactured_at is not None:
        version.manufactured_at = saturate(fact.manufactured_at)
    if fact.firmware_version is not None:
        devices.set_initial_firmware(version, activity, fact.firmware_version)
    return _judge_licenses(ledger, rules, at, fact, version)


def _judge_licenses(ledger: Ledger, rules: Rules, at: Placed, fact: DeviceMinted, version: rows.DeviceVersion) -> int:
    """Fixes the licences at the mint, by the facts before it and the mint's block time. Returns UNLICENSED or none."""
    status = hardware_status = LicenseStatus.UNKNOWN
    verdict = Verdict.UNKNOWN
    maker = None
    if fact.manufacturer_id is not None:
        maker = version.manufacturer_id = ledger.manufacturer(at, fact.manufacturer_id)
        whole = rules.manufacturer_licenses_are_whole(at.manufacturer_contract)
        license = ledger.manufacturer_versions.open[maker]
        status = licenses.status_of(license, at.block_time, history_is_whole=whole)
    if fact.hardware_license_id is not None:
        version.hardware_license_id = ledger.hardware_license(at, fact.hardware_license_id)
        whole = rules.hardware_licenses_are_whole(at.hardware_license_contract)
        held = ledger.hardware_license_versions.open[version.hardware_license_id]
        hardware_status = licenses.status_of(held, at.block_time, history_is_whole=whole)
        verdict = licenses.hardware_verdict(hardware_status, held.manufacturer_id, maker)
    version.manufacturer_license_at_mint = status.value
    version.hardware_license_at_mint = hardware_status.value
    version.hardware_licensed_at_mint = verdict.value
    unlicensed = status in licenses.NOT_LICENSED or verdict is Verdict.FAIL
    return EventFlag.UNLICENSED if unlicensed else 0


def _transfer(ledger: Ledger, rules: Rules, at: Placed, fact: DeviceTransferred, device: int) -> None:
    ledger.append("transfer", rows.Transfer(at.position, device, fact.sender, fact.recipient))
    version = ledger.device_versions.change(device, at.position)
    burns = fact.recipient == ZERO_ADDRESS
    if burns:
        claims.leave(ledger, at, device, version)
        devices.burn(version, at.position, at.block_time)
    else:
        devices.own(version, fact.recipient)
    reason = AuthorizationEndReason.BURNED if burns else AuthorizationEndReason.TRANSFERRED
    for key in sorted(ledger.grants_of.get(device, ())):
        if rules.grant_policies[key[2]].voided_by_transfer:
            grants.end_grant(ledger, key, at, reason)


def _set_attribute(ledger: Ledger, at: Placed, fact: DeviceAttributeSet, device: int) -> None:
    correct = devices.CORRECTIONS.get(fact.attribute)
    if correct is not None and (fact.attribute != "manufacturedAt" or devices.is_seconds(fact.value)):
        correct(ledger.device_versions.change(device, at.position), fact.value)
        return
    key = (device, fact.attribute)
    if key in ledger.device_attributes.open:
        ledger.device_attributes.end(key, at.position)
    if fact.value:
        row = rows.DeviceAttribute(device, at.position, fact.attribute, text_key(fact.attribute), fact.value)
        ledger.device_attributes.start(key, row)


def _record_test(ledger: Ledger, at: Placed, fact: TestRecorded, device: int) -> None:
    ledger.append(
        "test_result",
        rows.TestResult(
            at.position,
            device,
            fact.kind.value,
            fact.passed,
            _int64(fact.tested_at),
            fact.station,
            fact.report_uri,
            fact.report_hash,
        ),
    )
    version = ledger.device_versions.change(device, at.position)
    devices.record_test(version, fact.kind, Verdict.PASS if fact.passed else Verdict.FAIL)


def _reset(ledger: Ledger, at: Placed, fact: FactoryReset, device: int, activity: rows.DeviceActivity) -> None:
    ledger.append(
        "factory_reset",
        rows.FactoryReset(at.position, device, fact.initiator, _int64(fact.reset_at), _int64(fact.reason)),
    )
    activity.factory_reset_count += 1
    if fact.address is not None:
        devices.set_address(ledger.device_versions.change(device, at.position), fact.address)


def _update_firmware(
    ledger: Ledger, at: Placed, fact: FirmwareUpdated, device: int, activity: rows.DeviceActivity
) -> None:
    ledger.append(
        "firmware_update",
        rows.FirmwareUpdate(
            at.position,
            device,
            fact.from_version,
            fact.to_version,
            fact.image_hash,
            _int64(fact.result),
            _int64(fact.applied_at),
        ),
    )
    if fact.result is None or fact.result == FirmwareUpdateResult.SUCCEEDED:
        devices.set_firmware(activity, fact.to_version)
        activity.firmware_image_hash = fact.image_hash
        activity.firmware_updated_at = at.block_time


def _record_end_of_life(ledger: Ledger, at: Placed, fact: EndOfLifeRecorded, device: int) -> None:
    ledger.append(
        "end_of_life_step",
        rows.EndOfLifeStep(
            at.position,
            device,
            saturate(fact.process),
            _int64(fact.occurred_at),
            fact.facility,
            _int64(fact.sanitization),
            fact.evidence_uri,
            fact.evidence_hash,
        ),
    )
    happened_at = at.block_time if fact.occurred_at is None else fact.occurred_at
    version = ledger.device_versions.change(device, at.position)
    devices.end_service(version, at.position, fact.process, happened_at, fact.facility, fact.sanitization)


def _int64(number: int | None) -> int | None:
    return None if number is None else saturate(number)
