"""The enumerations of certificates, their EPCIS terms, and the comparison of firmware versions and IMEIs.

Databases contain the numbers: never renumber a member.
"""

import re
from enum import IntEnum, IntFlag
from typing import TypeVar

from stdnum import luhn

# Codes: numbers that contracts emit. UNKNOWN stands for every number that is not listed


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
    """How data were erased: the methods of NIST SP 800-88, the weakest first."""

    UNKNOWN = -1
    NONE = 0
    CLEAR = 1
    PURGE = 2
    DESTROY = 3


Code = FactoryResetReason | FirmwareUpdateResult | EndOfLifeProcess | Sanitization
CodeT = TypeVar("CodeT", FactoryResetReason, FirmwareUpdateResult, EndOfLifeProcess, Sanitization)


def known_code(codes: type[Code], number: int) -> bool:
    """Whether an enumeration lists a contract's number. -1 is never listed: it is the number of UNKNOWN."""
    return number >= 0 and number in codes._value2member_map_


def code_of(codes: type[CodeT], number: int) -> CodeT:
    """Returns the member with a contract's number, `UNKNOWN` if the number is not listed."""
    return codes(number if known_code(codes, number) else -1)


# Results of the fold, of verification and of the audit


class EndOfLifeStatus(IntEnum):
    """The furthest step of a device. A step has the number of its `EndOfLifeProcess`; a later step is larger."""

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
    """How far an event is verified: by a provider's response, the header's bloom, or rebuilt receipts."""

    RPC = 0
    BLOOM = 1
    RECEIPTS = 2


class FailureCause(IntEnum):
    """Why a block could not be verified. The last two are alarms: a provider's response, or a stored row, is wrong."""

    UNKNOWN_FORM = 0
    NO_EVIDENCE = 1
    CONTRADICTED = 2
    WRONGLY_STORED = 3


ALARMS = (FailureCause.CONTRADICTED, FailureCause.WRONGLY_STORED)


class AuthorizationEndReason(IntEnum):
    """What ended a grant. Expiry does not: no event reports it."""

    REVOKED = 1
    REPLACED = 2
    TRANSFERRED = 3
    BURNED = 4


class EventFlag(IntFlag):
    """What contradicts an event; see docs/how-it-works/meaning.md."""

    AFTER_END_OF_LIFE = 1
    BEFORE_MINT = 2
    DUPLICATE_MINT = 4
    WRONG_SENDER = 8
    UNLICENSED = 16
    UNKNOWN_CODE = 32
    TIME_IN_FUTURE = 64
    UNKNOWN_DEVICE = 128


# EPCIS 2.0. Which fact has which terms: `epcis` of the classes in schema/events.py


class EpcisAction(IntEnum):
    ADD = 1
    OBSERVE = 2
    DELETE = 3


class BizStep(IntEnum):
    """Business steps of CBV 2.0, named as the standard and the API write them."""

    commissioning = 1
    inspecting = 2
    installing = 3
    removing = 4
    decommissioning = 5
    destroying = 6
    other = 7


class Disposition(IntEnum):
    """Dispositions of CBV 2.0, named as the standard and the API write them."""

    active = 1
    inactive = 2
    conformant = 3
    non_conformant = 4
    disposed = 5
    destroyed = 6


EpcisWords = tuple[EpcisAction | None, BizStep | None, Disposition | None]
"""Action, business step and disposition; None if EPCIS has no term."""

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


# Firmware versions and IMEIs


def version_key(text: str | None) -> str:
    """Returns a key whose order by code point is the precedence of semver 2.0.0; "" if the text is not a semver.

    A leading v and build metadata are ignored. The length of the key is not limited, as that of identifiers is not.
    """
    match = SEMVER.fullmatch(text or "")
    if match is None:
        return ""
    *core, prerelease = match.groups()
    identifiers = prerelease.split(".") if prerelease else []
    if not all(NUMBER.fullmatch(number) for number in core) or not all(map(_is_identifier, identifiers)):
        return ""
    # "~" sorts after "-", as a release follows its prereleases
    return "".join(map(_number_key, core)) + ("-" + "".join(map(_identifier_key, identifiers)) if identifiers else "~")


SEMVER = re.compile(
    r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?", re.ASCII
)
NUMBER = re.compile("0|[1-9][0-9]*", re.ASCII)


def _is_identifier(identifier: str) -> bool:
    return bool(identifier) and (not identifier.isdigit() or NUMBER.fullmatch(identifier) is not None)


def _identifier_key(identifier: str) -> str:
    # numbers sort before words; "!" ends a word and sorts before every character of a word
    return f"0{_number_key(identifier)}" if identifier.isdigit() else f"1{identifier}!"


def _number_key(digits: str) -> str:
    """Returns the length of the length, the length and the digits: a longer number sorts later."""
    length = str(len(digits))
    return f"{len(length)}{length}{digits}"


def imei_key(text: str) -> str:
    """Returns an IMEI without spaces and hyphens, to compare it."""
    return text.replace(" ", "").replace("-", "")


def imei_valid(text: str) -> bool:
    """Whether the text has 15 digits, of which the last is the Luhn digit. Spaces and hyphens are ignored."""
    key = imei_key(text)
    return len(key) == 15 and key.isascii() and key.isdigit() and luhn.is_valid(key)
