"""The status of a license at an instant. The fold computes it at a mint, the API at the clock of a response."""

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
from schema.profile.reader import Reader
from schema.vocabulary import LicenseStatus


def license_status(
    *, granted: bool, revoked: bool, expires_at: int, clock: int, history_is_whole: bool
) -> LicenseStatus:
    """Returns the status at `clock`, in unix seconds.

    REVOKED takes precedence over EXPIRED. A license is expired from the second `expires_at` on. If the history is
    incomplete, the status is UNKNOWN instead of VALID (a revocation may be missing) or NONE (a grant may be).
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
    """Whether manufacturers are licensed by tokens that their owners hold, not by grants to their numbers."""
    return reader.has_rule_for(LicenseTransferred)


def manufacturer_licensing_is_whole(
    reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes
) -> bool:
    """Whether the license history of a contract's manufacturers is complete."""
    if not licensed_by_tokens(reader):
        return history_is_whole(reader, watched_from_first_block, contract, *MANUFACTURER_LICENSING)
    return history_is_whole(reader, watched_from_first_block, contract, ManufacturerTransferred) and all(
        history_is_whole(reader, watched_from_first_block, license_contract, *TOKEN_LICENSING)
        for license_contract in reader.contracts_of(LicenseTransferred)
    )


def hardware_licensing_is_whole(reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes) -> bool:
    """Whether the history of a contract's hardware licenses is complete."""
    return history_is_whole(reader, watched_from_first_block, contract, *HARDWARE_LICENSING)


def history_is_whole(
    reader: Reader, watched_from_first_block: Collection[bytes], contract: bytes, *fact_types: type[Fact]
) -> bool:
    """Whether all facts of these types about a contract's ids are indexed, so that their absence is meaningful.

    They are if the profile has a rule for each type, and every contract that can emit it is watched from its start.
    """
    emitters_by_type = [reader.emitters_of(fact_type, contract) for fact_type in fact_types]
    return all(
        emitters and all(emitter in watched_from_first_block for emitter in emitters) for emitters in emitters_by_type
    )
