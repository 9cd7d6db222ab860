"""Licenses: the terms and the status of a Manufacturing License or a Hardware Device License."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.as_of import AtInstant
from api.graphql.plan.fields import Ref, computed, value
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.scalars import Bytes32, date_time, to_text
from api.queries.events import EVENT
from api.queries.licenses import HARDWARE_LICENSE, MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.relations import Relation
from api.queries.sql.times import seconds_down
from schema.licenses import license_status
from schema.vocabulary import LicenseStatus


class Terms(NamedTuple):
    """The columns of a manufacturer or a hardware license that are about its license."""

    license_uri: str | None
    license_hash: bytes | None
    granted_at: int | None
    expires_at: int
    revoked_at: int | None
    revocation_reason: str | None
    grant_position: int | None
    revocation_position: int | None


class LicenseRow(NamedTuple):
    """A license at a pin. `terms` is None if no event names its holder, `fixed` the status that a mint has fixed.

    `whole`: its whole history is indexed. Of a license at a mint, `pin` is the point before the mint, and `events_pin`
    that of the response: the ids of the objects below its events carry no mint.
    """

    relation: Relation
    holder: int | None
    terms: Terms | None
    pin: Pin
    events_pin: Pin
    whole: bool
    fixed: LicenseStatus | None = None


def _statuses(context: Context, licenses: Sequence[LicenseRow], *, at: AtInstant = UNSET) -> list[LicenseStatus]:
    if at is None or at is UNSET:
        return [
            status_of(license.terms, license.pin.clock, license.whole) if license.fixed is None else license.fixed
            for license in licenses
        ]
    then = context.read.pins_by([license.pin for license in licenses], seconds_down(at))
    holders = [(license.relation, license.holder, pin) for license, pin in zip(licenses, then, strict=True)]
    return [
        status_of(terms, pin.clock, license.whole)
        for license, pin, terms in zip(licenses, then, terms_of(context, holders), strict=True)
    ]


def terms_of(context: Context, holders: Sequence[tuple[Relation, int | None, Pin]]) -> list[Terms | None]:
    """Returns the terms of each license by its holder at a pin, None if no event names the holder by then."""
    rows: dict[Any, Any] = {}
    for relation in (MANUFACTURER, HARDWARE_LICENSE):
        keys = [key_of(pin, id) for of, id, pin in holders if of is relation and id is not None]
        rows |= zip(((relation, key) for key in keys), context.read.cells(relation, Terms._fields, keys), strict=True)
    of_holders = (rows.get((relation, key_of(pin, id or 0))) for relation, id, pin in holders)
    return [None if row is None else Terms(*row[: len(Terms._fields)]) for row in of_holders]


def status_of(terms: Terms | None, clock: int, whole: bool) -> LicenseStatus:
    """Returns the status of a license at a clock, in unix seconds. `whole`: its whole history is indexed."""
    return license_status(
        granted=terms is not None and terms.grant_position is not None,
        revoked=terms is not None and terms.revocation_position is not None,
        expires_at=0 if terms is None else terms.expires_at,
        clock=clock,
        history_is_whole=whole,
    )


def _event(position: str) -> Callable[[Context, Sequence[LicenseRow]], list[Ref | None]]:
    def events(context: Context, licenses: Sequence[LicenseRow]) -> list[Ref | None]:
        positions = [None if license.terms is None else getattr(license.terms, position) for license in licenses]
        return [
            None if position is None else Ref(EVENT, position, license.events_pin, required=False)
            for license, position in zip(licenses, positions, strict=True)
        ]

    return events


def _term(description: str, column: str, convert: Callable[[Any], Any]) -> Any:
    return value(description, lambda terms: None if terms is None else convert(getattr(terms, column)), "terms")


@strawberry.type(
    description="A license: its last grant or renewal at or before the block of the response (for `...AtMint`: "
    "before the log of the mint)."
)
class License:
    uri: str | None = _term("The URI of the license document. Null if none is stated.", "license_uri", to_text)
    hash: Bytes32 | None = _term(
        "The hash of the license document. Null if none is stated.", "license_hash", lambda hash: hash
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
    status: LicenseStatus = computed(
        "The status at the instant `at`, by default at the time of the response (for `...AtMint`: at the "
        "block time of the mint). For an instant in the past, only what was recorded by then counts.",
        _statuses,
        "self",
    )
    grant: LifecycleEvent | None = computed(
        "The event of the last grant. Null if the license was never granted.", _event("grant_position"), "self"
    )
    revocation: LifecycleEvent | None = computed(
        "The event that revoked the license. Null if it is not revoked.", _event("revocation_position"), "self"
    )


def _whole(context: Context, relation: Relation) -> frozenset[tuple[int, bytes]]:
    """Returns the (chain id, contract) whose whole history of such licenses is indexed."""
    snapshot = context.snapshot
    return snapshot.whole_manufacturing if relation is MANUFACTURER else snapshot.whole_hardware


def present_license(relation: Relation, description: str) -> Any:
    """Declares the field of a manufacturer or a hardware license that is its license."""

    def batch(context: Context, holders: Sequence[tuple[Any, ...]]) -> list[LicenseRow]:
        whole = _whole(context, relation)
        return [
            LicenseRow(relation, id, Terms(*terms), pin, pin, (pin.chain_id, contract) in whole)
            for pin, id, contract, *terms in holders
        ]

    return computed(description, batch, "pin", "id", "contract", *Terms._fields)


def license_at_mint(relation: Relation, description: str) -> Any:
    """Declares the field of a device that is a license under which it was minted; null if the mint was not seen."""

    def batch(context: Context, devices: Sequence[tuple[Pin, int | None, int, int | None, int]]) -> list[Any]:
        minted = [
            (pin._replace(position=mint - 1, clock=minted_at), pin, holder, LicenseStatus(status))
            for pin, mint, minted_at, holder, status in devices
            if mint is not None
        ]
        terms = terms_of(context, [(relation, holder, then) for then, _, holder, _ in minted])
        keys = [key_of(pin, holder) for _, pin, holder, _ in minted if holder is not None]
        contracts = dict(zip(keys, context.read.cells(relation, ("contract",), keys), strict=True))
        whole = _whole(context, relation)

        def license(then: Pin, pin: Pin, holder: int | None, status: LicenseStatus, terms: Terms | None) -> LicenseRow:
            row = None if holder is None else contracts[key_of(pin, holder)]
            is_whole = row is not None and (pin.chain_id, row[0]) in whole
            return LicenseRow(relation, holder, terms, then, pin, is_whole, status)

        licenses = (license(*mint, own) for mint, own in zip(minted, terms, strict=True))
        return [None if device[1] is None else next(licenses) for device in devices]

    status = "manufacturer_license_at_mint" if relation is MANUFACTURER else "hardware_license_at_mint"
    return computed(description, batch, "pin", "mint_position", "minted_at", f"{relation.name}_id", status)
