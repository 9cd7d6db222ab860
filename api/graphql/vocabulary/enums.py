"""The enums of the API and the descriptions of their values, in the order of the SDL."""

from inspect import getdoc
from operator import itemgetter
from typing import Any

import strawberry
from strawberry.types.enum import EnumValue

from api.queries.recorded import Finality as Finality
from schema.events import KIND_OF, Fact, Kind, TestKind
from schema.vocabulary import (
    AuthorizationEndReason,
    EndOfLifeProcess,
    EndOfLifeStatus,
    EpcisAction,
    EventFlag,
    FactoryResetReason,
    FirmwareUpdateResult,
    LicenseStatus,
    Sanitization,
    Verdict,
    VerificationLevel,
)


def _describe(enum: Any, description: str, meanings: dict[Any, str], name: str | None = None) -> None:
    """Makes an enum a GraphQL enum and describes each of its values."""
    if set(meanings) != set(enum):
        raise TypeError(f"{enum.__name__}: meanings and members differ by {set(meanings) ^ set(enum)}")
    strawberry.enum(enum, name=name, description=description)
    enum.__strawberry_definition__.values = [
        EnumValue(member.name, member.value, description=meaning) for member, meaning in meanings.items()
    ]


def _first_paragraph(fact: type[Fact]) -> str:
    """Returns what a fact says that happened."""
    return " ".join((getdoc(fact) or "").split("\n\n")[0].split())


_describe(
    Kind,
    "The kind of fact that an event recorded. Each kind has one type of event.",
    {
        **{kind: _first_paragraph(fact) for fact, kind in sorted(KIND_OF.items(), key=itemgetter(1))},
        Kind.UNDECODABLE: "A rule of the profile matches the log, but the bytes cannot be decoded. `raw` has the log.",
        Kind.UNMAPPED: (
            "No rule of the profile matches the log. `raw` has the log. Lists contain such events only "
            "if the filter names this kind."
        ),
    },
    name="LifecycleEventKind",
)
_describe(
    TestKind,
    "A kind of factory test.",
    {
        TestKind.IN_CIRCUIT: "An in-circuit test (ICT).",
        TestKind.MECHANICAL: "A mechanical test.",
        TestKind.QUALITY: "A quality inspection.",
    },
)
_describe(
    EpcisAction,
    "The EPCIS 2.0 action of an event; see docs/how-it-works/meaning.md.",
    {
        EpcisAction.ADD: "The life of the device begins.",
        EpcisAction.OBSERVE: "The life of the device continues.",
        EpcisAction.DELETE: "The life of the device ends.",
    },
)
_describe(
    EventFlag,
    "A contradiction between an event and what was recorded before it; see docs/how-it-works/meaning.md.",
    {
        EventFlag.AFTER_END_OF_LIFE: "The event is not possible for a device at or past its end of life.",
        EventFlag.BEFORE_MINT: "The event comes before the mint of the device.",
        EventFlag.DUPLICATE_MINT: "The device was minted twice without a burn in between. Both mints have this flag.",
        EventFlag.WRONG_SENDER: "The transfer is not from the owner.",
        EventFlag.UNLICENSED: "The license of the manufacturer, or the hardware license, was not valid at the mint.",
        EventFlag.UNKNOWN_CODE: "The event contains a number outside its enumeration.",
        EventFlag.TIME_IN_FUTURE: "The time that the emitter states is later than the block time.",
        EventFlag.UNKNOWN_DEVICE: "The log names its device by an address that no device had. `device` is null.",
    },
)
_describe(
    VerificationLevel,
    "How well it is verified that the chain contains the log, weakest first.",
    {
        VerificationLevel.RPC: "A provider returned the log.",
        VerificationLevel.BLOOM: "The bloom filter of the block header is consistent with the logs.",
        VerificationLevel.RECEIPTS: (
            "All receipts of the block were rebuilt, and their root equals the receipts root of the header."
        ),
    },
)
_describe(
    Finality,
    "How likely a reorg is to remove a block.",
    {
        Finality.UNSAFE: "A reorg may still remove the block.",
        Finality.SAFE: "The block is at or below the safe block of the chain: a reorg is unlikely to remove it.",
        Finality.FINALIZED: "The block is at or below the finalized block of the chain: no reorg removes it.",
        Finality.ORPHANED: "A reorg removed the block.",
    },
)
_describe(
    FactoryResetReason,
    "The reason for a factory reset.",
    {
        FactoryResetReason.UNSPECIFIED: "0: no reason is stated.",
        FactoryResetReason.USER_REQUEST: "1: a user requested it.",
        FactoryResetReason.OWNERSHIP_CHANGE: "2: the device changes its owner.",
        FactoryResetReason.SERVICE: "3: service or repair.",
        FactoryResetReason.SECURITY: "4: security.",
        FactoryResetReason.UNKNOWN: "A number outside this list; `reasonCode` has the number.",
    },
)
_describe(
    FirmwareUpdateResult,
    "The result of a firmware update.",
    {
        FirmwareUpdateResult.SUCCEEDED: "0: the new version runs.",
        FirmwareUpdateResult.FAILED: "1: the new version was not installed.",
        FirmwareUpdateResult.ROLLED_BACK: "2: the new version was installed and rolled back.",
        FirmwareUpdateResult.UNKNOWN: "A number outside this list; `resultCode` has the number.",
    },
)
_describe(
    EndOfLifeProcess,
    "A step of the end of life of a device.",
    {
        EndOfLifeProcess.DECOMMISSIONED: "1: the device was taken out of service.",
        EndOfLifeProcess.RECYCLED: "2: the device was taken apart for its materials.",
        EndOfLifeProcess.DISPOSED: "3: the device was destroyed or discarded.",
        EndOfLifeProcess.UNKNOWN: "A number outside this list; `processCode` has the number.",
    },
)
_describe(
    Sanitization,
    "The sanitization of the data on a device: methods of NIST SP 800-88, weakest first.",
    {
        Sanitization.NONE: "0: the event states that nothing was done.",
        Sanitization.CLEAR: "1: the data was overwritten or reset by the commands of the device.",
        Sanitization.PURGE: "2: the data cannot be recovered in a laboratory.",
        Sanitization.DESTROY: "3: the storage was destroyed.",
        Sanitization.UNKNOWN: "A number outside this list; `sanitizationCode` of the step has the number.",
    },
)
_describe(
    EndOfLifeStatus,
    "The status of the end of life of a device. It never goes back to an earlier step.",
    {
        EndOfLifeStatus.IN_SERVICE: "No step is recorded.",
        EndOfLifeStatus.DECOMMISSIONED: "The device was taken out of service, or its certificate was burned.",
        EndOfLifeStatus.RECYCLED: "The device was taken apart for its materials.",
        EndOfLifeStatus.DISPOSED: "The device was destroyed or discarded.",
        EndOfLifeStatus.UNKNOWN: "Only steps with unknown codes are recorded.",
    },
)
_describe(
    LicenseStatus,
    "The status of a license at an instant. REVOKED takes precedence over EXPIRED. A license is "
    "expired from the second `expiresAt` on.",
    {
        LicenseStatus.VALID: "The license is granted, not revoked and not expired.",
        LicenseStatus.REVOKED: "The registrar revoked the license.",
        LicenseStatus.EXPIRED: "The license expired.",
        LicenseStatus.NONE: "No license was ever granted.",
        LicenseStatus.UNKNOWN: (
            "The contract does not record licenses, or indexing began after the first block of the contract."
        ),
    },
)
_describe(
    Verdict,
    "The answer to one question of provenance.",
    {
        Verdict.PASS: "The evidence shows that the answer is yes.",
        Verdict.FAIL: "The evidence shows that the answer is no.",
        Verdict.UNKNOWN: "Evidence is missing or not on chain. Never read it as PASS.",
        Verdict.NOT_APPLICABLE: "The question does not arise, such as disposal for a device in service.",
    },
)
_describe(
    AuthorizationEndReason,
    "What ended a grant.",
    {
        AuthorizationEndReason.REVOKED: "The grant was revoked.",
        AuthorizationEndReason.REPLACED: "A new grant to the same user by the same source replaced it.",
        AuthorizationEndReason.TRANSFERRED: "The token was transferred, which ends grants of this source on it.",
        AuthorizationEndReason.BURNED: "The token was burned.",
    },
)
