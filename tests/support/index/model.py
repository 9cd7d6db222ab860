"""What the certificates of a history mean, by the rules as they are written down, from the beginning each time.

Slow, and independent of the fold: every question is asked anew of all that has happened. Columns are named and encoded
as in the tables; ids are the positions of the first log that names a thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schema.tables.values import OPEN
from schema.vocabulary import (
    AuthorizationEndReason,
    BizStep,
    Disposition,
    EndOfLifeStatus,
    EventFlag,
    LicenseStatus,
    Verdict,
)
from tests.support.chain.histories import NOBODY, Fact

LARGEST = 2**63 - 1
TESTS = {
    "InCircuitTestRecorded": "in_circuit_test",
    "MechanicalTestRecorded": "mechanical_test",
    "QualityInspectionRecorded": "quality_inspection",
}
EVENT_TIMES = {
    "CertificateMinted": "manufacturedAt",
    "InCircuitTestRecorded": "testedAt",
    "MechanicalTestRecorded": "testedAt",
    "QualityInspectionRecorded": "inspectedAt",
    "DeviceProvisioned": "provisionedAt",
    "FactoryReset": "resetAt",
    "FirmwareUpdated": "appliedAt",
    "EndOfLifeRecorded": "occurredAt",
}
KNOWN_CODES = {
    ("FactoryReset", "reason"): range(5),
    ("FirmwareUpdated", "result"): range(3),
    ("EndOfLifeRecorded", "process"): range(1, 4),
    ("EndOfLifeRecorded", "sanitization"): range(4),
}
OBSERVED = (BizStep.other, None)
WORDS: dict[str, Callable[[dict[str, Any]], tuple[BizStep | None, Disposition | None]]] = {
    "CertificateMinted": lambda _: (BizStep.commissioning, Disposition.active),
    "DeviceProvisioned": lambda _: (BizStep.other, Disposition.active),
    "Transfer": lambda a: (BizStep.decommissioning, Disposition.inactive) if a["to"] == NOBODY else OBSERVED,
    "CertificateCorrected": lambda _: OBSERVED,
    "DeviceAddressReset": lambda _: OBSERVED,
    "FactoryReset": lambda _: OBSERVED,
    "FirmwareUpdated": lambda _: OBSERVED,
    "EndOfLifeRecorded": lambda a: {
        1: (BizStep.decommissioning, Disposition.inactive),
        2: (BizStep.other, Disposition.disposed),
        3: (BizStep.destroying, Disposition.destroyed),
    }.get(a["process"], OBSERVED),
} | dict.fromkeys(
    TESTS, lambda a: (BizStep.inspecting, Disposition.conformant if a["passed"] else Disposition.non_conformant)
)
CORRECTED = {"serialNumber", "imei", "devEUI", "hardwareRevision", "manufacturedAt"}
WEAKEST_FIRST = (0, -1, 1, 2, 3)
"""Sanitization; -1 is a number outside the list, which may have been a real method."""


@dataclass(frozen=True, slots=True)
class Told:
    """A fact in its place. `time` is its block's."""

    position: int
    time: int
    name: str
    said: dict[str, Any]

    @property
    def token(self) -> int | None:
        return self.said.get("tokenId")


def told(position: int, time: int, fact: Fact) -> Told:
    return Told(position, time, fact.name, fact.arguments)


Row = dict[str, Any]
History = Sequence[Told]


# Devices


def device_rows(history: History) -> dict[str, dict[int, Row]]:
    """Return the present `device_version` and `device_activity` of each device, by its id."""
    tokens = {fact.token for fact in history if fact.token is not None}
    ids = {token: first(history, "tokenId", token) for token in tokens}
    return {
        "device_version": {ids[token]: version(history, token) for token in tokens},
        "device_activity": {ids[token]: activity(history, token) for token in tokens},
    }


def version(history: History, token: int) -> Row:
    own = of(history, token)
    mint = last(own, "CertificateMinted")
    transfer, burn = last(own, "Transfer"), last(burns(own))
    serial_number = latest_text(own, "serialNumber")
    imei, dev_eui = latest_text(own, "imei"), latest_text(own, "devEUI")
    address = last([fact for fact in own if fact.name in ("CertificateMinted", "DeviceAddressReset")])
    firmware = mint.said["firmwareVersion"] if mint else ""
    provisioning = last(own, "DeviceProvisioned")
    return {
        "owner": transfer.said["to"] if transfer and transfer.said["to"] != NOBODY else None,
        "address": address.said["device"] if address and address.said["device"] != NOBODY else None,
        "serial_number": serial_number or None,
        "serial_number_key": serial_number,
        "imei": imei or None,
        "imei_key": imei.replace(" ", "").replace("-", ""),
        "imei_valid": imei_verdict(imei, dev_eui),
        "dev_eui": dev_eui or None,
        "dev_eui_key": dev_eui,
        "hardware_revision": latest_text(own, "hardwareRevision") or None,
        "manufactured_at": manufactured_at(own),
        "manufacturer_id": first(history, "manufacturerId", mint.said["manufacturerId"]) if mint else None,
        "hardware_license_id": first(history, "hardwareLicenseId", mint.said["hardwareLicenseId"]) if mint else None,
        **licences_at_mint(history, mint),
        "mint_position": mint.position if mint else None,
        "minted_at": mint.time if mint else None,
        "burn_position": burn.position if burn else None,
        "initial_firmware": firmware or None,
        "initial_firmware_key": firmware,
        **{column: test_verdict(own, name) for name, column in TESTS.items()},
        "provisioned_at": seconds(provisioning.said["provisionedAt"]) if provisioning else None,
        "provisioned_after_quality": provisioned_after_quality(own),
        **end_of_life(own),
        "sanitization": sanitization(named(own, "EndOfLifeRecorded")),
        "sanitized_before_disposal": sanitized_before_disposal(own),
    }


def activity(history: History, token: int) -> Row:
    own = of(history, token)
    updates = [fact for fact in named(own, "FirmwareUpdated") if fact.said["result"] == 0]
    mint, update = last(own, "CertificateMinted"), last(updates)
    firmware = update.said["toVersion"] if update else mint.said["firmwareVersion"] if mint else ""
    return {
        "valid_from": own[-1].position,
        "updated_at": own[-1].time,
        "firmware": firmware or None,
        "firmware_key": firmware,
        "firmware_image_hash": update.said["imageHash"] if update else None,
        "firmware_updated_at": update.time if update else None,
        "factory_reset_count": len(named(own, "FactoryReset")),
        "active_after_end_of_life": int(any(is_after_end_of_life(own, fact) for fact in own)),
    }


def latest_text(own: History, attribute: str) -> str:
    """Return what the last mint or correction said: "" clears."""
    said = [
        fact.said["value"] if fact.name == "CertificateCorrected" else fact.said[attribute]
        for fact in own
        if fact.said.get("attribute") == attribute or (fact.name == "CertificateMinted" and attribute in fact.said)
    ]
    return str(said[-1]) if said else ""


def manufactured_at(own: History) -> int | None:
    """Return seconds; a correction that is no number is no date, and kept among the free attributes."""
    said = [
        str(fact.said["manufacturedAt"]) if fact.name == "CertificateMinted" else fact.said["value"]
        for fact in own
        if fact.name == "CertificateMinted" or (corrects(fact) and fact.said["attribute"] == "manufacturedAt")
    ]
    return seconds(int(said[-1])) if said and said[-1] else None


def corrects(fact: Told) -> bool:
    """Tell whether an attribute has a column, and the value fits it."""
    if fact.name != "CertificateCorrected" or fact.said["attribute"] not in CORRECTED:
        return False
    value = str(fact.said["value"])
    return fact.said["attribute"] != "manufacturedAt" or value == "" or value.isdigit()


def imei_verdict(imei: str, dev_eui: str) -> Verdict:
    if not imei:
        return Verdict.NOT_APPLICABLE if dev_eui else Verdict.UNKNOWN
    digits = imei.replace(" ", "").replace("-", "")
    if len(digits) != 15 or not digits.isdigit():
        return Verdict.FAIL
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return Verdict.PASS if sum(sum(map(int, str(number))) for number in doubled) % 10 == 0 else Verdict.FAIL


def test_verdict(own: History, name: str) -> Verdict:
    test = last(own, name)
    return Verdict.UNKNOWN if test is None else verdict(test.said["passed"])


test_verdict.__test__ = False  # type: ignore[attr-defined]  # not a test for pytest


def provisioned_after_quality(own: History) -> Verdict:
    provisionings, inspections = named(own, "DeviceProvisioned"), named(own, "QualityInspectionRecorded")
    if not provisionings:
        return Verdict.NOT_APPLICABLE
    if not inspections:
        return Verdict.UNKNOWN
    before = [fact for fact in inspections if fact.position < provisionings[0].position]
    return verdict(bool(before) and before[-1].said["passed"])


# End of life


def end_of_life(own: History) -> Row:
    """Return the furthest step; a burned token counts as decommissioned without one."""
    steps = named(own, "EndOfLifeRecorded")
    known = [step for step in steps if step.said["process"] in (1, 2, 3)]
    transfer = last(own, "Transfer")
    burned = transfer is not None and transfer.said["to"] == NOBODY
    if known:
        furthest = max(step.said["process"] for step in known)
        return ended(next(step for step in known if step.said["process"] == furthest), furthest)
    if burned:
        assert transfer is not None
        since = first_of_the_burns(own)
        return {
            "end_of_life_status": EndOfLifeStatus.DECOMMISSIONED,
            "end_of_life_position": None,
            "end_of_life_at": since.time,
            "facility": None,
        }
    unread = [step for step in steps if step.position > last_return(own)]
    if unread:
        return ended(unread[0], EndOfLifeStatus.UNKNOWN)
    return {
        "end_of_life_status": EndOfLifeStatus.IN_SERVICE,
        "end_of_life_position": None,
        "end_of_life_at": None,
        "facility": None,
    }


def ended(step: Told, status: int) -> Row:
    return {
        "end_of_life_status": status,
        "end_of_life_position": step.position,
        "end_of_life_at": seconds(step.said["occurredAt"]),
        "facility": step.said["facility"] or None,
    }


def first_of_the_burns(own: History) -> Told:
    """Return the transfer that burned the token; one to nobody from nobody burns no more."""
    transfers = named(own, "Transfer")
    alive = [index for index, fact in enumerate(transfers) if fact.said["to"] != NOBODY]
    return transfers[alive[-1] + 1 if alive else 0]


def last_return(own: History) -> int:
    """Return where the token last came back from a burn: a step before it that could not be read says nothing now."""
    transfers = named(own, "Transfer")
    returns = [
        after.position for before, after in pairwise(transfers) if before.said["to"] == NOBODY != after.said["to"]
    ]
    return returns[-1] if returns else 0


def status_before(own: History, fact: Told) -> int:
    return int(end_of_life([other for other in own if other.position < fact.position])["end_of_life_status"])


def is_after_end_of_life(own: History, fact: Told) -> bool:
    status = status_before(own, fact)
    if status == EndOfLifeStatus.IN_SERVICE:
        return False
    if status == EndOfLifeStatus.DISPOSED:
        return fact.name not in ("UserRevoked", "CertificateCorrected")
    if fact.name == "EndOfLifeRecorded":  # a step lower than the status
        return fact.said["process"] in (1, 2, 3) and fact.said["process"] < status
    return fact.name in ("DeviceProvisioned", "FirmwareUpdated", *TESTS, "UserAuthorized", "DeviceAddressReset")


def sanitization(steps: History) -> int | None:
    stated = [step.said["sanitization"] if step.said["sanitization"] in range(4) else -1 for step in steps]
    return max(stated, key=WEAKEST_FIRST.index) if stated else None


def sanitized_before_disposal(own: History) -> Verdict:
    steps = named(own, "EndOfLifeRecorded")
    disposals = [step for step in steps if step.said["process"] in (2, 3)]
    if not disposals:
        return Verdict.NOT_APPLICABLE
    strongest = sanitization([step for step in steps if step.position <= disposals[0].position])
    return {0: Verdict.FAIL, -1: Verdict.UNKNOWN}.get(strongest or 0, Verdict.PASS)


# Attributes and grants


def open_attributes(history: History) -> set[tuple[int, str, str, int]]:
    """Return (device, name, value, position) of each free attribute that is set."""
    free = {
        (fact.token, fact.said["attribute"]): fact
        for fact in named(history, "CertificateCorrected")
        if not corrects(fact)
    }
    return {
        (first(history, "tokenId", fact.token), name, fact.said["value"], fact.position)
        for (_, name), fact in free.items()
        if fact.said["value"]
    }


def authorizations(history: History) -> dict[int, Row]:
    """Return every grant, open or ended, by its position."""
    found: dict[int, Row] = {}
    for grant in named(history, "UserAuthorized"):
        whom = (grant.token, grant.said["user"])
        later = [
            fact
            for fact in history
            if fact.name in ("UserAuthorized", "UserRevoked")
            and (fact.token, fact.said["user"]) == whom
            and fact.position > grant.position
        ]
        end = later[0] if later else None
        reasons = {"UserAuthorized": AuthorizationEndReason.REPLACED, "UserRevoked": AuthorizationEndReason.REVOKED}
        found[grant.position] = {
            "device_id": first(history, "tokenId", grant.token),
            "valid_to": end.position if end else OPEN,
            "user_address": grant.said["user"],
            "source": "contract",
            "scope": "",
            "organization": grant.said["organization"] or None,
            "organization_key": grant.said["organization"],
            "permissions": grant.said["permissions"].to_bytes(32, "big"),
            "expires_at": expiry(grant.said["expiresAt"]),
            "granted_at": grant.time,
            "ended_at": end.time if end else None,
            "end_reason": reasons[end.name] if end else None,
        }
    return found


# Licences


def manufacturer_rows(history: History) -> dict[int, Row]:
    numbers = {fact.said["manufacturerId"] for fact in history if "manufacturerId" in fact.said}
    return {first(history, "manufacturerId", number): manufacturer(history, number) for number in numbers}


def manufacturer(history: History, number: int) -> Row:
    grant = last(about(history, "ManufacturerLicensed", "manufacturerId", number))
    revocation = last(about(history, "ManufacturerLicenseRevoked", "manufacturerId", number))
    return {
        "account": grant.said["account"] if grant and grant.said["account"] != NOBODY else None,
        "name": (grant.said["name"] or None) if grant else None,
        **licence(grant, revocation),
    }


def hardware_license_rows(history: History) -> dict[int, Row]:
    numbers = {fact.said["hardwareLicenseId"] for fact in history if "hardwareLicenseId" in fact.said}
    return {first(history, "hardwareLicenseId", number): hardware_license(history, number) for number in numbers}


def hardware_license(history: History, number: int) -> Row:
    grant = last(about(history, "HardwareLicensed", "hardwareLicenseId", number))
    revocation = last(about(history, "HardwareLicenseRevoked", "hardwareLicenseId", number))
    return {
        "manufacturer_id": first(history, "manufacturerId", grant.said["manufacturerId"]) if grant else None,
        "model": (grant.said["model"] or None) if grant else None,
        "hardware_revision": (grant.said["hardwareRevision"] or None) if grant else None,
        **licence(grant, revocation),
    }


def licence(grant: Told | None, revocation: Told | None) -> Row:
    """Return what both licences have; a later grant clears a revocation."""
    if grant and revocation and revocation.position < grant.position:
        revocation = None
    return {
        "license_uri": (grant.said["licenseURI"] or None) if grant else None,
        "license_hash": grant.said["licenseHash"] if grant else None,
        "grant_position": grant.position if grant else None,
        "granted_at": grant.time if grant else None,
        "expires_at": expiry(grant.said["expiresAt"]) if grant else OPEN,
        "revocation_position": revocation.position if revocation else None,
        "revoked_at": revocation.time if revocation else None,
        "revocation_reason": (revocation.said["reason"] or None) if revocation else None,
    }


def licences_at_mint(history: History, mint: Told | None) -> Row:
    """Return the verdicts by the facts before the mint and its block time."""
    if mint is None:
        return {
            "manufacturer_license_at_mint": None,
            "hardware_license_at_mint": None,
            "hardware_licensed_at_mint": Verdict.UNKNOWN,
        }
    before = [fact for fact in history if fact.position < mint.position]
    maker, number = mint.said["manufacturerId"], mint.said["hardwareLicenseId"]
    granted = last(about(before, "HardwareLicensed", "hardwareLicenseId", number))
    status = license_status(hardware_license(before, number), mint.time)
    held = granted is not None and granted.said["manufacturerId"] == maker
    return {
        "manufacturer_license_at_mint": license_status(manufacturer(before, maker), mint.time),
        "hardware_license_at_mint": status,
        "hardware_licensed_at_mint": verdict(status == LicenseStatus.VALID and held),
    }


def license_status(row: Row, clock: int) -> LicenseStatus:
    if row["revocation_position"] is not None:
        return LicenseStatus.REVOKED
    if row["grant_position"] is None:
        return LicenseStatus.NONE
    return LicenseStatus.EXPIRED if row["expires_at"] <= clock else LicenseStatus.VALID


# Events


def event(history: History, fact: Told) -> Row:
    """Return the derived columns of the log of a fact."""
    happened_at = fact.said[EVENT_TIMES[fact.name]] if fact.name in EVENT_TIMES else None
    words = WORDS.get(fact.name)
    biz_step, disposition = words(fact.said) if words else (None, None)
    return {
        "device_id": first(history, "tokenId", fact.token) if fact.token is not None else None,
        "event_time": None if happened_at is None else seconds(happened_at),
        "biz_step": biz_step,
        "disposition": disposition,
        "flags": flags(history, fact),
    }


def flags(history: History, fact: Told) -> int:
    """Return what contradicts the history before the fact."""
    found = EventFlag(0)
    if fact.name in EVENT_TIMES and fact.said[EVENT_TIMES[fact.name]] > fact.time:
        found |= EventFlag.TIME_IN_FUTURE
    if any(fact.name == name and fact.said[code] not in known for (name, code), known in KNOWN_CODES.items()):
        found |= EventFlag.UNKNOWN_CODE
    if fact.token is None:
        return found
    own = [other for other in of(history, fact.token) if other.position < fact.position]
    transfer, mint, burn = last(own, "Transfer"), last(own, "CertificateMinted"), last(burns(own))
    begins = fact.name == "CertificateMinted" or (fact.name == "Transfer" and fact.said["from"] == NOBODY)
    if is_after_end_of_life(of(history, fact.token), fact):
        found |= EventFlag.AFTER_END_OF_LIFE
    if not begins and transfer is None and mint is None:
        found |= EventFlag.BEFORE_MINT
    if fact.name == "Transfer" and transfer is not None and fact.said["from"] != transfer.said["to"]:
        found |= EventFlag.WRONG_SENDER
    if fact.name == "CertificateMinted":
        if mint and not (burn and burn.position > mint.position):
            found |= EventFlag.DUPLICATE_MINT
        at_mint = licences_at_mint(history, fact)
        licensed = at_mint["manufacturer_license_at_mint"] == LicenseStatus.VALID
        if not licensed or at_mint["hardware_licensed_at_mint"] == Verdict.FAIL:
            found |= EventFlag.UNLICENSED
    return found


# Asking a history


def of(history: History, token: int | None) -> list[Told]:
    return [fact for fact in history if fact.token == token]


def named(history: History, name: str) -> list[Told]:
    return [fact for fact in history if fact.name == name]


def about(history: History, name: str, argument: str, number: int) -> list[Told]:
    return [fact for fact in named(history, name) if fact.said[argument] == number]


def burns(own: History) -> list[Told]:
    return [fact for fact in named(own, "Transfer") if fact.said["to"] == NOBODY]


def last(history: History, name: str | None = None) -> Told | None:
    found = [fact for fact in history if name in (None, fact.name)]
    return found[-1] if found else None


def first(history: History, argument: str, number: int | None) -> int:
    """Return the position of the first log that names a thing: its id."""
    return next(fact.position for fact in history if fact.said.get(argument) == number)


def seconds(number: int) -> int:
    return min(number, LARGEST)


def expiry(expires_at: int) -> int:
    """Return the first second without: zero is never."""
    return seconds(expires_at) if expires_at else OPEN


def verdict(passed: bool) -> Verdict:
    return Verdict.PASS if passed else Verdict.FAIL
