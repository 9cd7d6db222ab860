"""Licences: what a Manufacturing License or a Hardware Device License says, and what it is worth when."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.types.event_rows import event_at
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import Bytes32, date_time
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.times import seconds_down
from schema.licenses import license_status
from schema.vocabulary import LicenseStatus

LicenseRow = Row[Any] | None
"""A version of a manufacturer or of a hardware licence; None where it was not even named."""

At = Annotated[datetime | None, strawberry.argument(description="The instant to judge; nothing recorded later counts.")]


@strawberry.type(
    description="A grant, renewed or not: the last one at or before the answer's block (for `...AtMint`: before the "
    "mint's log)."
)
class License:
    row: strawberry.Private[LicenseRow]
    pin: strawberry.Private[Pin]
    whole: strawberry.Private[bool]
    fixed_status: strawberry.Private[LicenseStatus | None]
    version_at: strawberry.Private[Callable[[Context, Pin], Awaitable[LicenseRow]]]
    uri: str | None = strawberry.field(description="Where the licence is.")
    hash: Bytes32 | None = strawberry.field(description="Hash of the licence.")
    granted_at: datetime | None = strawberry.field(description="Block time of the last grant.")
    expires_at: datetime | None = strawberry.field(description="Null: never, or after the year 9999.")
    revoked_at: datetime | None = strawberry.field(
        description="Block time of the revocation, until it is granted again."
    )
    revocation_reason: str | None = strawberry.field(description="As the registrar wrote it.")

    @field(
        "At `at`, by default the answer's time (for `...AtMint`: the mint's block time). A past `at` sees only what "
        "was recorded by then."
    )
    async def status(self, info: Info, at: At = UNSET) -> LicenseStatus:
        if at is None or at is UNSET:
            return status_of(self.row, self.pin.clock, self.whole) if self.fixed_status is None else self.fixed_status
        then = await info.context.loaders.pin_by(self.pin, seconds_down(at))
        return status_of(await self.version_at(info.context, then), then.clock, self.whole)

    @field("The event that granted it.")
    async def grant(self, info: Info) -> LifecycleEvent | None:
        return await self._event(info, "grant_position")

    @field("The event that revoked it.")
    async def revocation(self, info: Info) -> LifecycleEvent | None:
        return await self._event(info, "revocation_position")

    async def _event(self, info: Info, name: str) -> LifecycleEvent | None:
        position = None if self.row is None else getattr(self.row, name)
        return None if position is None else await event_at(info.context, self.pin, position)


def status_of(row: LicenseRow, clock: int, whole: bool) -> LicenseStatus:
    """Returns what a licence is worth at a clock."""
    return license_status(
        granted=row is not None and row.grant_position is not None,
        revoked=row is not None and row.revocation_position is not None,
        expires_at=0 if row is None else row.expires_at,
        clock=clock,
        history_is_whole=whole,
    )


def manufacturing_license(
    context: Context, row: LicenseRow, id: int, pin: Pin, contract: bytes, status: LicenseStatus | None = None
) -> License:
    """Returns the Manufacturing License of a manufacturer. `status` is the one fixed at a mint."""
    whole = (pin.chain_id, contract) in context.snapshot.whole_manufacturing

    async def version_at(context: Context, then: Pin) -> LicenseRow:
        return await context.loaders.manufacturer.load(key_of(then, id))

    return _license(row, pin, whole, status, version_at)


def hardware_device_license(
    context: Context, row: LicenseRow, id: int, pin: Pin, contract: bytes, status: LicenseStatus | None = None
) -> License:
    """Returns the grant of a hardware licence. `status` is the one fixed at a mint."""
    whole = (pin.chain_id, contract) in context.snapshot.whole_hardware

    async def version_at(context: Context, then: Pin) -> LicenseRow:
        return await context.loaders.hardware_license.load(key_of(then, id))

    return _license(row, pin, whole, status, version_at)


def _license(row: LicenseRow, pin: Pin, whole: bool, status: LicenseStatus | None, version_at: Any) -> License:
    return License(
        row=row,
        pin=pin,
        whole=whole,
        fixed_status=status,
        version_at=version_at,
        uri=None if row is None else row.license_uri or None,
        hash=None if row is None or row.license_hash is None else Bytes32(row.license_hash),
        granted_at=None if row is None else date_time(row.granted_at),
        expires_at=None if row is None else date_time(row.expires_at),
        revoked_at=None if row is None else date_time(row.revoked_at),
        revocation_reason=None if row is None else row.revocation_reason or None,
    )


async def manufacturing_license_at_mint(context: Context, device: Row[Any], pin: Pin) -> License | None:
    """Returns the Manufacturing License under which a device was minted; None where the mint was not seen."""
    if device.mint_position is None:
        return None
    then = _just_before_mint(device, pin)
    status = LicenseStatus(device.manufacturer_license_at_mint)
    if device.manufacturer_id is None:
        return _license(None, then, False, status, _nothing)
    row = await context.loaders.manufacturer.load(key_of(then, device.manufacturer_id))
    maker = await context.loaders.manufacturer.load(key_of(pin, device.manufacturer_id))
    contract = maker.contract if maker else b""
    return manufacturing_license(context, row, device.manufacturer_id, then, contract, status)


async def hardware_license_at_mint(context: Context, device: Row[Any], pin: Pin) -> License | None:
    """Returns the hardware licence under which a device was minted; None where the mint was not seen."""
    if device.mint_position is None:
        return None
    then = _just_before_mint(device, pin)
    status = LicenseStatus(device.hardware_license_at_mint)
    if device.hardware_license_id is None:
        return _license(None, then, False, status, _nothing)
    row = await context.loaders.hardware_license.load(key_of(then, device.hardware_license_id))
    held = await context.loaders.hardware_license.load(key_of(pin, device.hardware_license_id))
    contract = held.contract if held else b""
    return hardware_device_license(context, row, device.hardware_license_id, then, contract, status)


def _just_before_mint(device: Row[Any], pin: Pin) -> Pin:
    return pin._replace(position=device.mint_position - 1, clock=device.minted_at)


async def _nothing(context: Context, then: Pin) -> LicenseRow:
    return None
