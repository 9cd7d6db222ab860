"""Grants: which users may access and manage a device."""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.as_of import AtInstant
from api.graphql.inputs.filters import AuthorizationFilter, to_filter
from api.graphql.paging.arguments import PageArguments
from api.graphql.paging.connections import Connection, ListQuery, connect
from api.graphql.paging.tokens import AsOfPoint, AuthorizationId
from api.graphql.types.event_rows import event_at
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node
from api.graphql.vocabulary.fields import derived, enum_value, field, from_row
from api.graphql.vocabulary.scalars import Address, BigInt, block_time, date_time, to_big_int, to_text
from api.queries.authorizations import grant_list
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION
from api.queries.sql.times import seconds_down
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


@strawberry.type(
    description="One grant, given by one grant system (`source`). A new grant to the same user by the same `source` "
    "ends the earlier one."
)
class Authorization(Node):
    user: Address = from_row(
        "The address of the user that may access and manage the device.", Address, source="user_address"
    )
    organization: str | None = from_row(
        "The organization as the grantor wrote it. It is not verified and identifies nobody. Null if none is stated.",
        to_text,
    )
    permissions: BigInt | None = from_row(
        "The permissions as the contract emitted them, a set of bits. Null if the contract does not "
        "carry them. `permissionIds` decodes them.",
        to_big_int,
    )
    source: str = from_row("The grant system as the profile names it: `contract`, `sacd`, `privilege:<number>`.", str)
    agreement_uri: str | None = from_row(
        "The URI of the agreement behind the grant. Null if the event does not state one.", to_text, name="agreementURI"
    )
    granted_at: datetime = from_row("The block time of the grant.", block_time)
    expires_at: datetime | None = from_row(
        "The first instant without access. Null if the grant never expires, or expires after the year 9999.", date_time
    )
    revoked_at: datetime | None = derived(
        "The block time of the event that ended the grant. Null if no event did; expiry emits no event.",
        lambda grant: block_time(grant.row.ended_at) if grant.is_ended else None,
    )
    end_reason: AuthorizationEndReason | None = derived(
        "What ended the grant. Null if no event ended it.",
        lambda grant: AuthorizationEndReason(grant.row.end_reason) if grant.is_ended else None,
    )

    @property
    def is_ended(self) -> bool:
        return bool(self.row.valid_to <= self.pin.position)

    def node_id(self) -> AuthorizationId:
        row = self.row
        return AuthorizationId(row.chain_id, row.block_hash, offset_of(row.valid_from), AsOfPoint.of_pin(self.pin))

    @field("The numbers of the permissions, decoded by the rule of the profile.")
    def permission_ids(self, info: Info) -> list[int]:
        return _permission_ids(self.row, info.context.snapshot.readers[self.row.chain_id].permission_bits)

    @field("The device that the grant is for.")
    async def device(self, info: Info) -> Annotated["Device", strawberry.lazy("api.graphql.types.devices")]:
        from api.graphql.types.devices import load_device

        return await load_device(info.context, self.pin, self.row.device_id)

    @field(
        "Whether the grant is in force at the instant `at`, by default at the time of the response. For an "
        "instant in the past, only grants and revocations that were recorded by then count."
    )
    async def active(self, info: Info, at: AtInstant = UNSET) -> bool:
        if at is None or at is UNSET:
            return _in_force(self.row, self.pin)
        return _in_force(self.row, await info.context.loaders.pin_by(self.pin, seconds_down(at)))

    @field("The event that gave the grant.")
    async def grant(self, info: Info) -> LifecycleEvent:
        event = await event_at(info.context, self.pin, self.row.valid_from)
        if event is None:
            raise LookupError(f"the grant at {self.row.valid_from} of chain {self.pin.chain_id} has no event")
        return event

    @field("The event that ended the grant. Null if no event did.")
    async def revocation(self, info: Info) -> LifecycleEvent | None:
        return await event_at(info.context, self.pin, self.row.valid_to) if self.is_ended else None


def connect_authorizations(
    info: Info,
    page: PageArguments,
    pins: tuple[Pin, ...],
    filter_by: AuthorizationFilter | None,
    active_at: datetime | None,
    scope: AuthorizationScope | None,
    device: int = 0,
) -> Awaitable[Connection[Authorization]]:
    """Returns a page of the grants on one device (`device` is its id), or of all grants on the chains of the pins."""
    instant = None if active_at is None or active_at is UNSET else seconds_down(active_at)
    everything = scope is AuthorizationScope.ALL
    listing = grant_list(of_device=device != 0, ended=everything, active_at=None if everything else instant)
    return connect(info, ListQuery(listing, BY_POSITION, device, to_filter(filter_by)), page, pins, to_authorization)


def to_authorization(row: Row[Any], pin: Pin) -> Authorization:
    """Returns the grant of a row, as of the pin."""
    return Authorization(row=row, pin=pin)


async def load_authorization(context: Context, pin: Pin, position: int) -> Authorization | None:
    """Returns the grant that the log at a position gave, None if it gave none at or before the pin."""
    row = await context.loaders.authorization.load(key_of(pin, position))
    return None if row is None else to_authorization(row, pin)


def _in_force(row: Row[Any], pin: Pin) -> bool:
    return bool(row.valid_from <= pin.position < row.valid_to and row.expires_at > pin.clock)


def _permission_ids(row: Row[Any], permission_bits: Mapping[str, int]) -> list[int]:
    """Returns the permission numbers: the scope if the grant has one, else the places whose bits are all set."""
    if row.scope.isascii() and row.scope.isdigit():
        return [int(row.scope)]
    bits = permission_bits[row.grant_system]
    granted = (1 << bits) - 1
    permissions: int = row.permissions or 0
    numbers = range(-(-permissions.bit_length() // bits))
    return [number for number in numbers if permissions >> number * bits & granted == granted]
