"""Licenses: grants, revocations, and their status at a mint."""

from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import RowChanges
from schema.events import ZERO_ADDRESS, HardwareLicensed, ManufacturerLicensed
from schema.licenses import license_status
from schema.tables.rows import LicenseTerms
from schema.tables.values import OPEN, saturate, text_key
from schema.vocabulary import LicenseStatus, Verdict

NOT_LICENSED = (LicenseStatus.NONE, LicenseStatus.REVOKED, LicenseStatus.EXPIRED)


def license_manufacturer(changes: RowChanges, located: LocatedFact, fact: ManufacturerLicensed) -> int:
    """Applies the fact and returns the manufacturer."""
    manufacturer = changes.manufacturer(located, fact.manufacturer_id)
    version = changes.manufacturer_version.change(manufacturer, located.position)
    if fact.account is not None:
        version.account = None if fact.account == ZERO_ADDRESS else fact.account
    if fact.name is not None:
        version.name = fact.name or None
        version.name_key = text_key(fact.name)
    grant(version, located.position, located.block_time, fact)
    return manufacturer


def license_hardware(changes: RowChanges, located: LocatedFact, fact: HardwareLicensed) -> tuple[int, int | None]:
    """Applies the fact. Returns the license, and the manufacturer that holds it if an event named one."""
    license = changes.hardware_license(located, fact.hardware_license_id)
    maker = None if fact.manufacturer_id is None else changes.manufacturer(located, fact.manufacturer_id)
    version = changes.hardware_license_version.change(license, located.position)
    if maker is not None:
        version.manufacturer_id = maker
    if fact.model is not None:
        version.model = fact.model or None
        version.model_key = text_key(fact.model)
    if fact.hardware_revision is not None:
        version.hardware_revision = fact.hardware_revision or None
        version.hardware_revision_key = text_key(fact.hardware_revision)
    grant(version, located.position, located.block_time, fact)
    return license, version.manufacturer_id


def grant(version: LicenseTerms, position: int, block_time: int, fact: ManufacturerLicensed | HardwareLicensed) -> None:
    """Grants or renews a license: a grant clears an earlier revocation. An expiry of zero means never."""
    version.license_uri = fact.license_uri or None
    version.license_hash = fact.license_hash
    version.grant_position = position
    version.granted_at = block_time
    version.expires_at = saturate(fact.expires_at) if fact.expires_at else OPEN
    version.revocation_position = version.revoked_at = version.revocation_reason = None


def revoke(version: LicenseTerms, position: int, block_time: int, reason: str | None) -> None:
    version.revocation_position = position
    version.revoked_at = block_time
    version.revocation_reason = reason or None


def status_of(version: LicenseTerms, clock: int, *, history_is_whole: bool) -> LicenseStatus:
    """Returns the status of the license at `clock`, in unix seconds."""
    return license_status(
        granted=version.grant_position is not None,
        revoked=version.revocation_position is not None,
        expires_at=version.expires_at,
        clock=clock,
        history_is_whole=history_is_whole,
    )


def hardware_verdict(status: LicenseStatus, holder: int | None, maker: int | None) -> Verdict:
    """Returns whether the hardware license of a mint was valid and held by the minting manufacturer."""
    if status in NOT_LICENSED:
        return Verdict.FAIL
    if holder is None or maker is None:
        return Verdict.UNKNOWN
    if holder != maker:
        return Verdict.FAIL
    return Verdict.PASS if status is LicenseStatus.VALID else Verdict.UNKNOWN
