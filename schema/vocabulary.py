"""Enumerations, EPCIS words, firmware versions and IMEIs: the words that certificates and answers are written in.

The numbers are stored. Where a contract gives them they are the contract's; never renumber any.
"""

import re
from enum import IntEnum, IntFlag
from typing import TypeVar

from stdnum import luhn


class FactoryResetReason(IntEnum):
    UNKNOWN = -1
    UNSPECIFIED = 0
    USER_REQUEST = 1
    OWNERSHIP_CHANGE = 2
    SERVICE = 3
    SECURITY = 4


class FirmwareUpdateResult(IntEnum):
    UNKNOWN = -1
    SUCCEEDED = 0
    FAILED = 1
    ROLLED_BACK = 2


class EndOfLifeProcess(IntEnum):
    UNKNOWN = -1
    DECOMMISSIONED = 1
    RECYCLED = 2
    DISPOSED = 3


class Sanitization(IntEnum):
    """NIST SP 800-88 methods, weakest first."""

    UNKNOWN = -1
    NONE = 0
    CLEAR = 1
    PURGE = 2
    DESTROY = 3


Code = FactoryResetReason | FirmwareUpdateResult | EndOfLifeProcess | Sanitization
CodeT = TypeVar("CodeT", FactoryResetReason, FirmwareUpdateResult, EndOfLifeProcess, Sanitization)


class EndOfLifeStatus(IntEnum):
    """The steps carry the numbers of `EndOfLifeProcess`, so that the furthest is the largest."""

    UNKNOWN = -1
    IN_SERVICE = 0
    DECOMMISSIONED = 1
    RECYCLED = 2
    DISPOSED = 3


class LicenseStatus(IntEnum):
    UNKNOWN = -1
    NONE = 0
    VALID = 1
    REVOKED = 2
    EXPIRED = 3


class Verdict(IntEnum):
    UNKNOWN = -1
    FAIL = 0
    PASS = 1
    NOT_APPLICABLE = 2


class VerificationLevel(IntEnum):
    RPC = 0
    BLOOM = 1
    RECEIPTS = 2


class FailureCause(IntEnum):
    """Why a block could not be verified. The last two are alarms: what was told, or what is stored, is wrong."""

    UNKNOWN_FORM = 0
    NO_EVIDENCE = 1
    CONTRADICTED = 2
    WRONGLY_STORED = 3


ALARMS = (FailureCause.CONTRADICTED, FailureCause.WRONGLY_STORED)


class AuthorizationEndReason(IntEnum):
    REVOKED = 1
    REPLACED = 2
    TRANSFERRED = 3
    BURNED = 4


class EventFlag(IntFlag):
    AFTER_END_OF_LIFE = 1
    BEFORE_MINT = 2
    DUPLICATE_MINT = 4
    WRONG_SENDER = 8
    UNLICENSED = 16
    UNKNOWN_CODE = 32
    TIME_IN_FUTURE = 64


class EpcisAction(IntEnum):
    ADD = 1
    OBSERVE = 2
    DELETE = 3


class BizStep(IntEnum):
    """Named by the words of CBV 2.0, as they are served."""

    commissioning = 1
    inspecting = 2
    installing = 3
    removing = 4
    decommissioning = 5
    destroying = 6
    other = 7


class Disposition(IntEnum):
    """Named by the words of CBV 2.0, as they are served."""

    active = 1
    inactive = 2
    conformant = 3
    non_conformant = 4
    disposed = 5
    destroyed = 6


BIZ_STEPS: dict[str, BizStep] = {step.name: step for step in BizStep}
DISPOSITIONS: dict[str, Disposition] = {disposition.name: disposition for disposition in Disposition}

EpcisWords = tuple[EpcisAction | None, BizStep | None, Disposition | None]

NO_WORDS: EpcisWords = (None, None, None)
COMMISSIONED: EpcisWords = (EpcisAction.ADD, BizStep.commissioning, Disposition.active)
CONFORMED: EpcisWords = (EpcisAction.OBSERVE, BizStep.inspecting, Disposition.conformant)
NOT_CONFORMED: EpcisWords = (EpcisAction.OBSERVE, BizStep.inspecting, Disposition.non_conformant)
PROVISIONED: EpcisWords = (EpcisAction.OBSERVE, BizStep.other, Disposition.active)
OBSERVED: EpcisWords = (EpcisAction.OBSERVE, BizStep.other, None)
INSTALLED: EpcisWords = (EpcisAction.OBSERVE, BizStep.installing, Disposition.active)
REMOVED: EpcisWords = (EpcisAction.OBSERVE, BizStep.removing, Disposition.inactive)
BURNED: EpcisWords = (EpcisAction.DELETE, BizStep.decommissioning, Disposition.inactive)
END_OF_LIFE_WORDS: dict[int, EpcisWords] = {
    EndOfLifeProcess.DECOMMISSIONED: (EpcisAction.OBSERVE, BizStep.decommissioning, Disposition.inactive),
    EndOfLifeProcess.RECYCLED: (EpcisAction.OBSERVE, BizStep.other, Disposition.disposed),
    EndOfLifeProcess.DISPOSED: (EpcisAction.DELETE, BizStep.destroying, Disposition.destroyed),
}


def known_code(codes: type[Code], number: int) -> bool:
    """Tell whether a contract's number is in its list; -1 never is, it stands for all that are not."""
    return number >= 0 and number in codes._value2member_map_


def code_of(codes: type[CodeT], number: int) -> CodeT:
    """Return the member that a contract's number names, `UNKNOWN` for a number outside the list."""
    return codes(number if known_code(codes, number) else -1)


def version_key(text: str | None) -> str:
    """Return a key whose order by code point is semver 2.0.0 precedence; "" for what is no semver.

    A leading v and build metadata are ignored. Identifiers may have any length, and so may the key.
    """
    match = SEMVER.fullmatch(text or "")
    if match is None:
        return ""
    *core, prerelease = match.groups()
    identifiers = prerelease.split(".") if prerelease else []
    if not all(NUMBER.fullmatch(number) for number in core) or not all(map(_is_identifier, identifiers)):
        return ""
    # "~" sorts after "-": a release comes after its prereleases
    return "".join(map(_number_key, core)) + ("-" + "".join(map(_identifier_key, identifiers)) if identifiers else "~")


SEMVER = re.compile(
    r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?", re.ASCII
)
NUMBER = re.compile("0|[1-9][0-9]*", re.ASCII)


def _is_identifier(identifier: str) -> bool:
    return bool(identifier) and (not identifier.isdigit() or NUMBER.fullmatch(identifier) is not None)


def _identifier_key(identifier: str) -> str:
    # numbers come before words; "!" ends a word and sorts before all that a word may hold
    return f"0{_number_key(identifier)}" if identifier.isdigit() else f"1{identifier}!"


def _number_key(digits: str) -> str:
    """Write the length of the length, the length and the digits, so that a longer number sorts later."""
    length = str(len(digits))
    return f"{len(length)}{length}{digits}"


def imei_key(text: str) -> str:
    """Return the IMEI as it is compared: as it was written, without spaces and hyphens."""
    return text.replace(" ", "").replace("-", "")


def imei_valid(text: str) -> bool:
    """Tell whether the text is 15 digits, spaces and hyphens aside, of which the last is the Luhn digit."""
    key = imei_key(text)
    return len(key) == 15 and key.isascii() and key.isdigit() and luhn.is_valid(key)
