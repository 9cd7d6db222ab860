"""The answers to the auditor's questions about one device, from its row alone: pure, without a query.

`device` is a row of `select_devices`. `duplicates` are rows of other devices that have the same value.
docs/how-it-works/meaning.md has the rule of each check.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, LicenseStatus, Verdict

SHOWN_CHARACTERS = 60
SHOWN_TOKENS = 3


class Judgment(NamedTuple):
    """A verdict and its reason, in one sentence."""

    verdict: Verdict
    reason: str


def manufacturer_licensed_at_mint(device: Any) -> Judgment:
    if device.mint_position is None:
        return Judgment(Verdict.UNKNOWN, "The mint of the device was not seen.")
    if device.manufacturer_id is None:
        return Judgment(Verdict.UNKNOWN, f"The mint in block {_mint_block(device)} names no manufacturer.")
    status = LicenseStatus(device.manufacturer_license_at_mint)
    return Judgment(LICENSED[status], f"{_license('manufacturer', status)} at the mint in block {_mint_block(device)}.")


def hardware_licensed_at_mint(device: Any) -> Judgment:
    if device.mint_position is None:
        return Judgment(Verdict.UNKNOWN, "The mint of the device was not seen.")
    if device.hardware_license_id is None:
        return Judgment(Verdict.UNKNOWN, f"The mint in block {_mint_block(device)} names no hardware license.")
    verdict, status = Verdict(device.hardware_licensed_at_mint), LicenseStatus(device.hardware_license_at_mint)
    at_mint = f"at the mint in block {_mint_block(device)}"
    if verdict != LICENSED[status] and verdict == Verdict.FAIL:
        return Judgment(verdict, f"The hardware license did not belong to the manufacturer {at_mint}.")
    if verdict != LICENSED[status]:
        return Judgment(verdict, f"It is unknown to which manufacturer the hardware license belonged {at_mint}.")
    return Judgment(verdict, f"{_license('hardware', status)} {at_mint}.")


def imei_valid(device: Any) -> Judgment:
    if device.imei is None:
        return _no_imei(device)
    verdict = Verdict(device.imei_valid)
    has = "has" if verdict == Verdict.PASS else "does not have"
    return Judgment(verdict, f"The IMEI {_quoted(device.imei)} {has} 15 digits with a correct check digit.")


def imei_unique(device: Any, duplicates: Sequence[Any]) -> Judgment:
    if device.imei is None:
        return _no_imei(device)
    imei = f"the IMEI {_quoted(device.imei)}"
    if not duplicates:
        return Judgment(Verdict.PASS, f"No other unburned device of the contract has {imei}.")
    return Judgment(Verdict.FAIL, f"{_tokens(duplicates)} of the same contract, not burned, has {imei}.")


def serial_unique_for_manufacturer(device: Any, duplicates: Sequence[Any]) -> Judgment:
    if device.serial_number is None:
        return Judgment(Verdict.UNKNOWN, "The serial number is unknown.")
    if device.manufacturer_id is None:
        return Judgment(Verdict.UNKNOWN, "The manufacturer is unknown.")
    serial = f"the serial number {_quoted(device.serial_number)}"
    if not duplicates:
        return Judgment(Verdict.PASS, f"No other device of the manufacturer has {serial}.")
    return Judgment(Verdict.FAIL, f"{_tokens(duplicates)} of the same manufacturer has {serial}.")


def address_unique(addresses: Sequence[bytes], duplicates: Sequence[Any]) -> Judgment:
    """`addresses` are all that the device has or had."""
    if not addresses:
        return Judgment(Verdict.UNKNOWN, "No address of the device is known.")
    if not duplicates:
        return Judgment(Verdict.PASS, "No other device held an address of this device at the same time.")
    return Judgment(Verdict.FAIL, f"{_tokens(duplicates)} held an address of this device at the same time.")


def last_test(name: str, verdict: Verdict) -> Judgment:
    """`name` is the kind of test in the words of the reason."""
    if verdict == Verdict.UNKNOWN:
        return Judgment(verdict, f"No {name} is recorded.")
    return Judgment(verdict, f"The last {name} {'passed' if verdict == Verdict.PASS else 'failed'}.")


def provisioned_after_quality(device: Any, provisioned: int | None, inspected_before: bool) -> Judgment:
    """`provisioned` is the block of the first provisioning. `inspected_before`: an inspection came before it."""
    verdict = Verdict(device.provisioned_after_quality)
    match verdict:
        case Verdict.NOT_APPLICABLE:
            reason = "The device is not provisioned."
        case Verdict.UNKNOWN:
            reason = f"The device was provisioned in block {provisioned}, and no quality inspection is recorded."
        case Verdict.FAIL if not inspected_before:
            reason = f"The first quality inspection came after the provisioning in block {provisioned}."
        case _:
            passed = "passed" if verdict == Verdict.PASS else "failed"
            reason = f"The last quality inspection before the provisioning in block {provisioned} {passed}."
    return Judgment(verdict, reason)


def no_activity_after_end_of_life(device: Any) -> Judgment:
    status = EndOfLifeStatus(device.end_of_life_status)
    if status == EndOfLifeStatus.IN_SERVICE:
        return Judgment(Verdict.NOT_APPLICABLE, "The device is in service.")
    if device.active_after_end_of_life:
        return Judgment(Verdict.FAIL, f"The device is {status.name}, but later events contradict this.")
    return Judgment(Verdict.PASS, f"The device is {status.name}, and no later event contradicts this.")


def sanitized_before_disposal(device: Any) -> Judgment:
    verdict = Verdict(device.sanitized_before_disposal)
    return Judgment(verdict, SANITIZED[verdict])


LICENSED = {
    LicenseStatus.VALID: Verdict.PASS,
    LicenseStatus.NONE: Verdict.FAIL,
    LicenseStatus.REVOKED: Verdict.FAIL,
    LicenseStatus.EXPIRED: Verdict.FAIL,
    LicenseStatus.UNKNOWN: Verdict.UNKNOWN,
}

SANITIZED = {
    Verdict.PASS: "A step at or before the first RECYCLED or DISPOSED states CLEAR, PURGE or DESTROY.",
    Verdict.FAIL: "Up to the first RECYCLED or DISPOSED, each step that states a sanitization states NONE.",
    Verdict.UNKNOWN: "No step at or before the first RECYCLED or DISPOSED states a known sanitization.",
    Verdict.NOT_APPLICABLE: "The device is neither recycled nor disposed.",
}


def _license(whose: str, status: LicenseStatus) -> str:
    match status:
        case LicenseStatus.NONE:
            return f"There was no {whose} license"
        case LicenseStatus.UNKNOWN:
            return f"The history is not complete, so the status of the {whose} license is unknown"
        case _:
            return f"The {whose} license was {status.name}"


def _no_imei(device: Any) -> Judgment:
    if device.dev_eui is None:
        return Judgment(Verdict.UNKNOWN, "No IMEI of the device is known.")
    return Judgment(Verdict.NOT_APPLICABLE, f"The device has no IMEI; it has the DevEUI {_quoted(device.dev_eui)}.")


def _tokens(duplicates: Sequence[Any]) -> str:
    ids = ", ".join(str(device.token_id) for device in duplicates[:SHOWN_TOKENS])
    more = " and others" if len(duplicates) > SHOWN_TOKENS else ""
    return f"Token {ids}" if len(duplicates) == 1 else f"Each of the tokens {ids}{more}"


def _mint_block(device: Any) -> int:
    return block_of(device.mint_position)


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= SHOWN_CHARACTERS else f'"{text[:SHOWN_CHARACTERS]}..." ({len(text)} characters)'
