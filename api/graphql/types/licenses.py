"""Licenses: the terms and the status of a Manufacturing License or a Hardware Device License."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.inputs.as_of import AtInstant
from api.graphql.types.event_rows import event_at
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import ValueT, derived, field
from api.graphql.vocabulary.scalars import Bytes32, date_time, to_bytes32, to_text
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import Key, key_of
from api.queries.sql.times import seconds_down
from api.reading.batching import Loader
from schema.licenses import license_status
from schema.vocabulary import LicenseStatus

LicenseRow = Row[Any] | None
"""A version of a manufacturer or of a hardware license. None if no event names it."""


def _term(description: str, column: str, convert: Callable[[Any], ValueT]) -> ValueT | None:
    return derived(description, lambda license: None if license.row is None else convert(getattr(license.row, column)))


@strawberry.type(
    description="A license: its last grant or renewal at or before the block of the response (for `...AtMint`: "
    "before the log of the mint)."
)
class License:
    row: strawberry.Private[LicenseRow]
    # of a license at a mint, `pin` is the point before the mint, and `events_pin` that of the response: the ids of
    # the objects below its events carry no mint
    pin: strawberry.Private[Pin]
    events_pin: strawberry.Private[Pin]
    whole: strawberry.Private[bool]
    fixed_status: strawberry.Private[LicenseStatus | None]
    version_at: strawberry.Private[Callable[[Context, Pin], Awaitable[LicenseRow]]]
    uri: str | None = _term("The URI of the license document. Null if none is stated.", "license_uri", to_text)
    hash: Bytes32 | None = _term(
        "The hash of the license document. Null if none is stated.", "license_hash", to_bytes32
    )
    granted_at: datetime | None = _term(
        "The block time of the last grant. Null if the license was never granted.", "granted_at", date_time
    )
    expires_at: datetime | None = _term(
        "The first instant at which the license is expired. Null if it never expires, or expires after the year 9999.",
        "expires_at",
        date_time,
    )
    revoked_at: datetime | None = _term(
        "The block time of the revocation. Null if the license is not revoked, or was granted again since.",
        "revoked_at",
        date_time,
    )
    revocation_reason: str | None = _term(
        "The reason for the revocation as the registrar wrote it. Null if none is stated.", "revocation_reason", to_text
    )

    @field(
        "The status at the instant `at`, by default at the time of the response (for `...AtMint`: at the "
        "block time of the mint). For an instant in the past, only what was recorded by then counts."
    )
    async def status(self, info: Info, at: AtInstant = UNSET) -> LicenseStatus:
        if at is None or at is UNSET:
            return status_of(self.row, self.pin.clock, self.whole) if self.fixed_status is None else self.fixed_status
        then = await info.context.loaders.pin_by(self.pin, seconds_down(at))
        return status_of(await self.version_at(info.context, then), then.clock, self.whole)

    @field("The event of the last grant. Null if the license was never granted.")
    async def grant(self, info: Info) -> LifecycleEvent | None:
        return await self._event(info, "grant_position")

    @field("The event that revoked the license. Null if it is not revoked.")
    async def revocation(self, info: Info) -> LifecycleEvent | None:
        return await self._event(info, "revocation_position")

    async def _event(self, info: Info, name: str) -> LifecycleEvent | None:
        position = None if self.row is None else getattr(self.row, name)
        return None if position is None else await event_at(info.context, self.events_pin, position)


def status_of(row: LicenseRow, clock: int, whole: bool) -> LicenseStatus:
    """Returns the status of a license at a clock, in unix seconds. `whole`: its whole history is indexed."""
    return license_status(
        granted=row is not None and row.grant_position is not None,
        revoked=row is not None and row.revocation_position is not None,
        expires_at=0 if row is None else row.expires_at,
        clock=clock,
        history_is_whole=whole,
    )


class LicenseKind(NamedTuple):
    """What differs between Manufacturing Licenses and Hardware Device Licenses.

    `holder` and `status_at_mint` name columns of a device. `whole` are the (chain id, contract) whose whole history is
    indexed.
    """

    versions: Callable[[Context], Loader[Key, Row[Any] | None]]
    whole: Callable[[Context], frozenset[tuple[int, bytes]]]
    holder: str
    status_at_mint: str


MANUFACTURING = LicenseKind(
    versions=lambda context: context.loaders.manufacturer,
    whole=lambda context: context.snapshot.whole_manufacturing,
    holder="manufacturer_id",
    status_at_mint="manufacturer_license_at_mint",
)
HARDWARE = LicenseKind(
    versions=lambda context: context.loaders.hardware_license,
    whole=lambda context: context.snapshot.whole_hardware,
    holder="hardware_license_id",
    status_at_mint="hardware_license_at_mint",
)


def license_of(
    context: Context,
    kind: LicenseKind,
    row: LicenseRow,
    id: int,
    pin: Pin,
    contract: bytes,
) -> License:
    """Returns the license of a manufacturer, or of a hardware license, at a pin."""

    async def version_at(context: Context, then: Pin) -> LicenseRow:
        return await kind.versions(context).load(key_of(then, id))

    whole = (pin.chain_id, contract) in kind.whole(context)
    return License(row=row, pin=pin, events_pin=pin, whole=whole, fixed_status=None, version_at=version_at)


async def license_at_mint(context: Context, kind: LicenseKind, device: Row[Any], pin: Pin) -> License | None:
    """Returns the license under which a device was minted; None if the mint was not seen."""
    if device.mint_position is None:
        return None
    then = pin._replace(position=device.mint_position - 1, clock=device.minted_at)
    status = LicenseStatus(getattr(device, kind.status_at_mint))
    id = getattr(device, kind.holder)
    if id is None:
        return License(row=None, pin=then, events_pin=pin, whole=False, fixed_status=status, version_at=_no_version)
    versions = kind.versions(context)
    row, newest = await versions.load(key_of(then, id)), await versions.load(key_of(pin, id))
    license = license_of(context, kind, row, id, then, newest.contract if newest else b"")
    license.events_pin, license.fixed_status = pin, status
    return license


async def _no_version(context: Context, then: Pin) -> LicenseRow:
    return None
