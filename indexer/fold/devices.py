"""Changes of a device's row: attributes, firmware, tests, end of life. Each function edits the row in place."""

from collections.abc import Callable
from functools import lru_cache

from schema.events import TestKind
from schema.tables.rows import DeviceActivity, DeviceVersion
from schema.tables.values import saturate, text_key
from schema.vocabulary import (
    EndOfLifeProcess,
    EndOfLifeStatus,
    Sanitization,
    Verdict,
    imei_key,
    imei_valid,
    known_code,
    version_key,
)

# Attributes. An empty text clears the column.


def set_serial_number(version: DeviceVersion, value: str) -> None:
    version.serial_number = value or None
    version.serial_number_key = text_key(value)


def set_imei(version: DeviceVersion, value: str) -> None:
    version.imei = value or None
    version.imei_key = text_key(imei_key(value))
    _judge_imei(version)


def set_dev_eui(version: DeviceVersion, value: str) -> None:
    version.dev_eui = value or None
    version.dev_eui_key = text_key(value)
    _judge_imei(version)


def _judge_imei(version: DeviceVersion) -> None:
    if version.imei is not None:
        verdict = Verdict.PASS if imei_valid(version.imei) else Verdict.FAIL
    else:
        verdict = Verdict.UNKNOWN if version.dev_eui is None else Verdict.NOT_APPLICABLE
    version.imei_valid = verdict.value


def set_hardware_revision(version: DeviceVersion, value: str) -> None:
    version.hardware_revision = value or None


def set_manufactured_at(version: DeviceVersion, value: str) -> None:
    version.manufactured_at = saturate(int(value)) if value else None


def is_seconds(value: str) -> bool:
    """Returns whether a corrected date is unix seconds, or empty. Any other text is stored as a free attribute."""
    return not value or (value.isascii() and value.isdigit() and len(value) <= 20)


CORRECTIONS: dict[str, Callable[[DeviceVersion, str], None]] = {
    "serialNumber": set_serial_number,
    "imei": set_imei,
    "devEUI": set_dev_eui,
    "hardwareRevision": set_hardware_revision,
    "manufacturedAt": set_manufactured_at,
}
"""The attributes that have a column of their own."""


# Firmware


def set_initial_firmware(version: DeviceVersion, activity: DeviceActivity, value: str) -> None:
    version.initial_firmware = value or None
    version.initial_firmware_key = text_key(value)
    version.initial_version_key = stored_version_key(value)
    if activity.firmware_updated_at is None:
        set_firmware(activity, value)


def set_firmware(activity: DeviceActivity, value: str) -> None:
    activity.firmware = value or None
    activity.firmware_key = text_key(value)
    activity.firmware_version_key = stored_version_key(value)


@lru_cache(4096)  # a fleet runs few versions
def stored_version_key(value: str) -> str:
    """Returns the semver sort key, '' for a version without one or with one that is too long for an index."""
    key = version_key(value)
    return key if key == text_key(key) else ""


# Tests


TEST_COLUMNS = {
    TestKind.IN_CIRCUIT: "in_circuit_test",
    TestKind.MECHANICAL: "mechanical_test",
    TestKind.QUALITY: "quality_inspection",
}


def record_test(version: DeviceVersion, kind: TestKind, verdict: Verdict) -> None:
    """Records a test. The last of each kind counts; whether quality came before provisioning is decided once."""
    setattr(version, TEST_COLUMNS[kind], verdict.value)
    if kind is TestKind.QUALITY and version.provisioned_after_quality == Verdict.UNKNOWN:
        # the device was provisioned without an inspection; this first one is too late
        version.provisioned_after_quality = Verdict.FAIL.value


def provision(version: DeviceVersion, provisioned_at: int) -> None:
    if version.provisioned_after_quality == Verdict.NOT_APPLICABLE:
        version.provisioned_after_quality = version.quality_inspection
    version.provisioned_at = saturate(provisioned_at)


# End of life


STRENGTH = (Sanitization.NONE, Sanitization.UNKNOWN, Sanitization.CLEAR, Sanitization.PURGE, Sanitization.DESTROY)
"""Weakest first. UNKNOWN outweighs NONE: a method with an unknown number may have been a real one."""

SANITIZED: dict[int | None, Verdict] = {
    None: Verdict.UNKNOWN,
    Sanitization.NONE: Verdict.FAIL,
    Sanitization.UNKNOWN: Verdict.UNKNOWN,
    Sanitization.CLEAR: Verdict.PASS,
    Sanitization.PURGE: Verdict.PASS,
    Sanitization.DESTROY: Verdict.PASS,
}


def end_service(
    version: DeviceVersion, position: int, process: int, happened_at: int, facility: str | None, stated: int | None
) -> None:
    """Records a step of the end of life. `happened_at` in unix seconds, `stated` the number of the sanitization."""
    version.sanitization = _strongest(version.sanitization, stated)
    if _moves_on(version, process):
        known = known_code(EndOfLifeProcess, process)
        version.end_of_life_status = process if known else EndOfLifeStatus.UNKNOWN.value
        version.end_of_life_position = position
        version.end_of_life_at = saturate(happened_at)
        version.facility = facility or None
    first_disposal = version.sanitized_before_disposal == Verdict.NOT_APPLICABLE
    if first_disposal and version.end_of_life_status >= EndOfLifeStatus.RECYCLED:
        version.sanitized_before_disposal = SANITIZED[version.sanitization].value


def burn(version: DeviceVersion, position: int, block_time: int) -> None:
    """Clears owner, claim, beneficiary and pairing. The device counts as DECOMMISSIONED, without a step."""
    version.owner = version.beneficiary = None
    version.claimed_at = version.vehicle_id = version.paired_at = None
    version.burn_position = position
    if version.end_of_life_status < EndOfLifeStatus.DECOMMISSIONED:
        version.end_of_life_status = EndOfLifeStatus.DECOMMISSIONED.value
        version.end_of_life_position = version.facility = None
        version.end_of_life_at = block_time


def own(version: DeviceVersion, owner: bytes) -> None:
    """Sets the owner. A device that only a burn had decommissioned is in service again."""
    version.owner = owner
    if version.end_of_life_status == EndOfLifeStatus.DECOMMISSIONED and version.end_of_life_position is None:
        version.end_of_life_status = EndOfLifeStatus.IN_SERVICE.value
        version.end_of_life_at = None


def _moves_on(version: DeviceVersion, process: int) -> bool:
    """Returns whether a step sets the status: the furthest step does, an unknown one only if there is no other."""
    if not known_code(EndOfLifeProcess, process):
        return version.end_of_life_status == EndOfLifeStatus.IN_SERVICE
    if process == version.end_of_life_status:
        return version.end_of_life_position is None  # a burn had set the status; this step has a time and a facility
    return process > version.end_of_life_status


def _strongest(so_far: int | None, stated: int | None) -> int | None:
    if stated is None:
        return so_far
    method = Sanitization(stated) if known_code(Sanitization, stated) else Sanitization.UNKNOWN
    if so_far is None:
        return method.value
    return max(Sanitization(so_far), method, key=STRENGTH.index).value
