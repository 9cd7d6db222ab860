"""Grants: who may access and manage which device, now, at an instant, or ever."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, select

from api.queries.devices import GRANTEE_FIELDS, devices_fitting, in_force
from api.queries.sql import tables
from api.queries.sql.filters import Computed, Condition, Fields, Filter, Moment, Plain
from api.queries.sql.keys import Key, rows_by_key
from api.queries.sql.ordered_joins import Steps
from api.queries.sql.pages import Listing, Part, always
from api.queries.sql.scope import Scope, block_number_of

grant = tables.authorization
block = tables.block

SOURCE = case((grant.c.scope == "", grant.c.source), else_=grant.c.source.concat(":").concat(grant.c.scope))
"""`privilege:2`: the grant system, with its scope where it has several."""


def authorizations(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the grant that the log at each key's id gave, None where it gave none by the key's point."""
    return rows_by_key(connection, _authorizations, keys)


def _authorizations(scope: Scope) -> Select[Any]:
    return select_authorizations(scope).where(grant.c.valid_from == scope.id, scope.began(grant))


def select_authorizations(scope: Scope) -> Select[Any]:
    """Returns the SELECT of all that is told of a grant, without saying which. A log gives at most one."""
    return select(
        *(column for column in grant.c if column.name not in ("source", "scope", "organization_key")),
        grant.c.scope,
        grant.c.source.label("grant_system"),
        SOURCE.label("source"),
        block.c.hash.label("block_hash"),
    ).select_from(
        Steps(scope.keys, grant, grant.c.chain_id == scope.chain_id).step(
            block, and_(block.c.chain_id == grant.c.chain_id, block.c.number == block_number_of(grant.c.valid_from))
        )
    )


def _device(scope: Scope, filter: Filter) -> Condition:
    return grant.c.device_id.in_(devices_fitting(scope, filter))


FIELDS: Fields = {
    **GRANTEE_FIELDS,
    "source": Plain(SOURCE),
    "granted_at": Moment(grant.c.granted_at),
    "expires_at": Moment(grant.c.expires_at),
    "device": Computed(_device),
}


@lru_cache(256)
def listing_of(*, of_device: bool, everything: bool, active_at: int | None) -> Listing:
    """Returns the list of grants: of a device or of a chain; all that ever were, or those in force at an instant."""

    def within(scope: Scope) -> Condition:
        recorded = scope.began(grant) if everything else in_force(scope.active_at(active_at))
        return and_(recorded, grant.c.device_id == scope.id) if of_device else recorded

    name = f"{'Device.authorizedUsers' if of_device else 'authorizations'} {everything} {active_at}"
    parts = (Part(grant, grant.c.valid_from, always),)
    return Listing(name, parts, within, select_authorizations, grant.c.valid_from, FIELDS)
