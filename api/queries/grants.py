"""Grants in force, as conditions on devices, vehicles and lists of grants."""

from sqlalchemy import BigInteger, ColumnElement, and_, case, literal, select

from api.queries.blocks import last_position_by
from api.queries.sql import tables
from api.queries.sql.fields import ComputedField, ExactField, TextField, is_among
from api.queries.sql.filters import Comparisons, Condition, Fields, matches
from api.queries.sql.scope import Scope
from api.queries.sql.times import seconds_down

grant = tables.authorization

GRANTEE_FIELDS: Fields = {
    "user": ExactField(grant.c.user_address),
    "organization": TextField(grant.c.organization, grant.c.organization_key),
}


def grant_in_force(scope: Scope) -> Condition:
    """The grant has not ended at the position, nor expired by the clock."""
    return and_(scope.holds(grant), grant.c.expires_at > scope.clock)


def scope_at(scope: Scope, seconds: int | None) -> Scope:
    """Returns the scope at an instant: after the last block at or before it, but not after the scope's own position."""
    if seconds is None:
        return scope
    end = scope.number(last_position_by, seconds)
    return scope._replace(
        position=case((end < scope.position, end), else_=scope.position), clock=literal(seconds, BigInteger)
    )


def authorized_user(subject: ColumnElement[int], *, of_few: bool = False) -> ComputedField:
    """Returns the field of the users that have a grant in force on what the column's id names."""

    def condition(scope: Scope, comparisons: Comparisons) -> Condition:
        instant = dict(comparisons).get("active_at")
        then = scope_at(scope, None if instant is None else seconds_down(instant))
        grantee = tuple((name, operand) for name, operand in comparisons if name != "active_at")
        named = grant.c[subject.name]
        grants = select(named).where(grant_in_force(then), matches(then, grantee, GRANTEE_FIELDS), named.is_not(None))
        return is_among(scope, subject, grants, of_few=of_few)

    return ComputedField(condition)
