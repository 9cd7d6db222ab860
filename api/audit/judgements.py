"""The auditor's questions about one device, answered from its row: pure, without a query.

A device is a row of `select_devices`; `twins` are rows of other devices that carry the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, LicenseStatus, Verdict

SHOWN = 60
NAMED = 3


class Judgement(NamedTuple):
    """`reason` is one sentence."""

    verdict: Verdict
    reason: str


def manufacturer_licensed_at_mint(device: Any) -> Judgement:
    if device.mint_position is None:
        return Judgement(Verdict.UNKNOWN, "The mint of the device has not been seen.")
    if device.manufacturer_id is None:
        return Judgement(Verdict.UNKNOWN, f"The mint in block {_mint_block(device)} names no manufacturer.")
    status = LicenseStatus(device.manufacturer_license_at_mint)
    return Judgement(
        LICENSED[status], f"{_license('manufacturer', status)} at the mint in block {_mint_block(device)}."
    )


def hardware_licensed_at_mint(device: Any) -> Judgement:
    if device.mint_position is None:
        return Judgement(Verdict.UNKNOWN, "The mint of the device has not been seen.")
    if device.hardware_license_id is None:
        return Judgement(Verdict.UNKNOWN, f"The mint in block {_mint_block(device)} names no hardware licence.")
    verdict, status = Verdict(device.hardware_licensed_at_mint), LicenseStatus(device.hardware_license_at_mint)
    at_mint = f"at the mint in block {_mint_block(device)}"
    if verdict != LICENSED[status] and verdict == Verdict.FAIL:
        return Judgement(verdict, f"The hardware licence was not one of the manufacturer's {at_mint}.")
    if verdict != LICENSED[status]:
        return Judgement(verdict, f"It is not known whose the hardware licence was {at_mint}.")
    return Judgement(verdict, f"{_license('hardware', status)} {at_mint}.")


def imei_valid(device: Any) -> Judgement:
    if device.imei is None:
        return _no_imei(device)
    verdict = Verdict(device.imei_valid)
    says = "is" if verdict == Verdict.PASS else "is not"
    return Judgement(verdict, f"The IMEI {_quoted(device.imei)} {says} 15 digits with a right check digit.")


def imei_unique(device: Any, twins: Sequence[Any]) -> Judgement:
    if device.imei is None:
        return _no_imei(device)
    imei = f"the IMEI {_quoted(device.imei)}"
    if not twins:
        return Judgement(Verdict.PASS, f"No other unburned device of the contract carries {imei}.")
    return Judgement(Verdict.FAIL, f"Unburned too, {_tokens(twins)} of the contract carries {imei}.")


def serial_unique_for_manufacturer(device: Any, twins: Sequence[Any]) -> Judgement:
    if device.serial_number is None:
        return Judgement(Verdict.UNKNOWN, "The serial number is not known.")
    if device.manufacturer_id is None:
        return Judgement(Verdict.UNKNOWN, "The manufacturer is not known.")
    serial = f"the serial number {_quoted(device.serial_number)}"
    if not twins:
        return Judgement(Verdict.PASS, f"No other device of the manufacturer carries {serial}.")
    return Judgement(Verdict.FAIL, f"Of the same manufacturer, {_tokens(twins)} carries {serial}.")


def address_unique(addresses: Sequence[bytes], twins: Sequence[Any]) -> Judgement:
    """`addresses` are those that the device ever had."""
    if not addresses:
        return Judgement(Verdict.UNKNOWN, "No address of the device is known.")
    if not twins:
        return Judgement(Verdict.PASS, "No other device held an address of this one at the same time.")
    return Judgement(Verdict.FAIL, f"At the same time, {_tokens(twins)} held an address of this device.")


def last_test(name: str, verdict: Verdict) -> Judgement:
    """`name` is the kind of test, as a reason calls it."""
    if verdict == Verdict.UNKNOWN:
        return Judgement(verdict, f"No {name} is recorded.")
    return Judgement(verdict, f"The last {name} {'passed' if verdict == Verdict.PASS else 'failed'}.")


def provisioned_after_quality(device: Any, provisioned: int | None, inspected_before: bool) -> Judgement:
    """`provisioned` is the block of the first provisioning; `inspected_before`, whether an inspection came before."""
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
    return Judgement(verdict, reason)


def no_activity_after_end_of_life(device: Any) -> Judgement:
    status = EndOfLifeStatus(device.end_of_life_status)
    if status == EndOfLifeStatus.IN_SERVICE:
        return Judgement(Verdict.NOT_APPLICABLE, "The device is in service.")
    if device.active_after_end_of_life:
        return Judgement(Verdict.FAIL, f"The device is {status.name}, and events that this rules out came after it.")
    return Judgement(Verdict.PASS, f"The device is {status.name}, and no event that this rules out came after it.")


def sanitized_before_disposal(device: Any) -> Judgement:
    verdict = Verdict(device.sanitized_before_disposal)
    return Judgement(verdict, SANITIZED[verdict])


LICENSED = {
    LicenseStatus.VALID: Verdict.PASS,
    LicenseStatus.NONE: Verdict.FAIL,
    LicenseStatus.REVOKED: Verdict.FAIL,
    LicenseStatus.EXPIRED: Verdict.FAIL,
    LicenseStatus.UNKNOWN: Verdict.UNKNOWN,
}

SANITIZED = {
    Verdict.PASS: "A step at or before the first RECYCLED or DISPOSED states CLEAR, PURGE or DESTROY.",
    Verdict.FAIL: "What the steps at or before the first RECYCLED or DISPOSED state of sanitization is NONE.",
    Verdict.UNKNOWN: "No step at or before the first RECYCLED or DISPOSED states a known sanitization.",
    Verdict.NOT_APPLICABLE: "The device is neither recycled nor disposed of.",
}


def _license(whose: str, status: LicenseStatus) -> str:
    match status:
        case LicenseStatus.NONE:
            return f"There was no {whose} licence"
        case LicenseStatus.UNKNOWN:
            return f"The history is not whole, so it is not known what the {whose} licence was worth"
        case _:
            return f"The {whose} licence was {status.name}"


def _no_imei(device: Any) -> Judgement:
    if device.dev_eui is None:
        return Judgement(Verdict.UNKNOWN, "No IMEI of the device is known.")
    return Judgement(Verdict.NOT_APPLICABLE, f"The device has no IMEI but the DevEUI {_quoted(device.dev_eui)}.")


def _tokens(twins: Sequence[Any]) -> str:
    named = ", ".join(str(twin.token_id) for twin in twins[:NAMED])
    more = " and others" if len(twins) > NAMED else ""
    return f"token {named}{more}" if len(twins) == 1 else f"each of the tokens {named}{more}"


def _mint_block(device: Any) -> int:
    return block_of(device.mint_position)


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= SHOWN else f'"{text[:SHOWN]}..." ({len(text)} characters)'
