"""Licences: grants, revocations, and what a mint finds them to be worth."""

from indexer.rows import License
from schema.events import HardwareLicensed, ManufacturerLicensed
from schema.licenses import license_status
from schema.values import OPEN, saturate
from schema.vocabulary import LicenseStatus, Verdict

NOT_LICENSED = (LicenseStatus.NONE, LicenseStatus.REVOKED, LicenseStatus.EXPIRED)


def grant(version: License, position: int, block_time: int, fact: ManufacturerLicensed | HardwareLicensed) -> None:
    """Grants or renews: a later grant clears a revocation. An expiry of zero is never."""
    version.license_uri = fact.license_uri or None
    version.license_hash = fact.license_hash
    version.grant_position = position
    version.granted_at = block_time
    version.expires_at = saturate(fact.expires_at) if fact.expires_at else OPEN
    version.revocation_position = version.revoked_at = version.revocation_reason = None


def revoke(version: License, position: int, block_time: int, reason: str | None) -> None:
    version.revocation_position = position
    version.revoked_at = block_time
    version.revocation_reason = reason or None


def status_of(version: License, clock: int, *, history_is_whole: bool) -> LicenseStatus:
    """Returns what the licence is worth at `clock`, unix seconds."""
    return license_status(
        granted=version.grant_position is not None,
        revoked=version.revocation_position is not None,
        expires_at=version.expires_at,
        clock=clock,
        history_is_whole=history_is_whole,
    )


def hardware_verdict(status: LicenseStatus, holder: int | None, maker: int | None) -> Verdict:
    """Returns whether the mint's hardware licence was valid, and held by the manufacturer that minted."""
    if status in NOT_LICENSED:
        return Verdict.FAIL
    if holder is None or maker is None:
        return Verdict.UNKNOWN
    if holder != maker:
        return Verdict.FAIL
    return Verdict.PASS if status is LicenseStatus.VALID else Verdict.UNKNOWN
