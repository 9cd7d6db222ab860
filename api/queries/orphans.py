"""Orphaned events: the logs that reorgs removed, by reorg, the fields of their filters, and the list of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
)

from api.queries.devices import devices_fitting, did_filter
from api.queries.events import flags_condition, log_fields
from api.queries.licenses import manufacturer_owner_by_token
from api.queries.raw_logs import raw_columns
from api.queries.recorded import RECORDED_COLUMNS
from api.queries.sql import tables
from api.queries.sql.as_of import Pin
from api.queries.sql.fields import UINT256_MAX, CaseField, ComputedField, ExactField, NumberField, TimeField
from api.queries.sql.filters import Comparisons, Condition, Fields, Filter, combine, matches
from api.queries.sql.keys import key_of, scope_of_keys
from api.queries.sql.pages import Window
from api.queries.sql.scope import Scope, block_of_log
from schema.did import parse_did
from schema.events import Kind
from schema.vocabulary import VerificationLevel

orphan = tables.orphaned_event
block = tables.orphaned_block.alias("orphaned")
device = tables.device.alias("still_there")
reorg = tables.reorg


def select_orphans() -> Select[Any]:
    """Returns the SELECT of `RECORDED_COLUMNS` of orphaned events, without the condition which ones."""
    columns: dict[str, ColumnElement[Any]] = {
        "device_id": device.c.id.label("device_id"),
        "block_hash": block.c.hash.label("block_hash"),
        "block_time": block.c.timestamp.label("block_time"),
        "level": literal_column(str(int(VerificationLevel.RPC))).label("level"),
        "orphaned": literal_column("1").label("orphaned"),
        **{name: column.label(name) for name, column in raw_columns(orphan).items()},
    }
    of_device = and_(
        device.c.chain_id == orphan.c.chain_id,
        device.c.contract == orphan.c.device_contract,
        device.c.token_id == orphan.c.device_token_id,
    )
    of_block = and_(block_of_log(block, orphan.c.chain_id, orphan.c.position), block.c.reorg_no == orphan.c.reorg_no)
    return select(
        *(columns.get(name, orphan.c.get(name, null().label(name))) for name in RECORDED_COLUMNS)
    ).select_from(orphan.join(block, of_block).outerjoin(device, of_device))


# Fields of a filter


def _device(scope: Scope, filter: Filter) -> Condition:
    """The device fits at the scope; a device that no longer exists fits by its token alone."""
    return or_(
        device.c.id.in_(devices_fitting(scope, filter)),
        and_(device.c.id.is_(None), device_token_fits(filter, surely=True)),
    )


def _flag(scope: Scope, comparisons: Comparisons) -> Condition:
    return flags_condition(orphan.c.flags, comparisons)


FIELDS: Fields = {
    **log_fields(orphan),
    "device": ComputedField(_device),
    "manufacturer_id": NumberField(orphan.c.manufacturer_token_id, most=UINT256_MAX),
    "manufacturer_owner": manufacturer_owner_by_token(orphan.c.manufacturer_token_id),
    "hardware_license_id": NumberField(orphan.c.hardware_license_token_id, most=UINT256_MAX),
    "vehicle_id": NumberField(orphan.c.vehicle_token_id, most=UINT256_MAX),
    "synthetic_device_id": NumberField(orphan.c.synthetic_device_token_id, most=UINT256_MAX),
    "record_time": TimeField(block.c.timestamp),
    "block_hash": ExactField(block.c.hash),
    "verification": CaseField(
        {level: true() if level is VerificationLevel.RPC else false() for level in VerificationLevel}
    ),
    "finality": CaseField({"UNSAFE": false(), "SAFE": false(), "FINALIZED": false(), "ORPHANED": true()}),
    "flag": ComputedField(_flag),
}
TOKEN_FIELDS: Fields = {
    "token_id": NumberField(orphan.c.device_token_id, most=UINT256_MAX),
    "contract": ExactField(orphan.c.device_contract),
    "chain_id": NumberField(orphan.c.chain_id),
}
NO_SCOPE: Any = None
"""The scope of conditions on the event's own row, which use none."""


def device_token_fits(filter: Filter, *, surely: bool) -> Condition:
    """Returns the condition that the event's device fits by its token; for other fields, whether not `surely`."""

    def condition_of(name: str, operand: Any, surely: bool) -> Condition:
        did = parse_did(operand) if name == "any_key" else None
        token = did_filter(did) if did else ((name, operand),) if name in TOKEN_FIELDS else None
        if token is None:
            return false() if surely else true()
        return and_(*(TOKEN_FIELDS[field].condition(NO_SCOPE, comparisons) for field, comparisons in token))

    return and_(orphan.c.device_token_id.is_not(None), combine(filter, condition_of, surely))


def may_have_fitted(filter: Filter) -> Condition:
    """Returns the condition that the event may have fitted while it was canonical: its device's state is not known."""

    def condition_of(name: str, operand: Any, surely: bool) -> Condition:
        if name == "device":
            return device_token_fits(operand, surely=surely)
        return FIELDS[name].condition(NO_SCOPE, operand)

    return combine(filter, condition_of, surely=False)


# The list of orphaned events, latest first


class OrphanPlace(NamedTuple):
    """The place of an event among all orphaned ones; a later reorg has a greater place."""

    happened_at: int
    chain_id: int
    reorg_no: int
    position: int


PLACE = (reorg.c.happened_at, reorg.c.chain_id, reorg.c.reorg_no, orphan.c.position)


def orphans(
    connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool, window: Window[OrphanPlace]
) -> list[Row[Any]]:
    """Returns the events of a window, latest first, and one more if there is one."""
    query = _list(connection, pins, filter, unmapped).add_columns(
        reorg.c.happened_at.label("happened_at"), reorg.c.reorg_no.label("reorg_no")
    )
    if window.after is not None:
        query = query.where(_beyond(window.after, later=False))
    if window.before is not None:
        query = query.where(_beyond(window.before, later=True))
    directions = [column.asc() if window.backward else column.desc() for column in PLACE]
    rows = list(connection.execute(query.order_by(*directions).limit(window.size + 1)))
    return rows[::-1] if window.backward else rows


def count_orphans(connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool) -> int:
    """Returns the number of events in the whole list."""
    query = _list(connection, pins, filter, unmapped).with_only_columns(func.count())
    return connection.execute(query).scalar_one()


def place_of(row: Row[Any]) -> OrphanPlace:
    """Returns the place of a row of `orphans`."""
    return OrphanPlace(row.happened_at, row.chain_id, row.reorg_no, row.position)


def _list(connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool) -> Select[Any]:
    scope = scope_of_keys(connection, [key_of(pin) for pin in pins])
    query = (
        select_orphans()
        .join(reorg, and_(reorg.c.chain_id == orphan.c.chain_id, reorg.c.reorg_no == orphan.c.reorg_no))
        .join(scope.keys, scope.chain_id == orphan.c.chain_id)
        .where(matches(scope, filter, FIELDS))
    )
    return query if unmapped else query.where(orphan.c.kind != Kind.UNMAPPED)


def _beyond(place: OrphanPlace, *, later: bool) -> ColumnElement[bool]:
    row, bound = tuple_(*PLACE), tuple_(*map(literal, place))
    return row > bound if later else row < bound
