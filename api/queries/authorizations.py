"""Grants: who has access to which device, now, at an instant, or ever."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, and_, case, select

from api.queries.devices import GRANTEE_FIELDS, devices_fitting, grant_in_force
from api.queries.sql import tables
from api.queries.sql.fields import ComputedField, PlainTextField, TimeField
from api.queries.sql.filters import Condition, Fields, Filter
from api.queries.sql.keys import row_by_key
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.pages import Listing, ListPart, always
from api.queries.sql.scope import Scope, block_of_log

grant = tables.authorization
block = tables.block

SOURCE = case((grant.c.scope == "", grant.c.source), else_=grant.c.source.concat(":").concat(grant.c.scope))
"""The grant system and, if it has several, its scope: `privilege:2`."""


@row_by_key
def authorizations(scope: Scope) -> Select[Any]:
    """Returns the grant made by the log at each key's id, None if it made none or is after the key's point."""
    return select_authorizations(scope).where(grant.c.valid_from == scope.id, scope.began(grant))


def select_authorizations(scope: Scope) -> Select[Any]:
    """Returns the SELECT of grants, without the condition which ones. A log makes at most one grant."""
    return select(
        *(column for column in grant.c if column.name not in ("source", "scope", "organization_key")),
        grant.c.scope,
        grant.c.source.label("grant_system"),
        SOURCE.label("source"),
        block.c.hash.label("block_hash"),
    ).select_from(
        OrderedJoin(scope.keys, grant, grant.c.chain_id == scope.chain_id).then(
            block, block_of_log(block, grant.c.chain_id, grant.c.valid_from)
        )
    )


def _device(scope: Scope, filter: Filter) -> Condition:
    return grant.c.device_id.in_(devices_fitting(scope, filter))


FIELDS: Fields = {
    **GRANTEE_FIELDS,
    "source": PlainTextField(SOURCE),
    "granted_at": TimeField(grant.c.granted_at),
    "expires_at": TimeField(grant.c.expires_at),
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
    return Listing(name, parts, within, select_authorizations, grant.c.valid_from, FIELDS)
