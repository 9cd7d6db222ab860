"""Manufacturers and hardware licences: one row each, as it stands at a point, and the lists of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, case, false, or_, select, true

from api.queries.sql import tables
from api.queries.sql.filters import (
    UINT256_MAX,
    Comparable,
    Computed,
    Condition,
    Exact,
    Fields,
    Number,
    Related,
    Text,
    negate,
)
from api.queries.sql.keys import Key, rows_by_key
from api.queries.sql.ordered_joins import Steps
from api.queries.sql.pages import Listing, Order, Part, always, by_text
from api.queries.sql.scope import Scope
from schema.vocabulary import LicenseStatus

manufacturer = tables.manufacturer
manufacturer_version = tables.manufacturer_version
license = tables.hardware_license
license_version = tables.hardware_license_version

_SPAN = ("chain_id", "valid_from", "valid_to")


def manufacturers(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the manufacturer of each key as it stands at its point; None where it is not yet named."""
    return rows_by_key(connection, _manufacturers, keys)


def hardware_licenses(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the hardware licence of each key as it stands at its point; None where it is not yet named."""
    return rows_by_key(connection, _hardware_licenses, keys)


def _manufacturers(scope: Scope) -> Select[Any]:
    return select_manufacturers(scope).where(manufacturer.c.id == scope.id)


def _hardware_licenses(scope: Scope) -> Select[Any]:
    return select_hardware_licenses(scope).where(license.c.id == scope.id)


def select_manufacturers(scope: Scope) -> Select[Any]:
    """Returns the SELECT of all that is told of a manufacturer, without saying which."""
    return _select(scope, manufacturer, manufacturer_version, manufacturer_version.c.manufacturer_id)


def select_hardware_licenses(scope: Scope) -> Select[Any]:
    """Returns the SELECT of all that is told of a hardware licence, without saying which."""
    return _select(scope, license, license_version, license_version.c.hardware_license_id)


def _select(scope: Scope, things: Table, versions: Table, thing_id: ColumnElement[int]) -> Select[Any]:
    told = (c for c in versions.c if c.name not in _SPAN and not c.name.endswith("_key") and c is not thing_id)
    return select(*things.c, *told).select_from(
        Steps(scope.keys, things, things.c.chain_id == scope.chain_id).step(
            versions, and_(thing_id == things.c.id, scope.holds(versions))
        )
    )


# What a reader may ask


def _status(versions: Table, things: Table) -> Any:
    return lambda scope, wish: _StatusOf(scope, versions, things, wish[1]).meets(scope, wish[0])


@dataclass(frozen=True)
class _StatusOf(Comparable):
    """The status of a licence by the scope's clock; `whole` are the (chain id, contract) of whole histories."""

    scope: Scope
    versions: Table
    things: Table
    whole: frozenset[tuple[int, bytes]]

    def equals(self, value: LicenseStatus) -> Condition:
        return self._number() == int(value)

    def present(self) -> Condition:
        return true()

    def _number(self) -> ColumnElement[int]:
        version = self.versions.c
        granted = version.grant_position.is_not(None)
        known = or_(
            false(),
            *(and_(self.things.c.chain_id == chain, self.things.c.contract == at) for chain, at in sorted(self.whole)),
        )
        return case(
            (version.revocation_position.is_not(None), int(LicenseStatus.REVOKED)),
            (and_(granted, version.expires_at <= self.scope.clock), int(LicenseStatus.EXPIRED)),
            (negate(known), int(LicenseStatus.UNKNOWN)),
            (granted, int(LicenseStatus.VALID)),
            else_=int(LicenseStatus.NONE),
        )


MANUFACTURER_FIELDS: Fields = {
    "token_id": Number(manufacturer.c.token_id, most=UINT256_MAX),
    "name": Text(manufacturer_version.c.name, manufacturer_version.c.name_key),
    "owner": Exact(manufacturer_version.c.account),
    "license_status": Computed(_status(manufacturer_version, manufacturer)),
    "contract": Exact(manufacturer.c.contract),
    "chain_id": Number(manufacturer.c.chain_id),
}
HARDWARE_LICENSE_FIELDS: Fields = {
    "hardware_license_id": Number(license.c.token_id, most=UINT256_MAX),
    "manufacturer_id": Related(
        license_version.c.manufacturer_id,
        lambda scope: select(manufacturer.c.id).where(manufacturer.c.chain_id == scope.chain_id),
        Number(manufacturer.c.token_id, most=UINT256_MAX),
    ),
    "model": Text(license_version.c.model, license_version.c.model_key),
    "hardware_revision": Text(license_version.c.hardware_revision, license_version.c.hardware_revision_key),
    "license_status": Computed(_status(license_version, license)),
    "contract": Exact(license.c.contract),
    "chain_id": Number(license.c.chain_id),
}


# Lists

MANUFACTURER_PARTS = (
    Part(manufacturer_version, manufacturer_version.c.manufacturer_id, lambda scope: scope.holds(manufacturer_version)),
    Part(manufacturer, manufacturer.c.id, lambda scope: _named(scope, manufacturer)),
)
LICENSE_PARTS = (
    Part(license_version, license_version.c.hardware_license_id, lambda scope: scope.holds(license_version)),
    Part(license, license.c.id, lambda scope: _named(scope, license)),
)


def _named(scope: Scope, things: Table) -> Condition:
    return and_(things.c.chain_id == scope.chain_id, things.c.id <= scope.position)


def _of_manufacturer(scope: Scope) -> Condition:
    return license_version.c.manufacturer_id == scope.id


MANUFACTURERS = Listing(
    "manufacturers", MANUFACTURER_PARTS, always, select_manufacturers, manufacturer.c.id, MANUFACTURER_FIELDS
)
HARDWARE_LICENSES = Listing(
    "hardwareLicenses", LICENSE_PARTS, always, select_hardware_licenses, license.c.id, HARDWARE_LICENSE_FIELDS
)
HARDWARE_LICENSES_OF_MANUFACTURER = Listing(
    "Manufacturer.hardwareLicenses",
    LICENSE_PARTS,
    _of_manufacturer,
    select_hardware_licenses,
    license.c.id,
    HARDWARE_LICENSE_FIELDS,
)


@cache
def manufacturer_order(field: str, descending: bool) -> Order:
    """Returns an order of manufacturers by a name of `ManufacturerOrderField`."""
    if field == "TOKEN_ID":
        return Order(field, manufacturer.c.token_id, descending=descending)
    return by_text(field, manufacturer_version.c.name_key, descending)


BY_ID = Order("POSITION")
