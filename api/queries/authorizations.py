"""Grants: who has access to what, now, at an instant, or ever."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select

from api.queries.devices import devices_fitting
from api.queries.grants import GRANTEE_FIELDS, grant_in_force, scope_at
from api.queries.sql import tables
from api.queries.sql.fields import (
    ComputedField,
    ExactField,
    PlainTextField,
    RelatedField,
    ScopedField,
    TimeField,
    related_token_id,
)
from api.queries.sql.filters import Condition, Fields, Filter
from api.queries.sql.listings import Listing, ListPart, always
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.relations import Columns, Relation, labeled
from api.queries.sql.scope import Scope, block_of_log
from api.queries.vehicles import vehicle_field

grant = tables.authorization
block = tables.block

SOURCE = case((grant.c.scope == "", grant.c.source), else_=grant.c.source.concat(":").concat(grant.c.scope))
"""The grant system and, if it has several, its scope: `privilege:2`."""


COLUMNS: Mapping[str, ColumnElement[Any]] = {
    **{column.name: column for column in grant.c if column.name != "organization_key"},
    "device_id": func.nullif(grant.c.device_id, 0),
    "grant_system": grant.c.source,
    "source": SOURCE,
    "block_hash": block.c.hash,
}


def _grants(scope: Scope, names: Columns, *others: ColumnElement[Any]) -> Select[Any]:
    joined = OrderedJoin(scope.keys, grant, grant.c.chain_id == scope.chain_id)
    if "block_hash" in names:
        joined = joined.then(block, block_of_log(block, grant.c.chain_id, grant.c.valid_from))
    return select(*labeled(COLUMNS, names), *others).select_from(joined)


AUTHORIZATION = Relation(
    "authorization",
    tuple(COLUMNS),
    _grants,
    # the id of a grant is the position of its log: a log makes at most one
    lambda scope: and_(grant.c.valid_from == scope.id, scope.began(grant)),
)


ANY_TOKEN: Filter = (("token_id", (("is_null", False),)),)
"""What every device fits: clients select the grants on devices by it."""


def _device(scope: Scope, filter: Filter) -> Condition:
    return grant.c.device_id > 0 if filter == ANY_TOKEN else grant.c.device_id.in_(devices_fitting(scope, filter))


def _revoked_at(scope: Scope) -> TimeField:
    return TimeField(case((grant.c.valid_to <= scope.position, grant.c.ended_at)))


def _accounts(scope: Scope) -> Select[Any]:
    return select(tables.account.c.id).where(scope.named(tables.account))


FIELDS: Fields = {
    **GRANTEE_FIELDS,
    "source": PlainTextField(SOURCE),
    "granted_at": TimeField(grant.c.granted_at),
    "expires_at": TimeField(grant.c.expires_at),
    "revoked_at": ScopedField(_revoked_at),
    "device": ComputedField(_device),
    "vehicle": vehicle_field(grant.c.vehicle_id),
    "grantor": RelatedField(grant.c.account_id, _accounts, ExactField(tables.account.c.contract)),
    "manufacturer_id": related_token_id(grant.c.manufacturer_id, tables.manufacturer),
}


LISTED = {
    None: "authorizations",
    "device": "Device.authorizedUsers",
    "vehicle": "Vehicle.authorizedUsers",
    "synthetic_device": "SyntheticDevice.authorizedUsers",
    "manufacturer": "Manufacturer.authorizedUsers",
    "account": "Account.authorizedUsers",
}


@lru_cache(256)
def grant_list(*, of: Relation | None, ended: bool, active_at: int | None) -> Listing:
    """Returns the list of the grants on a row of a relation, or of a chain: all, or those in force at an instant.

    `active_at` is in unix seconds, None for the scope's own point.
    """

    def within(scope: Scope) -> Condition:
        granted = scope.began(grant) if ended else grant_in_force(scope_at(scope, active_at))
        return granted if of is None else and_(granted, grant.c[f"{of.name}_id"] == scope.id)

    name = f"{LISTED[None if of is None else of.name]} {ended} {active_at}"
    parts = (ListPart(grant, grant.c.valid_from, always),)
    return Listing(name, parts, within, AUTHORIZATION, grant.c.valid_from, FIELDS)
