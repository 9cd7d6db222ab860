"""The state of a fleet after its acts: what the product must answer, computed in a second way.

It is written from the meaning of a certificate alone, without code of the product, so that the two can be compared.
Times are unix seconds: a *record time* is a block's, an *event time* is the emitter's.
"""

from collections import Counter
from typing import assert_never

from tests.support.fleet.acts import (
    Act,
    Authorize,
    Burn,
    Correct,
    DeviceAct,
    Draft,
    EndLife,
    LicenseManufacturer,
    LicenseModel,
    MintPallet,
    Provision,
    RecordTest,
    ResetAddress,
    ResetDevice,
    Revoke,
    RevokeManufacturer,
    RevokeModel,
    TransferDevice,
    UpdateFirmware,
    evidence_uri,
    license_uri,
    maker_account,
    report_uri,
)
from tests.support.fleet.names import (
    CLEAR,
    DECOMMISSIONED,
    DISPOSED,
    IN_CIRCUIT,
    MECHANICAL,
    NONE,
    QUALITY,
    RECYCLED,
    SUCCEEDED,
    digest,
    imei_is_valid,
)
from tests.support.fleet.records import (
    Device,
    Entry,
    Grant,
    HeldAddress,
    License,
    Manufacturer,
    Model,
    Reset,
    Step,
    Test,
    Update,
)

STATUSES = {DECOMMISSIONED: "DECOMMISSIONED", RECYCLED: "RECYCLED", DISPOSED: "DISPOSED"}


class World:
    """The registry and all devices."""

    def __init__(self) -> None:
        self.manufacturers: dict[int, Manufacturer] = {}
        self.models: dict[int, Model] = {}
        self.devices: dict[int, Device] = {}
        self.events: Counter[str] = Counter()
        self.time = 0

    def apply(self, act: Act, time: int) -> None:
        """Applies an act that was recorded in a block of this time."""
        self.time = time
        match act:
            case LicenseManufacturer(manufacturer=number, name=name):
                granted = _granted("manufacturer", number, time, act.expires_at)
                account = maker_account(number)
                self.manufacturers[number] = Manufacturer(number=number, account=account, name=name, license=granted)
                self.events["MANUFACTURER_LICENSED"] += 1
            case RevokeManufacturer():
                _revoke(self.manufacturers[act.manufacturer].license, time, act.reason)
                self.events["MANUFACTURER_LICENSE_REVOKED"] += 1
            case LicenseModel():
                self.models[act.model] = Model(
                    number=act.model,
                    manufacturer=act.manufacturer,
                    name=act.name,
                    revision=act.revision,
                    license=_granted("hardware", act.model, time, act.expires_at),
                )
                self.events["HARDWARE_LICENSED"] += 1
            case RevokeModel():
                _revoke(self.models[act.model].license, time, act.reason)
                self.events["HARDWARE_LICENSE_REVOKED"] += 1
            case MintPallet():
                for token, draft in enumerate(act.drafts, start=act.first_token):
                    self._mint(token, draft, act, time)
            case _:
                self._apply_to_device(self.devices[act.token], act, time)

    def _mint(self, token: int, draft: Draft, act: MintPallet, time: int) -> None:
        device = self.devices[token] = Device(
            token=token,
            owner=act.owner,
            owners=[act.owner],
            address=draft.device,
            addresses=[HeldAddress(address=draft.device, since=time)],
            serial_number=draft.serial_number or None,
            imei=draft.imei or None,
            manufacturer=act.manufacturer,
            model=draft.model,
            manufacturer_license_at_mint=self.manufacturers[act.manufacturer].license.status(time),
            model_license_at_mint=self.models[draft.model].license.status(time),
            manufactured_at=draft.manufactured_at,
            minted_at=time,
            initial_firmware=draft.firmware,
            firmware=draft.firmware,
        )
        self._enter(device, "DEVICE_TRANSFERRED", time)
        self._enter(device, "DEVICE_MINTED", time, draft.manufactured_at)

    def _apply_to_device(self, device: Device, act: DeviceAct, time: int) -> None:
        match act:
            case Correct():
                self._enter(device, "DEVICE_ATTRIBUTE_SET", time)
                _correct(device, act.attribute, act.value)
            case ResetAddress():
                self._enter(device, "DEVICE_ADDRESS_RESET", time, ends_with_service=True)
                device.addresses[-1] = HeldAddress(address=device.address, since=device.addresses[-1].since, until=time)
                device.addresses.append(HeldAddress(address=act.device, since=time))
                device.address = act.device
            case RecordTest():
                self._enter(device, "TEST_RECORDED", time, act.tested_at, ends_with_service=True)
                _record_test(device, act, time)
            case Provision():
                self._enter(device, "DEVICE_PROVISIONED", time, act.provisioned_at, ends_with_service=True)
                _provision(device, act)
            case Authorize():
                self._enter(device, "USER_AUTHORIZED", time, ends_with_service=True)
                _authorize(device, act, time)
            case Revoke():
                self._enter(device, "USER_REVOKED", time)
                _end_grant(device, act.user, time, "REVOKED")
            case ResetDevice():
                self._enter(device, "FACTORY_RESET", time, act.at)
                initiator = act.by or device.owner or ""
                device.resets.append(Reset(initiator=initiator, reset_at=act.at, reason=act.reason, record_time=time))
            case UpdateFirmware():
                self._enter(device, "FIRMWARE_UPDATED", time, act.at, ends_with_service=True)
                _update_firmware(device, act, time)
            case EndLife():
                backwards = act.process in STATUSES and act.process < _rank(device)
                self._enter(device, "END_OF_LIFE_RECORDED", time, act.at, ends_with_service=backwards)
                _end_life(device, act, time)
            case TransferDevice():
                self._enter(device, "DEVICE_TRANSFERRED", time)
                device.owner = act.recipient
                device.owners.append(act.recipient)
            case Burn():
                self._enter(device, "DEVICE_TRANSFERRED", time)
                _burn(device, time)
            case _:
                assert_never(act)

    def _enter(
        self, device: Device, kind: str, time: int, event_time: int | None = None, *, ends_with_service: bool = False
    ) -> None:
        """Adds one event to the device's history. After disposal only revocations and attributes are no activity."""
        self.events[kind] += 1
        after = device.end_of_life != "IN_SERVICE" and ends_with_service
        if device.end_of_life == "DISPOSED":
            after = kind not in ("USER_REVOKED", "DEVICE_ATTRIBUTE_SET")
        device.history.append(Entry(kind=kind, record_time=time, event_time=event_time, after_end_of_life=after))

    def provenance(self, token: int) -> dict[str, str]:
        """Returns the verdict of each provenance check."""
        device = self.devices[token]
        others = [other for other in self.devices.values() if other is not device]
        return {
            "manufacturerLicensedAtMint": _pass(device.manufacturer_license_at_mint == "VALID"),
            "hardwareLicensedAtMint": _pass(
                device.model_license_at_mint == "VALID"
                and self.models[device.model].manufacturer == device.manufacturer
            ),
            "imeiValid": _of_imei(device, imei_is_valid(device.imei or "")),
            "imeiUnique": _of_imei(device, not any(_share_imei(device, other) for other in others)),
            "serialUniqueForManufacturer": "UNKNOWN"
            if device.serial_number is None
            else _pass(not any(_share_serial(device, other) for other in others)),
            "addressUnique": _pass(not any(_shared_address(device, other) for other in others)),
            "inCircuitTestPassed": _last_test(device, IN_CIRCUIT),
            "mechanicalTestPassed": _last_test(device, MECHANICAL),
            "qualityInspectionPassed": _last_test(device, QUALITY),
            "provisionedAfterQuality": device.provisioned_after_quality,
            "noActivityAfterEndOfLife": "NOT_APPLICABLE"
            if device.end_of_life == "IN_SERVICE"
            else _pass(not any(entry.after_end_of_life for entry in device.history)),
            "sanitizedBeforeDisposal": _sanitized_before_disposal(device),
        }


def _granted(kind: str, number: int, time: int, expires_at: int) -> License:
    uri = license_uri(kind, number)
    return License(uri=uri, hash=digest(uri), granted_at=time, expires_at=expires_at or None)


def _revoke(license: License, time: int, reason: str) -> None:
    license.revoked_at = time
    license.reason = reason


def _correct(device: Device, attribute: str, value: str) -> None:
    match attribute:
        case "serialNumber":
            device.serial_number = value or None
        case "imei":
            device.imei = value or None
        case "devEUI":
            device.dev_eui = value or None
        case "hardwareRevision":
            device.hardware_revision = value or None
        case "manufacturedAt":
            device.manufactured_at = int(value)
        case _ if value:
            device.attributes[attribute] = value
        case _:
            device.attributes.pop(attribute, None)


def _record_test(device: Device, act: RecordTest, time: int) -> None:
    uri = report_uri(act)
    device.tests.append(
        Test(
            kind=act.kind,
            passed=act.passed,
            tested_at=act.tested_at,
            station=act.station,
            report_uri=uri,
            report_hash=digest(uri),
            record_time=time,
        )
    )
    if act.kind == QUALITY and device.provisioned_after_quality == "UNKNOWN":
        device.provisioned_after_quality = "FAIL"  # provisioned before its inspection


def _provision(device: Device, act: Provision) -> None:
    if device.provisioned_at is None:
        device.provisioned_after_quality = _last_test(device, QUALITY)
    device.provisioned_at = act.provisioned_at


def _authorize(device: Device, act: Authorize, time: int) -> None:
    _end_grant(device, act.user, time, "REPLACED")
    device.grants.append(
        Grant(
            user=act.user,
            organization=act.organization,
            permissions=act.permissions,
            granted_at=time,
            expires_at=act.expires_at or None,
        )
    )


def _end_grant(device: Device, user: str, time: int, reason: str) -> None:
    for grant in device.grants:
        if grant.user == user and grant.ended_at is None:
            grant.ended_at = time
            grant.end_reason = reason


def _update_firmware(device: Device, act: UpdateFirmware, time: int) -> None:
    image = digest(act.to_version)
    device.updates.append(
        Update(
            from_version=device.firmware,
            to_version=act.to_version,
            image_hash=image,
            result=act.result,
            applied_at=act.at,
            record_time=time,
        )
    )
    if act.result == SUCCEEDED:
        device.firmware = act.to_version
        device.firmware_image = image
        device.firmware_updated_at = time


def _end_life(device: Device, act: EndLife, time: int) -> None:
    uri = evidence_uri(act)
    device.steps.append(
        Step(
            process=act.process,
            occurred_at=act.at,
            facility=act.facility,
            sanitization=act.sanitization,
            evidence_uri=uri,
            evidence_hash=digest(uri),
            record_time=time,
        )
    )
    if act.process in STATUSES and act.process > _rank(device):
        device.end_of_life = STATUSES[act.process]
    elif act.process not in STATUSES and device.end_of_life == "IN_SERVICE":
        device.end_of_life = "UNKNOWN"
    else:
        return
    device.end_of_life_at = act.at
    device.facility = act.facility


def _burn(device: Device, time: int) -> None:
    device.owner = None
    device.burned = True
    if device.end_of_life == "IN_SERVICE":
        device.end_of_life = "DECOMMISSIONED"
        device.end_of_life_at = time


def _rank(device: Device) -> int:
    return max((process for process, status in STATUSES.items() if status == device.end_of_life), default=0)


def _last_test(device: Device, kind: str) -> str:
    tests = device.tests_of(kind)
    return _pass(tests[-1].passed) if tests else "UNKNOWN"


def _sanitized_before_disposal(device: Device) -> str:
    first = next((place for place, step in enumerate(device.steps) if step.process in (RECYCLED, DISPOSED)), None)
    if first is None:
        return "NOT_APPLICABLE"
    stated = [step.sanitization for step in device.steps[: first + 1]]
    if any(CLEAR <= sanitization <= 3 for sanitization in stated):
        return "PASS"
    return "FAIL" if all(sanitization == NONE for sanitization in stated) else "UNKNOWN"


def _of_imei(device: Device, good: bool) -> str:
    if device.imei is not None:
        return _pass(good)
    return "UNKNOWN" if device.dev_eui is None else "NOT_APPLICABLE"


def _share_imei(device: Device, other: Device) -> bool:
    return not other.burned and bool(other.imei) and _plain(other.imei) == _plain(device.imei)


def _share_serial(device: Device, other: Device) -> bool:
    return other.manufacturer == device.manufacturer and other.serial_number == device.serial_number


def _shared_address(device: Device, other: Device) -> bool:
    """Returns whether both devices had one address at the same time."""
    return any(
        theirs.address == ours.address
        and (theirs.until is None or theirs.until > ours.since)
        and (ours.until is None or ours.until > theirs.since)
        for theirs in other.addresses
        for ours in device.addresses
    )


def _plain(imei: str | None) -> str:
    return (imei or "").replace(" ", "").replace("-", "")


def _pass(good: bool) -> str:
    return "PASS" if good else "FAIL"
