"""Manufacturers, licences and vehicles that are NFTs: who holds them, and what a licence is worth to a manufacturer."""

from typing import assert_never

from indexer.fold.row_changes import Ledger, Placed
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
    VehicleFact,
    VehicleTransferred,
)
from schema.tables.rows import LicenseVersion
from schema.tables.values import text_key

# Manufacturers


def apply_to_manufacturer(ledger: Ledger, at: Placed, fact: ManufacturerFact, *, licensed_by_tokens: bool) -> int:
    """Applies the fact and returns the manufacturer. `licensed_by_tokens`: its licence is what its owner holds."""
    manufacturer = ledger.manufacturer(at, fact.manufacturer_id)
    match fact:
        case ManufacturerMinted():
            if fact.name is not None:
                version = ledger.manufacturer_versions.change(manufacturer, at.position)
                version.name = fact.name or None
                version.name_key = text_key(fact.name)
        case ManufacturerTransferred():
            version = ledger.manufacturer_versions.change(manufacturer, at.position)
            version.account = _holder(fact.recipient)
            if licensed_by_tokens:
                _license_manufacturer(ledger, at, manufacturer)
        case ManufacturerAttributeSet():
            pass  # kept in the history only
        case _:
            assert_never(fact)
    return manufacturer


# Licences


def apply_to_license(ledger: Ledger, at: Placed, fact: LicenseTokenFact) -> tuple[int, int | None]:
    """Applies the fact; returns the licence, and the first manufacturer whose owner holds it or did till now."""
    license = ledger.license(at, fact.license_id)
    version = ledger.license_versions.change(license, at.position)
    accounts = {version.holder}
    match fact:
        case LicenseMinted():
            version.holder = _holder(fact.account)
            _grant(version, at)
        case LicenseTransferred():
            if fact.sender == ZERO_ADDRESS:
                _grant(version, at)
            if fact.recipient != ZERO_ADDRESS:
                version.holder = fact.recipient
            elif version.revocation_position is None:
                _revoke(version, at)  # who held it last has lost it
        case LicenseRevoked():
            _revoke(version, at)
        case _:
            assert_never(fact)
    accounts.add(version.holder)
    concerned = sorted(
        id for id, held in ledger.manufacturer_versions.open.items() if held.account and held.account in accounts
    )
    for manufacturer in concerned:
        _license_manufacturer(ledger, at, manufacturer)
    return license, concerned[0] if concerned else None


def _license_manufacturer(ledger: Ledger, at: Placed, manufacturer: int) -> None:
    """Gives the manufacturer the licence that its owner holds: one in force before one revoked, the newest of each."""
    version = ledger.manufacturer_versions.change(manufacturer, at.position)
    held = [row for row in ledger.license_versions.open.values() if row.holder and row.holder == version.account]
    best = max(held, key=_worth, default=None)
    version.grant_position = None if best is None else best.grant_position
    version.granted_at = None if best is None else best.granted_at
    version.revocation_position = None if best is None else best.revocation_position
    version.revoked_at = None if best is None else best.revoked_at


def _worth(license: LicenseVersion) -> tuple[bool, int]:
    return license.revocation_position is None, license.grant_position or license.license_id


def _grant(version: LicenseVersion, at: Placed) -> None:
    version.grant_position, version.granted_at = at.position, at.block_time
    version.revocation_position = version.revoked_at = None


def _revoke(version: LicenseVersion, at: Placed) -> None:
    version.revocation_position, version.revoked_at = at.position, at.block_time


# Vehicles


def apply_to_vehicle(ledger: Ledger, at: Placed, fact: VehicleFact) -> int:
    """Applies the fact and returns the vehicle. Ownership comes from the transfer alone."""
    vehicle = ledger.vehicle(at, fact.vehicle_id)
    if isinstance(fact, VehicleTransferred):
        ledger.vehicle_versions.change(vehicle, at.position).owner = _holder(fact.recipient)
    return vehicle


def _holder(account: bytes) -> bytes | None:
    return None if account == ZERO_ADDRESS else account
