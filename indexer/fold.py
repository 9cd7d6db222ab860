"""What the facts mean: from the open rows of what a batch names, and its facts in order, to the rows to write.

Pure: nothing is read or written here, and no clock but the block's. The rules are those of the README's "What the
answers mean"; each `case` of `_apply` is one fact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from indexer import rows
from indexer.spans import Spans
from schema.columns import OPEN, saturate, text_key, uint256_bytes
from schema.events import (
    KIND_OF,
    ZERO_ADDRESS,
    DeviceAddressReset,
    DeviceAttributeSet,
    DeviceMinted,
    DeviceProvisioned,
    DeviceTransferred,
    EndOfLifeRecorded,
    Fact,
    FactoryReset,
    FirmwareUpdated,
    HardwareLicensed,
    HardwareLicenseRevoked,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    TestKind,
    TestRecorded,
    UserAuthorized,
    UserRevoked,
)
from schema.licenses import license_status
from schema.profile import GrantPolicy, ZeroExpiry
from schema.vocabulary import (
    AuthorizationEndReason,
    EndOfLifeProcess,
    EndOfLifeStatus,
    EventFlag,
    FactoryResetReason,
    FirmwareUpdateResult,
    LicenseStatus,
    Sanitization,
    Verdict,
    epcis,
    event_time,
    imei_key,
    imei_valid,
    known_code,
    version_key,
)

TokenKey = tuple[bytes, int]
"""The contract that numbers a thing, and its number there."""

GrantKey = tuple[int, bytes, str, str]
"""Device, user, source, scope: a grant replaces the open grant of the same key and of no other."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A fact, the place of its log, and the contracts that number what it names. `block_time` in unix seconds."""

    position: int
    block_time: int
    fact: Fact
    device_contract: bytes
    manufacturer_contract: bytes
    hardware_license_contract: bytes


@dataclass(frozen=True, slots=True)
class Rules:
    """What the profile and the watch set say beyond the facts: grant policies, and where absence means something."""

    grant_policies: Mapping[str, GrantPolicy]
    mints_are_whole: Callable[[bytes], bool]
    manufacturer_licenses_are_whole: Callable[[bytes], bool]
    hardware_licenses_are_whole: Callable[[bytes], bool]


@dataclass(slots=True)
class OpenRows:
    """Ids and open rows of all that a batch names, as they are stored."""

    devices: dict[TokenKey, int] = field(default_factory=dict)
    manufacturers: dict[TokenKey, int] = field(default_factory=dict)
    hardware_licenses: dict[TokenKey, int] = field(default_factory=dict)
    device_versions: dict[int, rows.DeviceVersion] = field(default_factory=dict)
    device_activities: dict[int, rows.DeviceActivity] = field(default_factory=dict)
    device_attributes: dict[tuple[int, str], rows.DeviceAttribute] = field(default_factory=dict)
    authorizations: dict[GrantKey, rows.Authorization] = field(default_factory=dict)
    manufacturer_versions: dict[int, rows.ManufacturerVersion] = field(default_factory=dict)
    hardware_license_versions: dict[int, rows.HardwareLicenseVersion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Names:
    """What a batch's facts name."""

    devices: frozenset[TokenKey]
    manufacturers: frozenset[TokenKey]
    hardware_licenses: frozenset[TokenKey]


@dataclass(slots=True)
class Reading:
    """What the fold found out about one log: the derived columns of its event."""

    kind: int
    device_id: int | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    event_time: int | None = None
    biz_step: int | None = None
    disposition: int | None = None
    flags: int = 0


@dataclass(slots=True)
class Changes:
    """What a batch changes: readings by position, rows to insert by table, stored rows to close by table."""

    readings: dict[int, Reading]
    inserted: dict[str, list[Any]]
    closed: dict[str, list[Any]]


def fold(open_rows: OpenRows, facts: Sequence[Placed], rules: Rules) -> Changes:
    """Returns what the facts, in order of position, change."""
    folding = _Fold(open_rows, rules)
    readings = {placed.position: folding.apply(placed) for placed in facts}
    return Changes(readings, folding.inserted(), folding.closed())


def named_by(facts: Sequence[Placed]) -> Names:
    """Returns what the facts name: the open rows that `fold` needs."""
    devices, manufacturers, hardware_licenses = set(), set(), set()
    for placed in facts:
        fact = placed.fact
        if (token_id := getattr(fact, "token_id", None)) is not None:
            devices.add((placed.device_contract, token_id))
        if (manufacturer_id := getattr(fact, "manufacturer_id", None)) is not None:
            manufacturers.add((placed.manufacturer_contract, manufacturer_id))
        if (license_id := getattr(fact, "hardware_license_id", None)) is not None:
            hardware_licenses.add((placed.hardware_license_contract, license_id))
    return Names(frozenset(devices), frozenset(manufacturers), frozenset(hardware_licenses))


class _Fold:
    def __init__(self, stored: OpenRows, rules: Rules) -> None:
        self.rules = rules
        self.devices = dict(stored.devices)
        self.manufacturers = dict(stored.manufacturers)
        self.hardware_licenses = dict(stored.hardware_licenses)
        self.versions = Spans(stored.device_versions, one_a_block=True)
        self.activities = Spans(stored.device_activities, one_a_block=True)
        self.attributes = Spans(stored.device_attributes, one_a_block=False)
        self.grants = Spans(stored.authorizations, one_a_block=False)
        self.voidable: dict[int, set[GrantKey]] = {}
        for key in stored.authorizations:
            self._note_voidable(key)
        self.manufacturer_versions = Spans(stored.manufacturer_versions, one_a_block=False)
        self.license_versions = Spans(stored.hardware_license_versions, one_a_block=False)
        self.appended: dict[str, list[Any]] = {
            "device": [],
            "manufacturer": [],
            "hardware_license": [],
            "test_result": [],
            "firmware_update": [],
            "factory_reset": [],
            "end_of_life_step": [],
            "transfer": [],
        }

    def inserted(self) -> dict[str, list[Any]]:
        return self.appended | {table: spans.opened for table, spans in self._spans().items()}

    def closed(self) -> dict[str, list[Any]]:
        return {table: spans.closed for table, spans in self._spans().items()}

    def _spans(self) -> dict[str, Spans[Any, Any]]:
        return {
            "device_version": self.versions,
            "device_activity": self.activities,
            "device_attribute": self.attributes,
            "authorization": self.grants,
            "manufacturer_version": self.manufacturer_versions,
            "hardware_license_version": self.license_versions,
        }

    # One fact

    def apply(self, at: Placed) -> Reading:
        fact = at.fact
        _, biz_step, disposition = epcis(fact)
        happened_at = event_time(fact)
        reading = Reading(KIND_OF[type(fact)], biz_step=biz_step, disposition=disposition)
        if happened_at is not None:
            reading.event_time = saturate(happened_at)
            if happened_at > at.block_time:
                reading.flags |= EventFlag.TIME_IN_FUTURE
        match fact:
            case ManufacturerLicensed():
                self._license_manufacturer(at, fact, reading)
            case ManufacturerLicenseRevoked():
                self._revoke_manufacturer(at, fact, reading)
            case HardwareLicensed():
                self._license_hardware(at, fact, reading)
            case HardwareLicenseRevoked():
                self._revoke_hardware(at, fact, reading)
            case _:
                self._apply_to_device(at, fact, reading)
        return reading

    def _apply_to_device(self, at: Placed, fact: "DeviceFact", reading: Reading) -> None:
        device = reading.device_id = self._device(at, fact.token_id)
        before = self.versions.open[device]
        reading.flags |= self._contradictions(at, fact, before)
        activity = self.activities.change(device, at.position)
        activity.updated_at = at.block_time
        match fact:
            case DeviceMinted():
                reading.flags |= self._mint(at, fact, device, activity)
            case DeviceTransferred():
                self._transfer(at, fact, device)
            case DeviceAttributeSet():
                self._set_attribute(at, fact, device)
            case DeviceAddressReset():
                self.versions.change(device, at.position).address = _address(fact.address)
            case TestRecorded():
                self._record_test(at, fact, device)
            case DeviceProvisioned():
                self._provision(at, fact, device)
            case UserAuthorized():
                self._authorize(at, fact, device)
            case UserRevoked():
                self._end_grant((device, fact.user, fact.source, fact.scope), at, AuthorizationEndReason.REVOKED)
            case FactoryReset():
                reading.flags |= self._reset(at, fact, device, activity)
            case FirmwareUpdated():
                reading.flags |= self._update_firmware(at, fact, device, activity)
            case EndOfLifeRecorded():
                reading.flags |= self._record_end_of_life(at, fact, device)
            case _:
                assert_never(fact)
        if reading.flags & EventFlag.AFTER_END_OF_LIFE:
            activity.active_after_end_of_life = True

    def _contradictions(self, at: Placed, fact: "DeviceFact", before: rows.DeviceVersion) -> int:
        """Returns the flags of a fact that contradicts what was recorded of its device before it."""
        flags = 0
        if self._after_end_of_life(fact, EndOfLifeStatus(before.end_of_life_status)):
            flags |= EventFlag.AFTER_END_OF_LIFE
        begins = isinstance(fact, DeviceMinted) or (isinstance(fact, DeviceTransferred) and fact.sender == ZERO_ADDRESS)
        exists = before.mint_position is not None or before.owner is not None or before.burn_position is not None
        if not begins and not exists and self.rules.mints_are_whole(at.device_contract):
            flags |= EventFlag.BEFORE_MINT
        if isinstance(fact, DeviceTransferred) and exists:
            owner = before.owner or (ZERO_ADDRESS if before.burn_position is not None else None)
            if owner is not None and fact.sender != owner:
                flags |= EventFlag.WRONG_SENDER
        return flags

    def _after_end_of_life(self, fact: "DeviceFact", status: EndOfLifeStatus) -> bool:
        if status == EndOfLifeStatus.IN_SERVICE:
            return False
        revokes = isinstance(fact, UserRevoked) or (isinstance(fact, UserAuthorized) and self._expiry(fact) is None)
        if status == EndOfLifeStatus.DISPOSED:
            return not revokes and not isinstance(fact, DeviceAttributeSet)
        if isinstance(fact, EndOfLifeRecorded):
            return known_code(EndOfLifeProcess, fact.process) and fact.process < status
        return isinstance(fact, ENDS_WITH_SERVICE) and not revokes

    # Devices

    def _device(self, at: Placed, token_id: int) -> int:
        key = (at.device_contract, token_id)
        device = self.devices.get(key)
        if device is None:
            device = self.devices[key] = at.position
            self.appended["device"].append(rows.Identity(device, at.device_contract, uint256_bytes(token_id)))
            self.versions.start(device, rows.DeviceVersion(device, at.position))
            self.activities.start(device, rows.DeviceActivity(device, at.position, at.block_time))
        return device

    def _mint(self, at: Placed, fact: DeviceMinted, device: int, activity: rows.DeviceActivity) -> int:
        version = self.versions.change(device, at.position)
        flags = 0
        if version.mint_position is not None and (version.burn_position or 0) < version.mint_position:
            flags |= EventFlag.DUPLICATE_MINT
        version.mint_position = at.position
        version.minted_at = at.block_time
        if fact.address is not None:
            version.address = _address(fact.address)
        if fact.serial_number is not None:
            _set_serial_number(version, fact.serial_number)
        if fact.imei is not None:
            _set_imei(version, fact.imei)
        if fact.manufactured_at is not None:
            version.manufactured_at = saturate(fact.manufactured_at)
        if fact.firmware_version is not None:
            _set_initial_firmware(version, activity, fact.firmware_version)
        self._judge_licenses(at, fact, version)
        if version.hardware_licensed_at_mint == Verdict.FAIL or version.manufacturer_license_at_mint in NOT_LICENSED:
            flags |= EventFlag.UNLICENSED
        return flags

    def _judge_licenses(self, at: Placed, fact: DeviceMinted, version: rows.DeviceVersion) -> None:
        """Fixes the licences at the mint: by the facts before it, and the mint's block time."""
        status, hardware_status, verdict = LicenseStatus.UNKNOWN, LicenseStatus.UNKNOWN, Verdict.UNKNOWN
        maker = None
        if fact.manufacturer_id is not None:
            maker = self._manufacturer(at, fact.manufacturer_id)
            status = _status(
                self.manufacturer_versions.open[maker],
                at.block_time,
                self.rules.manufacturer_licenses_are_whole(at.manufacturer_contract),
            )
            version.manufacturer_id = maker
        if fact.hardware_license_id is not None:
            hardware = self._hardware_license(at, fact.hardware_license_id)
            license = self.license_versions.open[hardware]
            hardware_status = _status(
                license, at.block_time, self.rules.hardware_licenses_are_whole(at.hardware_license_contract)
            )
            verdict = _hardware_verdict(hardware_status, license.manufacturer_id, maker)
            version.hardware_license_id = hardware
        version.manufacturer_license_at_mint = status.value
        version.hardware_license_at_mint = hardware_status.value
        version.hardware_licensed_at_mint = verdict.value

    def _transfer(self, at: Placed, fact: DeviceTransferred, device: int) -> None:
        self.appended["transfer"].append(rows.Transfer(at.position, device, fact.sender, fact.recipient))
        version = self.versions.change(device, at.position)
        burns = fact.recipient == ZERO_ADDRESS
        if burns:
            version.owner = None
            version.burn_position = at.position
            if version.end_of_life_status < EndOfLifeStatus.DECOMMISSIONED:
                version.end_of_life_status = EndOfLifeStatus.DECOMMISSIONED.value
                version.end_of_life_position = None
                version.end_of_life_at = at.block_time
        else:
            version.owner = fact.recipient
            if version.end_of_life_status == EndOfLifeStatus.DECOMMISSIONED and version.end_of_life_position is None:
                # only the burn had ended it, and the token is back
                version.end_of_life_status = EndOfLifeStatus.IN_SERVICE.value
                version.end_of_life_at = None
        reason = AuthorizationEndReason.BURNED if burns else AuthorizationEndReason.TRANSFERRED
        for key in sorted(self.voidable.pop(device, ())):
            self._end_grant(key, at, reason)

    def _set_attribute(self, at: Placed, fact: DeviceAttributeSet, device: int) -> None:
        correct = CORRECTIONS.get(fact.attribute)
        if correct is not None and correct(self.versions.change(device, at.position), fact.value):
            return
        key = (device, fact.attribute)
        if key in self.attributes.open:
            self.attributes.end(key, at.position)
        if fact.value:
            row = rows.DeviceAttribute(device, at.position, fact.attribute, text_key(fact.attribute), fact.value)
            self.attributes.start(key, row)

    def _record_test(self, at: Placed, fact: TestRecorded, device: int) -> None:
        self.appended["test_result"].append(
            rows.TestResult(
                at.position,
                device,
                fact.kind.value,
                fact.passed,
                _int64(fact.tested_at),
                fact.station,
                fact.report_uri,
                fact.report_hash,
            )
        )
        version = self.versions.change(device, at.position)
        verdict = (Verdict.PASS if fact.passed else Verdict.FAIL).value
        match fact.kind:
            case TestKind.IN_CIRCUIT:
                version.in_circuit_test = verdict
            case TestKind.MECHANICAL:
                version.mechanical_test = verdict
            case TestKind.QUALITY:
                version.quality_inspection = verdict
                if version.provisioned_after_quality == Verdict.UNKNOWN:
                    # provisioned without any inspection before it: the first one came later
                    version.provisioned_after_quality = Verdict.FAIL.value
            case _:
                assert_never(fact.kind)

    def _provision(self, at: Placed, fact: DeviceProvisioned, device: int) -> None:
        version = self.versions.change(device, at.position)
        if version.provisioned_after_quality == Verdict.NOT_APPLICABLE:
            version.provisioned_after_quality = version.quality_inspection
        version.provisioned_at = saturate(at.block_time if fact.provisioned_at is None else fact.provisioned_at)

    def _reset(self, at: Placed, fact: FactoryReset, device: int, activity: rows.DeviceActivity) -> int:
        self.appended["factory_reset"].append(
            rows.FactoryReset(at.position, device, fact.initiator, _int64(fact.reset_at), _int64(fact.reason))
        )
        activity.factory_reset_count += 1
        if fact.address is not None:
            self.versions.change(device, at.position).address = _address(fact.address)
        return _unknown_code(FactoryResetReason, fact.reason)

    def _update_firmware(self, at: Placed, fact: FirmwareUpdated, device: int, activity: rows.DeviceActivity) -> int:
        self.appended["firmware_update"].append(
            rows.FirmwareUpdate(
                at.position,
                device,
                fact.from_version,
                fact.to_version,
                fact.image_hash,
                _int64(fact.result),
                _int64(fact.applied_at),
            )
        )
        if fact.result is None or fact.result == FirmwareUpdateResult.SUCCEEDED:
            _set_firmware(activity, fact.to_version)
            activity.firmware_image_hash = fact.image_hash
            activity.firmware_updated_at = at.block_time
        return _unknown_code(FirmwareUpdateResult, fact.result)

    def _record_end_of_life(self, at: Placed, fact: EndOfLifeRecorded, device: int) -> int:
        self.appended["end_of_life_step"].append(
            rows.EndOfLifeStep(
                at.position,
                device,
                saturate(fact.process),
                _int64(fact.occurred_at),
                fact.facility,
                _int64(fact.sanitization),
                fact.evidence_uri,
                fact.evidence_hash,
            )
        )
        version = self.versions.change(device, at.position)
        version.sanitization = _strongest(version.sanitization, fact.sanitization)
        if _moves_on(version, fact.process):
            known = known_code(EndOfLifeProcess, fact.process)
            version.end_of_life_status = fact.process if known else EndOfLifeStatus.UNKNOWN.value
            version.end_of_life_position = at.position
            version.end_of_life_at = saturate(at.block_time if fact.occurred_at is None else fact.occurred_at)
            version.facility = fact.facility or None
        if (
            version.sanitized_before_disposal == Verdict.NOT_APPLICABLE
            and version.end_of_life_status >= EndOfLifeStatus.RECYCLED
        ):
            version.sanitized_before_disposal = SANITIZED[version.sanitization].value
        return _unknown_code(EndOfLifeProcess, fact.process) | _unknown_code(Sanitization, fact.sanitization)

    # Grants

    def _authorize(self, at: Placed, fact: UserAuthorized, device: int) -> None:
        key = (device, fact.user, fact.source, fact.scope)
        expires_at = self._expiry(fact)
        if expires_at is None:
            self._end_grant(key, at, AuthorizationEndReason.REVOKED)
            return
        self._end_grant(key, at, AuthorizationEndReason.REPLACED)
        self._note_voidable(key)
        self.grants.start(
            key,
            rows.Authorization(
                device,
                at.position,
                fact.user,
                fact.source,
                fact.scope,
                expires_at,
                at.block_time,
                organization=fact.organization or None,
                organization_key=text_key(fact.organization),
                permissions=None if fact.permissions is None else uint256_bytes(fact.permissions),
                agreement_uri=fact.agreement_uri or None,
            ),
        )

    def _end_grant(self, key: GrantKey, at: Placed, reason: AuthorizationEndReason) -> None:
        if key in self.grants.open:
            grant = self.grants.end(key, at.position)
            grant.ended_at = at.block_time
            grant.end_reason = reason.value

    def _note_voidable(self, key: GrantKey) -> None:
        device, _, source, _ = key
        if self.rules.grant_policies[source].voided_by_transfer:
            self.voidable.setdefault(device, set()).add(key)

    def _expiry(self, fact: UserAuthorized) -> int | None:
        """Returns the first second without access by the policy of the grant's source; None where it revokes."""
        policy = self.rules.grant_policies[fact.source]
        if fact.permissions == 0 and policy.zero_permissions_revoke:
            return None
        if fact.expires_at is None:
            return OPEN
        if fact.expires_at == 0 and policy.zero_expiry is not ZeroExpiry.EXPIRED:
            return OPEN if policy.zero_expiry is ZeroExpiry.NEVER else None
        return saturate(fact.expires_at + policy.expiry_inclusive)

    # Licences

    def _manufacturer(self, at: Placed, manufacturer_id: int) -> int:
        key = (at.manufacturer_contract, manufacturer_id)
        manufacturer = self.manufacturers.get(key)
        if manufacturer is None:
            manufacturer = self.manufacturers[key] = at.position
            identity = rows.Identity(manufacturer, at.manufacturer_contract, uint256_bytes(manufacturer_id))
            self.appended["manufacturer"].append(identity)
            row = rows.ManufacturerVersion(manufacturer_id=manufacturer, valid_from=at.position)
            self.manufacturer_versions.start(manufacturer, row)
        return manufacturer

    def _hardware_license(self, at: Placed, license_id: int) -> int:
        key = (at.hardware_license_contract, license_id)
        license = self.hardware_licenses.get(key)
        if license is None:
            license = self.hardware_licenses[key] = at.position
            identity = rows.Identity(license, at.hardware_license_contract, uint256_bytes(license_id))
            self.appended["hardware_license"].append(identity)
            row = rows.HardwareLicenseVersion(hardware_license_id=license, valid_from=at.position)
            self.license_versions.start(license, row)
        return license

    def _license_manufacturer(self, at: Placed, fact: ManufacturerLicensed, reading: Reading) -> None:
        manufacturer = reading.manufacturer_id = self._manufacturer(at, fact.manufacturer_id)
        version = self.manufacturer_versions.change(manufacturer, at.position)
        if fact.account is not None:
            version.account = _address(fact.account)
        if fact.name is not None:
            version.name = fact.name or None
            version.name_key = text_key(fact.name)
        _grant(version, at, fact)

    def _revoke_manufacturer(self, at: Placed, fact: ManufacturerLicenseRevoked, reading: Reading) -> None:
        manufacturer = reading.manufacturer_id = self._manufacturer(at, fact.manufacturer_id)
        _revoke(self.manufacturer_versions.change(manufacturer, at.position), at, fact.reason)

    def _license_hardware(self, at: Placed, fact: HardwareLicensed, reading: Reading) -> None:
        license = reading.hardware_license_id = self._hardware_license(at, fact.hardware_license_id)
        version = self.license_versions.change(license, at.position)
        if fact.manufacturer_id is not None:
            version.manufacturer_id = reading.manufacturer_id = self._manufacturer(at, fact.manufacturer_id)
        if fact.model is not None:
            version.model = fact.model or None
            version.model_key = text_key(fact.model)
        if fact.hardware_revision is not None:
            version.hardware_revision = fact.hardware_revision or None
            version.hardware_revision_key = text_key(fact.hardware_revision)
        _grant(version, at, fact)

    def _revoke_hardware(self, at: Placed, fact: HardwareLicenseRevoked, reading: Reading) -> None:
        license = reading.hardware_license_id = self._hardware_license(at, fact.hardware_license_id)
        _revoke(self.license_versions.change(license, at.position), at, fact.reason)


DeviceFact = (
    DeviceMinted
    | DeviceTransferred
    | DeviceAttributeSet
    | DeviceAddressReset
    | TestRecorded
    | DeviceProvisioned
    | UserAuthorized
    | UserRevoked
    | FactoryReset
    | FirmwareUpdated
    | EndOfLifeRecorded
)

ENDS_WITH_SERVICE = (DeviceProvisioned, FirmwareUpdated, TestRecorded, UserAuthorized, DeviceAddressReset)
"""Activity that is not expected after the first step of the end of life."""

NOT_LICENSED = (LicenseStatus.NONE, LicenseStatus.REVOKED, LicenseStatus.EXPIRED)

STRENGTH = (Sanitization.NONE, Sanitization.UNKNOWN, Sanitization.CLEAR, Sanitization.PURGE, Sanitization.DESTROY)
"""Weakest first. A method that we cannot read may have been a real one, so it outweighs NONE."""

SANITIZED: dict[int | None, Verdict] = {
    None: Verdict.UNKNOWN,
    Sanitization.NONE: Verdict.FAIL,
    Sanitization.UNKNOWN: Verdict.UNKNOWN,
    Sanitization.CLEAR: Verdict.PASS,
    Sanitization.PURGE: Verdict.PASS,
    Sanitization.DESTROY: Verdict.PASS,
}


def _address(address: bytes) -> bytes | None:
    # the zero address stands for none
    return None if address == ZERO_ADDRESS else address


def _int64(number: int | None) -> int | None:
    return None if number is None else saturate(number)


def _unknown_code(codes: Any, number: int | None) -> int:
    return 0 if number is None or known_code(codes, number) else EventFlag.UNKNOWN_CODE


def _set_serial_number(version: rows.DeviceVersion, value: str) -> bool:
    version.serial_number = value or None
    version.serial_number_key = text_key(value)
    return True


def _set_imei(version: rows.DeviceVersion, value: str) -> bool:
    version.imei = value or None
    version.imei_key = text_key(imei_key(value))
    _judge_imei(version)
    return True


def _set_dev_eui(version: rows.DeviceVersion, value: str) -> bool:
    version.dev_eui = value or None
    version.dev_eui_key = text_key(value)
    _judge_imei(version)
    return True


def _judge_imei(version: rows.DeviceVersion) -> None:
    if version.imei is not None:
        verdict = Verdict.PASS if imei_valid(version.imei) else Verdict.FAIL
    else:
        verdict = Verdict.UNKNOWN if version.dev_eui is None else Verdict.NOT_APPLICABLE
    version.imei_valid = verdict.value


def _set_hardware_revision(version: rows.DeviceVersion, value: str) -> bool:
    version.hardware_revision = value or None
    return True


def _set_manufactured_at(version: rows.DeviceVersion, value: str) -> bool:
    """Takes unix seconds; any other text is no date and stays a free attribute."""
    if value and not (value.isascii() and value.isdigit() and len(value) <= 20):
        return False
    version.manufactured_at = saturate(int(value)) if value else None
    return True


CORRECTIONS: dict[str, Callable[[rows.DeviceVersion, str], bool]] = {
    "serialNumber": _set_serial_number,
    "imei": _set_imei,
    "devEUI": _set_dev_eui,
    "hardwareRevision": _set_hardware_revision,
    "manufacturedAt": _set_manufactured_at,
}


def _set_initial_firmware(version: rows.DeviceVersion, activity: rows.DeviceActivity, value: str) -> None:
    version.initial_firmware = value or None
    version.initial_firmware_key = text_key(value)
    version.initial_version_key = stored_version_key(value)
    if activity.firmware_updated_at is None:
        _set_firmware(activity, value)


def _set_firmware(activity: rows.DeviceActivity, value: str) -> None:
    activity.firmware = value or None
    activity.firmware_key = text_key(value)
    activity.firmware_version_key = stored_version_key(value)


def stored_version_key(value: str) -> str:
    """Returns the semver sort key; a version too long for an index is one that cannot be ordered."""
    key = version_key(value)
    return key if key == text_key(key) else ""


def _moves_on(version: rows.DeviceVersion, process: int) -> bool:
    """Tells whether a step sets the status: the furthest does, an unknown one only where there is no other."""
    if not known_code(EndOfLifeProcess, process):
        return version.end_of_life_status == EndOfLifeStatus.IN_SERVICE
    if process == version.end_of_life_status:
        return version.end_of_life_position is None  # a burn had set it; now a step says when and where
    return process > version.end_of_life_status


def _strongest(so_far: int | None, stated: int | None) -> int | None:
    if stated is None:
        return so_far
    method = Sanitization(stated) if known_code(Sanitization, stated) else Sanitization.UNKNOWN
    if so_far is None:
        return method.value
    return max(Sanitization(so_far), method, key=STRENGTH.index).value


def _grant(version: rows.License, at: Placed, fact: ManufacturerLicensed | HardwareLicensed) -> None:
    """Grants or renews: a later grant clears a revocation."""
    version.license_uri = fact.license_uri or None
    version.license_hash = fact.license_hash
    version.grant_position = at.position
    version.granted_at = at.block_time
    version.expires_at = saturate(fact.expires_at) if fact.expires_at else OPEN
    version.revocation_position = version.revoked_at = version.revocation_reason = None


def _revoke(version: rows.License, at: Placed, reason: str | None) -> None:
    version.revocation_position = at.position
    version.revoked_at = at.block_time
    version.revocation_reason = reason or None


def _status(version: rows.License, clock: int, history_is_whole: bool) -> LicenseStatus:
    return license_status(
        granted=version.grant_position is not None,
        revoked=version.revocation_position is not None,
        expires_at=version.expires_at,
        clock=clock,
        history_is_whole=history_is_whole,
    )


def _hardware_verdict(status: LicenseStatus, holder: int | None, maker: int | None) -> Verdict:
    if status in NOT_LICENSED:
        return Verdict.FAIL
    if holder is None or maker is None:
        return Verdict.UNKNOWN
    if holder != maker:
        return Verdict.FAIL
    return Verdict.PASS if status == LicenseStatus.VALID else Verdict.UNKNOWN
