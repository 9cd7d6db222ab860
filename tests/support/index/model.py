"""A model of the tables: the documented rules, applied to the whole history each time.

It is slow, and independent of the fold: every function reads the whole history. Columns are named and encoded as in the
tables. An id is the position of the first log that names a thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schema.tables.rows import DeviceKey
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
STEPS: dict[str, Callable[[dict[str, Any]], tuple[BizStep | None, Disposition | None]]] = {
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
"""Sanitization methods. -1 stands for any unknown number, which may have been a real method."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event at its position. `time` is the time of its block."""

    position: int
    time: int
    name: str
    arguments: dict[str, Any]

    @property
    def token(self) -> int | None:
        return self.arguments.get("tokenId")


def placed(position: int, time: int, fact: Fact) -> Event:
    return Event(position, time, fact.name, fact.arguments)


Row = dict[str, Any]
History = Sequence[Event]


# Devices


KEYS = DeviceKey.__struct_fields__


def device_rows(history: History) -> dict[str, dict[int, Row]]:
    """Returns the present `device_version`, `device_key` and `device_activity` of each device, by its id."""
    tokens = {fact.token for fact in history if fact.token is not None}
    ids = {token: first(history, "tokenId", token) for token in tokens}
    versions = {ids[token]: version(history, token) for token in tokens}
    return {
        "device_version": versions,
        "device_key": {id: {name: row[name] for name in row if name in KEYS} for id, row in versions.items()},
        "device_activity": {ids[token]: activity(history, token) for token in tokens},
    }


def version(history: History, token: int) -> Row:
    own = of(history, token)
    mint = last(own, "CertificateMinted")
    transfer, burn = last(own, "Transfer"), last(burns(own))
    serial_number = latest_text(own, "serialNumber")
    imei, dev_eui = latest_text(own, "imei"), latest_text(own, "devEUI")
    address = last([fact for fact in own if fact.name in ("CertificateMinted", "DeviceAddressReset")])
    firmware = mint.arguments["firmwareVersion"] if mint else ""
    provisioning = last(own, "DeviceProvisioned")
    return {
        "owner": transfer.arguments["to"] if transfer and transfer.arguments["to"] != NOBODY else None,
        "address": address.arguments["device"] if address and address.arguments["device"] != NOBODY else None,
        "serial_number": serial_number or None,
        "serial_number_key": serial_number,
        "imei": imei or None,
        "imei_key": imei.replace(" ", "").replace("-", ""),
        "imei_valid": imei_verdict(imei, dev_eui),
        "dev_eui": dev_eui or None,
        "dev_eui_key": dev_eui,
        "hardware_revision": latest_text(own, "hardwareRevision") or None,
        "manufactured_at": manufactured_at(own),
        "manufacturer_id": first(history, "manufacturerId", mint.arguments["manufacturerId"]) if mint else None,
        "hardware_license_id": first(history, "hardwareLicenseId", mint.arguments["hardwareLicenseId"])
        if mint
        else None,
        **licenses_at_mint(history, mint),
        "mint_position": mint.position if mint else None,
        "minted_at": mint.time if mint else None,
        "burn_position": burn.position if burn else None,
        "initial_firmware": firmware or None,
        "initial_firmware_key": firmware,
        **{column: test_verdict(own, name) for name, column in TESTS.items()},
        "provisioned_at": seconds(provisioning.arguments["provisionedAt"]) if provisioning else None,
        "provisioned_after_quality": provisioned_after_quality(own),
        **end_of_life(own),
        "sanitization": sanitization(named(own, "EndOfLifeRecorded")),
        "sanitized_before_disposal": sanitized_before_disposal(own),
    }


def activity(history: History, token: int) -> Row:
    own = of(history, token)
    updates = [fact for fact in named(own, "FirmwareUpdated") if fact.arguments["result"] == 0]
    mint, update = last(own, "CertificateMinted"), last(updates)
    firmware = update.arguments["toVersion"] if update else mint.arguments["firmwareVersion"] if mint else ""
    return {
        "valid_from": own[-1].position,
        "updated_at": own[-1].time,
        "firmware": firmware or None,
        "firmware_key": firmware,
        "firmware_image_hash": update.arguments["imageHash"] if update else None,
        "firmware_updated_at": update.time if update else None,
        "factory_reset_count": len(named(own, "FactoryReset")),
        "active_after_end_of_life": int(any(is_after_end_of_life(own, fact) for fact in own)),
    }


def latest_text(own: History, attribute: str) -> str:
    """Returns the value of the last mint or correction; "" clears it."""
    values = [
        fact.arguments["value"] if fact.name == "CertificateCorrected" else fact.arguments[attribute]
        for fact in own
        if fact.arguments.get("attribute") == attribute
        or (fact.name == "CertificateMinted" and attribute in fact.arguments)
    ]
    return str(values[-1]) if values else ""


def manufactured_at(own: History) -> int | None:
    """Returns unix seconds. A correction that is no number is stored among the free attributes instead."""
    values = [
        str(fact.arguments["manufacturedAt"]) if fact.name == "CertificateMinted" else fact.arguments["value"]
        for fact in own
        if fact.name == "CertificateMinted" or (corrects(fact) and fact.arguments["attribute"] == "manufacturedAt")
    ]
    return seconds(int(values[-1])) if values and values[-1] else None


def corrects(fact: Event) -> bool:
    """Returns whether the attribute has a column, and the value fits it."""
    if fact.name != "CertificateCorrected" or fact.arguments["attribute"] not in CORRECTED:
        return False
    value = str(fact.arguments["value"])
    return fact.arguments["attribute"] != "manufacturedAt" or value == "" or value.isdigit()


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
    return Verdict.UNKNOWN if test is None else verdict(test.arguments["passed"])


test_verdict.__test__ = False  # type: ignore[attr-defined]  # not a test for pytest


def provisioned_after_quality(own: History) -> Verdict:
    provisionings, inspections = named(own, "DeviceProvisioned"), named(own, "QualityInspectionRecorded")
    if not provisionings:
        return Verdict.NOT_APPLICABLE
    if not inspections:
        return Verdict.UNKNOWN
    before = [fact for fact in inspections if fact.position < provisionings[0].position]
    return verdict(bool(before) and before[-1].arguments["passed"])


# End of life


def end_of_life(own: History) -> Row:
    """Returns the furthest step. A burned token without a step counts as decommissioned."""
    steps = named(own, "EndOfLifeRecorded")
    dated = [step for step in steps if step.arguments["process"] in (1, 2, 3)]
    transfer = last(own, "Transfer")
    burned = transfer is not None and transfer.arguments["to"] == NOBODY
    if dated:
        furthest = max(step.arguments["process"] for step in dated)
        return ended(next(step for step in dated if step.arguments["process"] == furthest), furthest)
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


def ended(step: Event, status: int) -> Row:
    return {
        "end_of_life_status": status,
        "end_of_life_position": step.position,
        "end_of_life_at": seconds(step.arguments["occurredAt"]),
        "facility": step.arguments["facility"] or None,
    }


def first_of_the_burns(own: History) -> Event:
    """Returns the transfer that burned the token; later transfers to the zero address do not count."""
    transfers = named(own, "Transfer")
    alive = [index for index, fact in enumerate(transfers) if fact.arguments["to"] != NOBODY]
    return transfers[alive[-1] + 1 if alive else 0]


def last_return(own: History) -> int:
    """Returns the position where the token last returned from a burn. Unknown steps before it have no effect."""
    transfers = named(own, "Transfer")
    returns = [
        after.position
        for before, after in pairwise(transfers)
        if before.arguments["to"] == NOBODY != after.arguments["to"]
    ]
    return returns[-1] if returns else 0


def status_before(own: History, fact: Event) -> int:
    return int(end_of_life([other for other in own if other.position < fact.position])["end_of_life_status"])


def is_after_end_of_life(own: History, fact: Event) -> bool:
    status = status_before(own, fact)
    if status == EndOfLifeStatus.IN_SERVICE:
        return False
    if status == EndOfLifeStatus.DISPOSED:
        return fact.name not in ("UserRevoked", "CertificateCorrected")
    if fact.name == "EndOfLifeRecorded":  # a step lower than the status
        return fact.arguments["process"] in (1, 2, 3) and fact.arguments["process"] < status
    return fact.name in ("DeviceProvisioned", "FirmwareUpdated", *TESTS, "UserAuthorized", "DeviceAddressReset")


def sanitization(steps: History) -> int | None:
    stated = [step.arguments["sanitization"] if step.arguments["sanitization"] in range(4) else -1 for step in steps]
    return max(stated, key=WEAKEST_FIRST.index) if stated else None


def sanitized_before_disposal(own: History) -> Verdict:
    steps = named(own, "EndOfLifeRecorded")
    disposals = [step for step in steps if step.arguments["process"] in (2, 3)]
    if not disposals:
        return Verdict.NOT_APPLICABLE
    strongest = sanitization([step for step in steps if step.position <= disposals[0].position])
    return {0: Verdict.FAIL, -1: Verdict.UNKNOWN}.get(strongest or 0, Verdict.PASS)


# Attributes and grants


def open_attributes(history: History) -> set[tuple[int, str, str, int]]:
    """Returns (device, name, value, position) of each free attribute that is set."""
    free = {
        (fact.token, fact.arguments["attribute"]): fact
        for fact in named(history, "CertificateCorrected")
        if not corrects(fact)
    }
    return {
        (first(history, "tokenId", fact.token), name, fact.arguments["value"], fact.position)
        for (_, name), fact in free.items()
        if fact.arguments["value"]
    }


def authorizations(history: History) -> dict[int, Row]:
    """Returns every grant, open or ended, by its position."""
    grants: dict[int, Row] = {}
    for grant in named(history, "UserAuthorized"):
        user = (grant.token, grant.arguments["user"])
        later = [
            fact
            for fact in history
            if fact.name in ("UserAuthorized", "UserRevoked")
            and (fact.token, fact.arguments["user"]) == user
            and fact.position > grant.position
        ]
        end = later[0] if later else None
        reasons = {"UserAuthorized": AuthorizationEndReason.REPLACED, "UserRevoked": AuthorizationEndReason.REVOKED}
        grants[grant.position] = {
            "device_id": first(history, "tokenId", grant.token),
            "valid_to": end.position if end else OPEN,
            "user_address": grant.arguments["user"],
            "source": "contract",
            "scope": "",
            "organization": grant.arguments["organization"] or None,
            "organization_key": grant.arguments["organization"],
            "permissions": grant.arguments["permissions"].to_bytes(32, "big"),
            "expires_at": expiry(grant.arguments["expiresAt"]),
            "granted_at": grant.time,
            "ended_at": end.time if end else None,
            "end_reason": reasons[end.name] if end else None,
        }
    return grants


# Licenses


def manufacturer_rows(history: History) -> dict[int, Row]:
    numbers = {fact.arguments["manufacturerId"] for fact in history if "manufacturerId" in fact.arguments}
    return {first(history, "manufacturerId", number): manufacturer(history, number) for number in numbers}


def manufacturer(history: History, number: int) -> Row:
    grant = last(about(history, "ManufacturerLicensed", "manufacturerId", number))
    revocation = last(about(history, "ManufacturerLicenseRevoked", "manufacturerId", number))
    return {
        "account": grant.arguments["account"] if grant and grant.arguments["account"] != NOBODY else None,
        "name": (grant.arguments["name"] or None) if grant else None,
        **license_columns(grant, revocation),
    }


def hardware_license_rows(history: History) -> dict[int, Row]:
    numbers = {fact.arguments["hardwareLicenseId"] for fact in history if "hardwareLicenseId" in fact.arguments}
    return {first(history, "hardwareLicenseId", number): hardware_license(history, number) for number in numbers}


def hardware_license(history: History, number: int) -> Row:
    grant = last(about(history, "HardwareLicensed", "hardwareLicenseId", number))
    revocation = last(about(history, "HardwareLicenseRevoked", "hardwareLicenseId", number))
    return {
        "manufacturer_id": first(history, "manufacturerId", grant.arguments["manufacturerId"]) if grant else None,
        "model": (grant.arguments["model"] or None) if grant else None,
        "hardware_revision": (grant.arguments["hardwareRevision"] or None) if grant else None,
        **license_columns(grant, revocation),
    }


def license_columns(grant: Event | None, revocation: Event | None) -> Row:
    """Returns the columns of both kinds of licenses. A later grant clears a revocation."""
    if grant and revocation and revocation.position < grant.position:
        revocation = None
    return {
        "license_uri": (grant.arguments["licenseURI"] or None) if grant else None,
        "license_hash": grant.arguments["licenseHash"] if grant else None,
        "grant_position": grant.position if grant else None,
        "granted_at": grant.time if grant else None,
        "expires_at": expiry(grant.arguments["expiresAt"]) if grant else OPEN,
        "revocation_position": revocation.position if revocation else None,
        "revoked_at": revocation.time if revocation else None,
        "revocation_reason": (revocation.arguments["reason"] or None) if revocation else None,
    }


def licenses_at_mint(history: History, mint: Event | None) -> Row:
    """Returns the verdicts by the facts before the mint and its block time."""
    if mint is None:
        return {
            "manufacturer_license_at_mint": None,
            "hardware_license_at_mint": None,
            "hardware_licensed_at_mint": Verdict.UNKNOWN,
        }
    before = [fact for fact in history if fact.position < mint.position]
    maker, number = mint.arguments["manufacturerId"], mint.arguments["hardwareLicenseId"]
    granted = last(about(before, "HardwareLicensed", "hardwareLicenseId", number))
    status = license_status(hardware_license(before, number), mint.time)
    held = granted is not None and granted.arguments["manufacturerId"] == maker
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


def event(history: History, fact: Event) -> Row:
    """Returns the derived columns of the log of a fact."""
    happened_at = fact.arguments[EVENT_TIMES[fact.name]] if fact.name in EVENT_TIMES else None
    step = STEPS.get(fact.name)
    biz_step, disposition = step(fact.arguments) if step else (None, None)
    return {
        "device_id": first(history, "tokenId", fact.token) if fact.token is not None else None,
        "event_time": None if happened_at is None else seconds(happened_at),
        "biz_step": biz_step,
        "disposition": disposition,
        "flags": flags(history, fact),
    }


def flags(history: History, fact: Event) -> int:
    """Returns the flags of a fact: how it contradicts the history before it."""
    result = EventFlag(0)
    if fact.name in EVENT_TIMES and fact.arguments[EVENT_TIMES[fact.name]] > fact.time:
        result |= EventFlag.TIME_IN_FUTURE
    if any(fact.name == name and fact.arguments[code] not in codes for (name, code), codes in KNOWN_CODES.items()):
        result |= EventFlag.UNKNOWN_CODE
    if fact.token is None:
        return result
    own = [other for other in of(history, fact.token) if other.position < fact.position]
    transfer, mint, burn = last(own, "Transfer"), last(own, "CertificateMinted"), last(burns(own))
    begins = fact.name == "CertificateMinted" or (fact.name == "Transfer" and fact.arguments["from"] == NOBODY)
    if is_after_end_of_life(of(history, fact.token), fact):
        result |= EventFlag.AFTER_END_OF_LIFE
    if not begins and transfer is None and mint is None:
        result |= EventFlag.BEFORE_MINT
    if fact.name == "Transfer" and transfer is not None and fact.arguments["from"] != transfer.arguments["to"]:
        result |= EventFlag.WRONG_SENDER
    if fact.name == "CertificateMinted":
        if mint and not (burn and burn.position > mint.position):
            result |= EventFlag.DUPLICATE_MINT
        at_mint = licenses_at_mint(history, fact)
        licensed = at_mint["manufacturer_license_at_mint"] == LicenseStatus.VALID
        if not licensed or at_mint["hardware_licensed_at_mint"] == Verdict.FAIL:
            result |= EventFlag.UNLICENSED
    return result


# Queries of a history


def of(history: History, token: int | None) -> list[Event]:
    return [fact for fact in history if fact.token == token]


def named(history: History, name: str) -> list[Event]:
    return [fact for fact in history if fact.name == name]


def about(history: History, name: str, argument: str, number: int) -> list[Event]:
    return [fact for fact in named(history, name) if fact.arguments[argument] == number]


def burns(own: History) -> list[Event]:
    return [fact for fact in named(own, "Transfer") if fact.arguments["to"] == NOBODY]


def last(history: History, name: str | None = None) -> Event | None:
    facts = [fact for fact in history if name in (None, fact.name)]
    return facts[-1] if facts else None


def first(history: History, argument: str, number: int | None) -> int:
    """Returns the position of the first log that names a thing: its id."""
    return next(fact.position for fact in history if fact.arguments.get(argument) == number)


def seconds(number: int) -> int:
    return min(number, LARGEST)


def expiry(expires_at: int) -> int:
    """Returns the first second after the end; zero means that there is no end."""
    return seconds(expires_at) if expires_at else OPEN


def verdict(passed: bool) -> Verdict:
    return Verdict.PASS if passed else Verdict.FAIL
