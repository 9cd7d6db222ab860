"""What a licence is worth at an instant. Pure: the fold asks at the mint, the API at the answer's clock."""

from collections.abc import Collection

from schema.events import (
    Fact,
    HardwareLicensed,
    HardwareLicenseRevoked,
    LicenseRevoked,
    LicenseTransferred,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    ManufacturerTransferred,
)
from schema.profile.model import Reader
from schema.vocabulary import LicenseStatus


def license_status(
    *, granted: bool, revoked: bool, expires_at: int, clock: int, history_is_whole: bool
) -> LicenseStatus:
    """Returns the status at `clock` (unix seconds) by what was recorded.

    REVOKED goes before EXPIRED; expired from the second `expires_at` on. VALID rests on the absence of a revocation and
    NONE on that of a grant: both are UNKNOWN unless the history is whole.
    """
    if revoked:
        return LicenseStatus.REVOKED
    if granted and expires_at <= clock:
        return LicenseStatus.EXPIRED
    if not history_is_whole:
        return LicenseStatus.UNKNOWN
    return LicenseStatus.VALID if granted else LicenseStatus.NONE


MANUFACTURER_LICENSING = (ManufacturerLicensed, ManufacturerLicenseRevoked)
TOKEN_LICENSING = (LicenseTransferred, LicenseRevoked)
HARDWARE_LICENSING = (HardwareLicensed, HardwareLicenseRevoked)


def licensed_by_tokens(reader: Reader) -> bool:
    """Tells whether a manufacturer's licence is an NFT that its owner holds, rather than a grant by its number."""
    return reader.has_rule_for(LicenseTransferred)


def manufacturer_licensing_is_whole(
    reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes
) -> bool:
    """Tells whether the absence of a licence, or of its revocation, of a contract's manufacturers means something."""
    if not licensed_by_tokens(reader):
        return history_is_whole(reader, watched_from_first_block, contract, *MANUFACTURER_LICENSING)
    return history_is_whole(reader, watched_from_first_block, contract, ManufacturerTransferred) and all(
        history_is_whole(reader, watched_from_first_block, license_contract, *TOKEN_LICENSING)
        for license_contract in reader.contracts_of(LicenseTransferred)
    )


def hardware_licensing_is_whole(reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes) -> bool:
    """Tells whether the absence of a hardware licence, or of its revocation, of a contract means something."""
    return history_is_whole(reader, watched_from_first_block, contract, *HARDWARE_LICENSING)


def history_is_whole(
    reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes, *fact_types: type[Fact]
) -> bool:
    """Tells whether the absence of such facts about a contract's ids means something.

    It does where the profile has a rule for each, and each contract that may tell it is watched from its first block.
    """
    emitters = [reader.emitters_of(fact_type, contract) for fact_type in fact_types]
    return all(found and all(emitter in watched_from_first_block for emitter in found) for found in emitters)
