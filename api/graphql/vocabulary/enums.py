"""The enums of the API: what each word means, in the order it is told."""

from typing import Any

import strawberry
from strawberry.types.enum import EnumValue

from api.queries.recorded import Finality as Finality
from schema.events import Kind, TestKind
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


def _tell(enum: Any, description: str, meanings: dict[Any, str], name: str | None = None) -> None:
    """Make an enum a GraphQL enum that describes each of its values."""
    if set(meanings) != set(enum):
        raise TypeError(f"{enum.__name__}: meanings and members differ by {set(meanings) ^ set(enum)}")
    strawberry.enum(enum, name=name, description=description)
    enum.__strawberry_definition__.values = [
        EnumValue(member.name, member.value, description=meaning) for member, meaning in meanings.items()
    ]


_tell(
    Kind,
    "What an event recorded: one fact, one type of event.",
    {
        Kind.DEVICE_MINTED: "A device's certificate was minted.",
        Kind.DEVICE_TRANSFERRED: "The certificate changed hands; mints and burns too.",
        Kind.DEVICE_ATTRIBUTE_SET: "An attribute was corrected or set.",
        Kind.DEVICE_ADDRESS_RESET: "The device took another address.",
        Kind.TEST_RECORDED: "A factory test or inspection was recorded.",
        Kind.DEVICE_PROVISIONED: "The device was provisioned.",
        Kind.USER_AUTHORIZED: "A user may access and manage the device.",
        Kind.USER_REVOKED: "A user's grant was revoked.",
        Kind.FACTORY_RESET: "The device was reset to its factory state.",
        Kind.FIRMWARE_UPDATED: "An update over the air was tried.",
        Kind.END_OF_LIFE_RECORDED: "A step of the end of life was recorded.",
        Kind.MANUFACTURER_LICENSED: "A manufacturer was granted a Manufacturing License.",
        Kind.MANUFACTURER_LICENSE_REVOKED: "A Manufacturing License was revoked.",
        Kind.HARDWARE_LICENSED: "A Hardware Device License was granted.",
        Kind.HARDWARE_LICENSE_REVOKED: "A Hardware Device License was revoked.",
        Kind.DEVICE_CLAIMED: "An owner took the device into use.",
        Kind.DEVICE_UNCLAIMED: "The claim ended: the device went back, or an administrator cleared it.",
        Kind.DEVICE_PAIRED: "The device was paired with a vehicle.",
        Kind.DEVICE_UNPAIRED: "The pairing ended.",
        Kind.DEVICE_BURNED: "The certificate is gone; a transfer to zero comes with it.",
        Kind.BENEFICIARY_SET: "Another than the owner has the device's proceeds, or the owner again.",
        Kind.MANUFACTURER_MINTED: "A manufacturer's own NFT was minted.",
        Kind.MANUFACTURER_TRANSFERRED: "A manufacturer's own NFT changed hands; mints and burns too.",
        Kind.MANUFACTURER_ATTRIBUTE_SET: "An attribute of a manufacturer was set.",
        Kind.LICENSE_MINTED: "A licence that is an NFT was minted.",
        Kind.LICENSE_TRANSFERRED: "A licence that is an NFT changed hands; mints and burns too.",
        Kind.LICENSE_REVOKED: "A licence that is an NFT was revoked.",
        Kind.VEHICLE_MINTED: "A vehicle's NFT was minted.",
        Kind.VEHICLE_TRANSFERRED: "A vehicle's NFT changed hands; mints and burns too.",
        Kind.VEHICLE_BURNED: "A vehicle's NFT is gone.",
        Kind.UNDECODABLE: "A rule of the profile claims the log, and its bytes do not fit. Kept raw.",
        Kind.UNMAPPED: "No rule of the profile claims the log. Kept raw; listed only when this kind is asked for.",
    },
    name="LifecycleEventKind",
)
_tell(
    TestKind,
    "A kind of factory test.",
    {
        TestKind.IN_CIRCUIT: "In-circuit testing (ICT).",
        TestKind.MECHANICAL: "Mechanical testing.",
        TestKind.QUALITY: "Quality inspection.",
    },
)
_tell(
    EpcisAction,
    "EPCIS 2.0: what an event does to the life of the device.",
    {
        EpcisAction.ADD: "It begins.",
        EpcisAction.OBSERVE: "It goes on.",
        EpcisAction.DELETE: "It ends.",
    },
)
_tell(
    EventFlag,
    "Why an event contradicts what was recorded before it.",
    {
        EventFlag.AFTER_END_OF_LIFE: "Not possible for a device at or past its end of life.",
        EventFlag.BEFORE_MINT: "The device's mint had not been seen.",
        EventFlag.DUPLICATE_MINT: "The device was minted twice, without a burn between.",
        EventFlag.WRONG_SENDER: "Transfer by another than the owner.",
        EventFlag.UNLICENSED: "The minting manufacturer or hardware licence was not valid.",
        EventFlag.UNKNOWN_CODE: "A number outside its list.",
        EventFlag.TIME_IN_FUTURE: "The emitter's time lies after the block's.",
    },
)
_tell(
    VerificationLevel,
    "How well it is proved that the log is in the chain.",
    {
        VerificationLevel.RPC: "A provider said so.",
        VerificationLevel.BLOOM: "The header's bloom agrees.",
        VerificationLevel.RECEIPTS: "All receipts of the block were rebuilt to the header's root.",
    },
)
_tell(
    Finality,
    "How far a block is from being taken back by a reorg.",
    {
        Finality.UNSAFE: "A reorg may still take it back.",
        Finality.SAFE: "At or below the chain's safe block: a reorg is unlikely.",
        Finality.FINALIZED: "At or below the chain's finalized block: no reorg takes it back.",
        Finality.ORPHANED: "Taken back by a reorg.",
    },
)
_tell(
    FactoryResetReason,
    "Why a device was reset.",
    {
        FactoryResetReason.UNSPECIFIED: "0: no reason was stated.",
        FactoryResetReason.USER_REQUEST: "1: a user asked for it.",
        FactoryResetReason.OWNERSHIP_CHANGE: "2: the device changes hands.",
        FactoryResetReason.SERVICE: "3: service or repair.",
        FactoryResetReason.SECURITY: "4: a matter of security.",
        FactoryResetReason.UNKNOWN: "A number outside this list; it is in `reasonCode`.",
    },
)
_tell(
    FirmwareUpdateResult,
    "How an update ended.",
    {
        FirmwareUpdateResult.SUCCEEDED: "0: the new version runs.",
        FirmwareUpdateResult.FAILED: "1: it was not installed.",
        FirmwareUpdateResult.ROLLED_BACK: "2: it was installed and taken back.",
        FirmwareUpdateResult.UNKNOWN: "A number outside this list; it is in `resultCode`.",
    },
)
_tell(
    EndOfLifeProcess,
    "A step of the end of life.",
    {
        EndOfLifeProcess.DECOMMISSIONED: "1: taken out of service.",
        EndOfLifeProcess.RECYCLED: "2: taken apart for its materials.",
        EndOfLifeProcess.DISPOSED: "3: destroyed or discarded.",
        EndOfLifeProcess.UNKNOWN: "A number outside this list; it is in `processCode`.",
    },
)
_tell(
    Sanitization,
    "What was done to the data on a device: NIST SP 800-88 methods, weakest first.",
    {
        Sanitization.NONE: "0: stated that nothing was done.",
        Sanitization.CLEAR: "1: overwritten or reset by the device's own commands.",
        Sanitization.PURGE: "2: beyond recovery in a laboratory.",
        Sanitization.DESTROY: "3: the storage itself was destroyed.",
        Sanitization.UNKNOWN: "A number outside this list; it is in `sanitizationCode` of the step.",
    },
)
_tell(
    EndOfLifeStatus,
    "How far a device is in its end of life; a status never goes back.",
    {
        EndOfLifeStatus.IN_SERVICE: "No step was recorded.",
        EndOfLifeStatus.DECOMMISSIONED: "Taken out of service, or its certificate burned.",
        EndOfLifeStatus.RECYCLED: "Taken apart for its materials.",
        EndOfLifeStatus.DISPOSED: "Destroyed or discarded.",
        EndOfLifeStatus.UNKNOWN: "Only steps of unknown codes were recorded.",
    },
)
_tell(
    LicenseStatus,
    "REVOKED goes before EXPIRED. Expired from the second `expiresAt` on.",
    {
        LicenseStatus.VALID: "Granted, not revoked, not expired.",
        LicenseStatus.REVOKED: "Taken back by the registrar.",
        LicenseStatus.EXPIRED: "Its time is over.",
        LicenseStatus.NONE: "None was ever granted.",
        LicenseStatus.UNKNOWN: "The chain does not carry it, or indexing began too late to know.",
    },
)
_tell(
    Verdict,
    "The answer to one question of provenance.",
    {
        Verdict.PASS: "The evidence says yes.",
        Verdict.FAIL: "The evidence says no.",
        Verdict.UNKNOWN: "Evidence is missing or not on chain. Never read it as PASS.",
        Verdict.NOT_APPLICABLE: "The question does not arise yet, such as disposal of a device in service.",
    },
)
_tell(
    AuthorizationEndReason,
    "What ended a grant.",
    {
        AuthorizationEndReason.REVOKED: "It was revoked.",
        AuthorizationEndReason.REPLACED: "A new grant to the same user by the same source took its place.",
        AuthorizationEndReason.TRANSFERRED: "The device changed hands, which voids grants of this source.",
        AuthorizationEndReason.BURNED: "The device's certificate was burned.",
    },
)
