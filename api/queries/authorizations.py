"""Grants: who has access to which device, now, at an instant, or ever."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, select

from api.queries.devices import GRANTEE_FIELDS, devices_fitting, grant_in_force
from api.queries.sql import tables
from api.queries.sql.fields import ComputedField, PlainTextField, ScopedField, TimeField
from api.queries.sql.filters import Condition, Fields, Filter
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.pages import Listing, ListPart, always
from api.queries.sql.relations import Columns, Relation, labeled
from api.queries.sql.scope import Scope, block_of_log

grant = tables.authorization
block = tables.block

SOURCE = case((grant.c.scope == "", grant.c.source), else_=grant.c.source.concat(":").concat(grant.c.scope))
"""The grant system and, if it has several, its scope: `privilege:2`."""


COLUMNS: Mapping[str, ColumnElement[Any]] = {
    **{column.name: column for column in grant.c if column.name != "organization_key"},
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


def _device(scope: Scope, filter: Filter) -> Condition:
    return grant.c.device_id.in_(devices_fitting(scope, filter))


def _revoked_at(scope: Scope) -> TimeField:
    return TimeField(case((grant.c.valid_to <= scope.position, grant.c.ended_at)))


FIELDS: Fields = {
    **GRANTEE_FIELDS,
    "source": PlainTextField(SOURCE),
    "granted_at": TimeField(grant.c.granted_at),
    "expires_at": TimeField(grant.c.expires_at),
    "revoked_at": ScopedField(_revoked_at),
    "device": ComputedField(_device),
}


@lru_cache(256)
def grant_list(*, of_device: bool, ended: bool, active_at: int | None) -> Listing:
    """Returns the list of the grants of a device or of a chain: with those that ended, or those in force at an instant.

    `active_at` is in unix seconds, None for the scope's own point.
    """

    def within(scope: Scope) -> Condition:
        granted = scope.began(grant) if ended else grant_in_force(scope.active_at(active_at))
        return and_(granted, grant.c.device_id == scope.id) if of_device else granted

    name = f"{'Device.authorizedUsers' if of_device else 'authorizations'} {ended} {active_at}"
    parts = (ListPart(grant, grant.c.valid_from, always),)
    return Listing(name, parts, within, AUTHORIZATION, grant.c.valid_from, FIELDS)
