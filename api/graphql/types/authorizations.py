"""Grants: which users may access and manage a device, a vehicle or another subject."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.as_of import AtInstant
from api.graphql.inputs.filters import AuthorizationFilter, to_filter
from api.graphql.paging.connections import ListQuery
from api.graphql.paging.tokens import AsOfPoint, AuthorizationId
from api.graphql.plan.fields import Ref, column, computed, of, one, value
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node, node_id
from api.graphql.vocabulary.fields import enum_value
from api.graphql.vocabulary.scalars import Address, BigInt, block_time, date_time, to_text
from api.queries.authorizations import AUTHORIZATION, grant_list
from api.queries.devices import DEVICE
from api.queries.events import EVENT
from api.queries.licenses import MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.relations import Relation
from api.queries.sql.times import seconds_down
from api.queries.vehicles import ACCOUNT, SYNTHETIC_DEVICE, VEHICLE
from schema.tables.values import offset_of
from schema.vocabulary import AuthorizationEndReason

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.enum(description="Which grants a list contains.")
class AuthorizationScope(Enum):
    ACTIVE = enum_value("ACTIVE", "The grants that are in force at `activeAt`.")
    ALL = enum_value("ALL", "All grants, including ended and expired ones.")


AuthorizationFilterBy = Annotated[
    AuthorizationFilter | None, strawberry.argument(description="Returns only grants that pass this filter.")
]
ActiveAt = Annotated[
    datetime | None,
    strawberry.argument(
        description="The instant at which the grants must be in force: recorded in a block at or before it (and at "
        "or before the block of the response), not ended then, and not expired at the instant itself. By "
        "default the time of the response. Ignored if `scope` is ALL."
    ),
]
Scoped = Annotated[
    AuthorizationScope | None,
    strawberry.argument(description="Whether to list the grants in force or all grants. Null counts as ACTIVE."),
]


def _permission_ids(context: Context, grants: Sequence[tuple[int, str, str, int | None]]) -> list[list[int]]:
    readers = context.snapshot.readers
    return [
        permission_numbers(scope, permissions or 0, readers[chain_id].permission_bits[source])
        for chain_id, scope, source, permissions in grants
    ]


def permission_numbers(scope: str, permissions: int, bits: int) -> list[int]:
    """Returns the permission numbers: the scope if the grant has one, else the places whose bits are all set."""
    if scope.isascii() and scope.isdigit():
        return [int(scope)]
    granted = (1 << bits) - 1
    numbers = range(-(-permissions.bit_length() // bits))
    return [number for number in numbers if permissions >> number * bits & granted == granted]


def _active(context: Context, grants: Sequence[tuple[Pin, int, int, int]], *, at: AtInstant = UNSET) -> list[bool]:
    pins = [pin for pin, *_ in grants]
    then = pins if at is None or at is UNSET else context.read.pins_by(pins, seconds_down(at))
    return [
        valid_from <= pin.position < valid_to and expires_at > pin.clock
        for pin, (_, valid_from, valid_to, expires_at) in zip(then, grants, strict=True)
    ]


def _revocations(context: Context, grants: Sequence[tuple[Pin, int]]) -> list[Ref | None]:
    return [Ref(EVENT, end, pin, required=False) if end <= pin.position else None for pin, end in grants]


def _subjects(context: Context, grants: Sequence[tuple[Any, ...]]) -> list[Ref]:
    return [
        next(Ref(relation, id, pin) for relation, id in zip(SUBJECTS, ids, strict=True) if id is not None)
        for pin, *ids in grants
    ]


SUBJECTS = (DEVICE, VEHICLE, SYNTHETIC_DEVICE, MANUFACTURER, ACCOUNT)


@strawberry.enum(description="What a grant is for.")
class AuthorizationSubject(Enum):
    DEVICE = enum_value("DEVICE", "A Device.")
    VEHICLE = enum_value("VEHICLE", "A Vehicle.")
    SYNTHETIC_DEVICE = enum_value("SYNTHETIC_DEVICE", "A SyntheticDevice.")
    MANUFACTURER = enum_value("MANUFACTURER", "A Manufacturer.")
    ACCOUNT = enum_value("ACCOUNT", "An Account with all that is its own.")


def _subject_kind(*ids: int | None) -> AuthorizationSubject:
    return next(kind for kind, id in zip(AuthorizationSubject, ids, strict=True) if id is not None)


@strawberry.type(
    description="One grant, given by one grant system (`source`). A new grant to the same user by the same `source` "
    "ends the earlier one."
)
@of(AUTHORIZATION)
class Authorization(Node):
    id: strawberry.ID = node_id(
        lambda pin, chain_id, block_hash, granted: AuthorizationId(
            chain_id, block_hash, offset_of(granted), AsOfPoint.of_pin(pin)
        ),
        "chain_id",
        "block_hash",
        "valid_from",
    )
    user: Address = column("The address of the user that has access.", source="user_address")
    organization: str | None = column(
        "The organization as the grantor wrote it. It is not verified. Null if none is stated.",
        to_text,
    )
    permissions: BigInt | None = column(
        "The permissions as the contract emitted them, a set of bits. Null if the contract does not "
        "carry them. `permissionIds` decodes them."
    )
    source: str = column("The grant system as the profile names it: `contract`, `sacd`, `privilege:<number>`.")
    agreement_uri: str | None = column(
        "The URI of the agreement behind the grant. Null if the event does not state one.", to_text, name="agreementURI"
    )
    granted_at: datetime = column("The block time of the grant.", block_time)
    expires_at: datetime | None = column(
        "The first instant without access. Null if the grant never expires, or expires after the year 9999.", date_time
    )
    revoked_at: datetime | None = value(
        "The block time of the event that ended the grant. Null if no event did; expiry emits no event.",
        lambda pin, valid_to, ended_at: block_time(ended_at) if valid_to <= pin.position else None,
        "pin",
        "valid_to",
        "ended_at",
    )
    end_reason: AuthorizationEndReason | None = value(
        "What ended the grant. Null if no event ended it.",
        lambda pin, valid_to, reason: AuthorizationEndReason(reason) if valid_to <= pin.position else None,
        "pin",
        "valid_to",
        "end_reason",
    )
    permission_ids: list[int] = computed(
        "The numbers of the permissions, decoded by the rule of the profile.",
        _permission_ids,
        "chain_id",
        "scope",
        "grant_system",
        "permissions",
    )
    subject_kind: AuthorizationSubject = value(
        "The kind of `subject`.", _subject_kind, *(f"{relation.name}_id" for relation in SUBJECTS)
    )
    subject: Node = computed(
        "What the grant is for: a Device, a Vehicle, a SyntheticDevice, a Manufacturer, or an Account with all that is "
        "its own.",
        _subjects,
        "pin",
        *(f"{relation.name}_id" for relation in SUBJECTS),
    )
    device: Annotated["Device", strawberry.lazy("api.graphql.types.devices")] | None = one(
        "The device that the grant is for. Null if it is for another subject.", DEVICE, "device_id"
    )
    active: bool = computed(
        "Whether the grant is in force at the instant `at`, by default at the time of the response. For an "
        "instant in the past, only grants and revocations that were recorded by then count.",
        _active,
        "pin",
        "valid_from",
        "valid_to",
        "expires_at",
    )
    grant: LifecycleEvent = one("The event that gave the grant.", EVENT, "valid_from")
    revocation: LifecycleEvent | None = computed(
        "The event that ended the grant. Null if no event did.", _revocations, "pin", "valid_to"
    )


def authorization_query(
    filter_by: AuthorizationFilter | None,
    active_at: datetime | None,
    scope: AuthorizationScope | None,
    *,
    of: Relation | None,
) -> ListQuery:
    """Returns the list of the grants on one row of a relation, or of all grants."""
    instant = None if active_at is None or active_at is UNSET else seconds_down(active_at)
    everything = scope is AuthorizationScope.ALL
    listing = grant_list(of=of, ended=everything, active_at=None if everything else instant)
    return ListQuery(listing, filter=to_filter(filter_by))


def authorized_users(of: Relation) -> Callable[..., ListQuery]:
    """Returns the listing of the grants on a row of a relation, whose arguments are those of the field."""

    def query(
        *,
        filter_by: AuthorizationFilterBy = UNSET,
        active_at: ActiveAt = UNSET,
        scope: Scoped = AuthorizationScope.ACTIVE,
    ) -> ListQuery:
        return authorization_query(filter_by, active_at, scope, of=of)

    return query
