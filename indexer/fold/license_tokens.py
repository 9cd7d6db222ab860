"""Manufacturers and licenses that are NFTs: their holders, and the licenses of manufacturers by them."""

from typing import assert_never

from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import RowChanges
from schema.events import (
    ZERO_ADDRESS,
    LicenseMinted,
    LicenseRevoked,
    LicenseTokenFact,
    LicenseTransferred,
    ManufacturerAttributeSet,
    ManufacturerFact,
    ManufacturerMinted,
    ManufacturerTransferred,
)
from schema.tables.rows import LicenseVersion
from schema.tables.values import text_key

# Manufacturers


def apply_to_manufacturer(
    changes: RowChanges, located: LocatedFact, fact: ManufacturerFact, *, licensed_by_tokens: bool
) -> int:
    """Applies the fact and returns the manufacturer. `licensed_by_tokens`: its license is an NFT of its owner."""
    manufacturer = changes.manufacturer(located, fact.manufacturer_id)
    match fact:
        case ManufacturerMinted():
            if fact.name is not None:
                version = changes.manufacturer_version.change(manufacturer, located.position)
                version.name = fact.name or None
                version.name_key = text_key(fact.name)
        case ManufacturerTransferred():
            version = changes.manufacturer_version.change(manufacturer, located.position)
            version.account = holder_of(fact.recipient)
            if licensed_by_tokens:
                _license_manufacturer(changes, located, manufacturer)
        case ManufacturerAttributeSet():
            pass  # shown in the history only
        case _:
            assert_never(fact)
    return manufacturer


# Licenses


def apply_to_license(changes: RowChanges, located: LocatedFact, fact: LicenseTokenFact) -> tuple[int, int | None]:
    """Applies the fact. Returns the license, and the first manufacturer whose owner holds it or held it before."""
    license = changes.license(located, fact.license_id)
    version = changes.license_version.change(license, located.position)
    accounts = {version.holder}
    match fact:
        case LicenseMinted():
            version.holder = holder_of(fact.account)
            _grant(version, located)
        case LicenseTransferred():
            if fact.sender == ZERO_ADDRESS:
                _grant(version, located)
            if fact.recipient != ZERO_ADDRESS:
                version.holder = fact.recipient
            elif version.revocation_position is None:
                _revoke(version, located)  # a burn takes it from its last holder
        case LicenseRevoked():
            _revoke(version, located)
        case _:
            assert_never(fact)
    accounts.add(version.holder)
    concerned = sorted(
        id for id, held in changes.manufacturer_version.open.items() if held.account and held.account in accounts
    )
    for manufacturer in concerned:
        _license_manufacturer(changes, located, manufacturer)
    return license, concerned[0] if concerned else None


def _license_manufacturer(changes: RowChanges, located: LocatedFact, manufacturer: int) -> None:
    """Gives the manufacturer its owner's license: the newest in force, else the newest revoked one."""
    version = changes.manufacturer_version.change(manufacturer, located.position)
    held = [row for row in changes.license_version.open.values() if row.holder and row.holder == version.account]
    best = max(held, key=_worth, default=None)
    version.grant_position = None if best is None else best.grant_position
    version.granted_at = None if best is None else best.granted_at
    version.revocation_position = None if best is None else best.revocation_position
    version.revoked_at = None if best is None else best.revoked_at


def _worth(license: LicenseVersion) -> tuple[bool, int]:
    return license.revocation_position is None, license.grant_position or license.license_id


def _grant(version: LicenseVersion, located: LocatedFact) -> None:
    version.grant_position, version.granted_at = located.position, located.block_time
    version.revocation_position = version.revoked_at = None


def _revoke(version: LicenseVersion, located: LocatedFact) -> None:
    version.revocation_position, version.revoked_at = located.position, located.block_time


def holder_of(account: bytes) -> bytes | None:
    return None if account == ZERO_ADDRESS else account
