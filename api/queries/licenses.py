"""Manufacturers and hardware licenses as they are at a point: rows, fields of their filters, and lists."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, false, or_, select, true

from api.queries.sql import tables
from api.queries.sql.fields import (
    ComputedField,
    ExactField,
    NumberField,
    RelatedField,
    TextField,
    ValueField,
    related_token_id,
    token_id_field,
)
from api.queries.sql.filters import Condition, Fields, negate
from api.queries.sql.identities import identity_relation, list_parts
from api.queries.sql.listings import Listing, Order, always, both_directions, by_text
from api.queries.sql.scope import Scope
from schema.vocabulary import LicenseStatus

manufacturer = tables.manufacturer
manufacturer_version = tables.manufacturer_version
license = tables.hardware_license
license_version = tables.hardware_license_version


MANUFACTURER = identity_relation(manufacturer, manufacturer_version)
HARDWARE_LICENSE = identity_relation(license, license_version)


# Fields of a filter


def _status(versions: Table, identities: Table) -> ComputedField:
    """Returns the field of a license's status. Its operand is (comparisons, complete); see `_StatusField`."""
    return ComputedField(
        lambda scope, operand: _StatusField(scope, versions, identities, operand[1]).condition(scope, operand[0])
    )


@dataclass(frozen=True)
class _StatusField(ValueField):
    """The status of a license by the scope's clock.

    `complete`: the (chain id, contract) whose whole license history is indexed. Elsewhere a missing grant may be
    older than the index, and the status is UNKNOWN.
    """

    scope: Scope
    versions: Table
    identities: Table
    complete: frozenset[tuple[int, bytes]]

    def equals(self, value: LicenseStatus) -> Condition:
        return self._status() == int(value)

    def present(self) -> Condition:
        return true()

    def _status(self) -> ColumnElement[int]:
        version, identity = self.versions.c, self.identities.c
        granted = version.grant_position.is_not(None)
        is_complete = or_(
            false(),
            *(
                and_(identity.chain_id == chain_id, identity.contract == contract)
                for chain_id, contract in sorted(self.complete)
            ),
        )
        return case(
            (version.revocation_position.is_not(None), int(LicenseStatus.REVOKED)),
            (and_(granted, version.expires_at <= self.scope.clock), int(LicenseStatus.EXPIRED)),
            (negate(is_complete), int(LicenseStatus.UNKNOWN)),
            (granted, int(LicenseStatus.VALID)),
            else_=int(LicenseStatus.NONE),
        )


def manufacturer_owner(id: ColumnElement[Any]) -> RelatedField:
    """Returns the field of the owner of the manufacturer whose id is in a column."""

    def ids(scope: Scope) -> Select[Any]:
        return select(manufacturer_version.c.manufacturer_id).where(scope.holds(manufacturer_version))

    return RelatedField(id, ids, OWNER)


def manufacturer_owner_by_token(token_id: ColumnElement[Any]) -> RelatedField:
    """Returns the field of the owner of the manufacturers whose token id is in a column."""

    def token_ids(scope: Scope) -> Select[Any]:
        held = and_(manufacturer_version.c.manufacturer_id == manufacturer.c.id, scope.holds(manufacturer_version))
        owned = manufacturer.join(manufacturer_version, held)
        return select(manufacturer.c.token_id).select_from(owned).where(scope.named(manufacturer))

    return RelatedField(token_id, token_ids, OWNER)


OWNER = ExactField(manufacturer_version.c.account)
MANUFACTURER_FIELDS: Fields = {
    "token_id": token_id_field(manufacturer),
    "name": TextField(manufacturer_version.c.name, manufacturer_version.c.name_key),
    "owner": OWNER,
    "license_status": _status(manufacturer_version, manufacturer),
    "contract": ExactField(manufacturer.c.contract),
    "chain_id": NumberField(manufacturer.c.chain_id),
}
HARDWARE_LICENSE_FIELDS: Fields = {
    "hardware_license_id": token_id_field(license),
    "manufacturer_id": related_token_id(license_version.c.manufacturer_id, manufacturer),
    "manufacturer_owner": manufacturer_owner(license_version.c.manufacturer_id),
    "model": TextField(license_version.c.model, license_version.c.model_key),
    "hardware_revision": TextField(license_version.c.hardware_revision, license_version.c.hardware_revision_key),
    "license_status": _status(license_version, license),
    "contract": ExactField(license.c.contract),
    "chain_id": NumberField(license.c.chain_id),
}


# Lists

MANUFACTURERS = Listing(
    "manufacturers",
    list_parts(manufacturer, manufacturer_version),
    always,
    MANUFACTURER,
    manufacturer.c.id,
    MANUFACTURER_FIELDS,
)
HARDWARE_LICENSES = Listing(
    "hardwareLicenses",
    list_parts(license, license_version),
    always,
    HARDWARE_LICENSE,
    license.c.id,
    HARDWARE_LICENSE_FIELDS,
)
HARDWARE_LICENSES_OF_MANUFACTURER = replace(
    HARDWARE_LICENSES,
    name="Manufacturer.hardwareLicenses",
    within=lambda scope: license_version.c.manufacturer_id == scope.id,
)

MANUFACTURER_ORDERS = both_directions(
    Order("TOKEN_ID", manufacturer.c.token_id), by_text("NAME", manufacturer_version.c.name_key)
)
"""The orders of manufacturers by (name of `ManufacturerOrderField`, whether it descends)."""
