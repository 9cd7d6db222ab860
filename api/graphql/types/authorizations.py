"""Grants: who may access and manage a device."""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import AuthorizationFilter, to_filter
from api.graphql.inputs.orders import told
from api.graphql.paging.arguments import PageArguments
from api.graphql.paging.connections import Connection, Listed, connect
from api.graphql.paging.tokens import AsOfPoint, AuthorizationId
from api.graphql.types.event_rows import event_at
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import Address, BigInt, block_time, date_time
from api.queries.authorizations import grant_list
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION
from api.queries.sql.times import seconds_down
from schema.tables.values import log_index_of
from schema.vocabulary import AuthorizationEndReason

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.enum(description="Which grants a list holds.")
class AuthorizationScope(Enum):
    ACTIVE = told("ACTIVE", "In force at `activeAt`.")
    ALL = told("ALL", "Every grant ever, ended and expired ones too.")


AuthorizationFilterBy = Annotated[AuthorizationFilter | None, strawberry.argument(description="Which grants.")]
ActiveAt = Annotated[
    datetime | None,
    strawberry.argument(
        description="Grants in force after the last block at or before this instant (and at or before the answer's "
        "block), not expired at it; by default at the answer's time. Of no effect with scope ALL."
    ),
]
Scoped = Annotated[AuthorizationScope, strawberry.argument(description="Those in force, or every grant ever.")]
At = Annotated[datetime | None, strawberry.argument(description="The instant to judge; nothing recorded later counts.")]


@strawberry.type(
    description="One grant by one grant system. A new grant to the same user by the same `source` ends the one before."
)
class Authorization(Node):
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    user: Address = derived("Who may access and manage the device.", lambda grant: Address(grant.row.user_address))
    organization: str | None = derived(
        "What the grantor wrote; identifies nobody.", lambda grant: grant.row.organization or None
    )
    permissions: BigInt | None = derived(
        "As the chain gave them, one bit each.",
        lambda grant: None if grant.row.permissions is None else BigInt(grant.row.permissions),
    )
    source: str = derived(
        "The grant system, by the profile's name: contract, sacd, privilege:<number>.", lambda grant: grant.row.source
    )
    agreement_uri: str | None = derived(
        "The agreement behind the grant, where the chain names one.",
        lambda grant: grant.row.agreement_uri or None,
        name="agreementURI",
    )
    granted_at: datetime = derived("Block time of the grant.", lambda grant: block_time(grant.row.granted_at))
    expires_at: datetime | None = derived(
        "Null: never, or after the year 9999.", lambda grant: date_time(grant.row.expires_at)
    )
    revoked_at: datetime | None = derived(
        "When an event ended it; expiry is none.",
        lambda grant: block_time(grant.row.ended_at) if grant.is_ended else None,
    )
    end_reason: AuthorizationEndReason | None = derived(
        "What ended it; null while nothing did.",
        lambda grant: AuthorizationEndReason(grant.row.end_reason) if grant.is_ended else None,
    )

    @property
    def is_ended(self) -> bool:
        return bool(self.row.valid_to <= self.pin.position)

    def node_id(self) -> AuthorizationId:
        row = self.row
        return AuthorizationId(row.chain_id, row.block_hash, log_index_of(row.valid_from), AsOfPoint.of_pin(self.pin))

    @field("The permissions' numbers, decoded by the profile's rule.")
    def permission_ids(self, info: Info) -> list[int]:
        return _permission_ids(self.row, info.context.snapshot.readers[self.row.chain_id].permission_bits)

    @field("The device.")
    async def device(self, info: Info) -> Annotated["Device", strawberry.lazy("api.graphql.types.devices")]:
        return await info.context.device(self.pin, self.row.device_id)

    @field("At `at`, by default the answer's time; for a past `at`, grants and revocations recorded by then.")
    async def active(self, info: Info, at: At = UNSET) -> bool:
        if at is None or at is UNSET:
            return _in_force(self.row, self.pin)
        return _in_force(self.row, await info.context.loaders.pin_by(self.pin, seconds_down(at)))

    @field("The event that granted it.")
    async def grant(self, info: Info) -> LifecycleEvent:
        event = await event_at(info.context, self.pin, self.row.valid_from)
        if event is None:
            raise LookupError(f"the grant at {self.row.valid_from} of chain {self.pin.chain_id} has no event")
        return event

    @field("The event that ended it.")
    async def revocation(self, info: Info) -> LifecycleEvent | None:
        return await event_at(info.context, self.pin, self.row.valid_to) if self.is_ended else None


def connect_authorizations(
    info: Info,
    page: PageArguments,
    pins: tuple[Pin, ...],
    filter_by: AuthorizationFilter | None,
    active_at: datetime | None,
    scope: AuthorizationScope,
    device: int = 0,
) -> Awaitable[Connection[Authorization]]:
    """Returns grants: of one device, or of all on the pins' chains."""
    instant = None if active_at is None or active_at is UNSET else seconds_down(active_at)
    everything = scope is AuthorizationScope.ALL
    listing = grant_list(of_device=device != 0, ended=everything, active_at=None if everything else instant)
    return connect(info, Listed(listing, BY_POSITION, device, to_filter(filter_by)), page, pins, to_authorization)


def to_authorization(row: Row[Any], pin: Pin) -> Authorization:
    """Returns the grant of a row, as it stands at the pin."""
    return Authorization(row=row, pin=pin)


async def load_authorization(context: Context, pin: Pin, position: int) -> Authorization | None:
    """Returns the grant that the log at a position gave; None where it gave none by the pin."""
    row = await context.loaders.authorization.load(key_of(pin, position))
    return None if row is None else to_authorization(row, pin)


def _in_force(row: Row[Any], pin: Pin) -> bool:
    return bool(row.valid_from <= pin.position < row.valid_to and row.expires_at > pin.clock)


def _permission_ids(row: Row[Any], permission_bits: Mapping[str, int]) -> list[int]:
    """Returns the scope of a grant that has one, else the places of the permissions whose bits are all set."""
    if row.scope.isascii() and row.scope.isdigit():
        return [int(row.scope)]
    bits = permission_bits[row.grant_system]
    granted = (1 << bits) - 1
    permissions: int = row.permissions or 0
    numbers = range(-(-permissions.bit_length() // bits))
    return [number for number in numbers if permissions >> number * bits & granted == granted]
