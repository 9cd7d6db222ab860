"""What reorgs took back: events as they stood, in the order of the reorgs, and what may be asked of them."""

from collections.abc import Callable, Sequence
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
from api.queries.events import RECORDED, BlockNumber, actions, recorded
from api.queries.recorded import RecordedEvent
from api.queries.sql import tables
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import (
    UINT256_MAX,
    Cases,
    Computed,
    Condition,
    Exact,
    Fields,
    Filter,
    Moment,
    Number,
    Words,
    matches,
    negate,
)
from api.queries.sql.keys import key_of, key_rows
from api.queries.sql.scope import Scope, block_number_of, scope_of
from schema.did import parse_did
from schema.events import Kind
from schema.vocabulary import BIZ_STEPS, DISPOSITIONS, EventFlag, VerificationLevel

orphan = tables.orphaned_event
block = tables.orphaned_block.alias("orphaned")
device = tables.device.alias("still_there")
reorg = tables.reorg


def select_orphans() -> Select[Any]:
    """Returns the SELECT of events that reorgs took back, without saying which; `taken_back` takes its rows."""
    special: dict[str, ColumnElement[Any]] = {
        "device_id": device.c.id.label("device_id"),
        "block_hash": block.c.hash.label("block_hash"),
        "block_time": block.c.timestamp.label("block_time"),
        "level": literal_column(str(int(VerificationLevel.RPC))).label("level"),
    }
    columns = [special.get(name, orphan.c.get(name, null().label(name))) for name in RECORDED]
    return select(*columns).select_from(
        orphan.join(
            block,
            and_(
                block.c.chain_id == orphan.c.chain_id,
                block.c.reorg_no == orphan.c.reorg_no,
                block.c.number == block_number_of(orphan.c.position),
            ),
        ).outerjoin(
            device,
            and_(
                device.c.chain_id == orphan.c.chain_id,
                device.c.contract == orphan.c.device_contract,
                device.c.token_id == orphan.c.device_token_id,
            ),
        )
    )


def taken_back(row: Row[Any]) -> RecordedEvent:
    """Returns the event of a row of `select_orphans`, whatever stands behind its columns."""
    return recorded(row)._replace(orphaned=True)


# What a reader may ask of them


def _flags(scope: Scope, wishes: Filter) -> Condition:
    return flags_meet(orphan.c.flags, wishes)


def flags_meet(flags: ColumnElement[int], wishes: Filter) -> Condition:
    """Returns the condition that flags fit the wishes of an `EventFlagFilter`."""
    conditions: list[Condition] = []
    for operator, value in wishes:
        if operator == "any":
            conditions.append(flags != 0 if value else flags == 0)
        else:
            mask = int(value) if isinstance(value, EventFlag) else sum({int(flag) for flag in value})
            conditions.append(flags.op("&")(mask) != 0)
    return and_(true(), *conditions)


def _device(scope: Scope, filter: Filter) -> Condition:
    """The device fits at the scope; one that is gone fits by what is kept of it, its name."""
    return or_(
        device.c.id.in_(devices_fitting(scope, filter)),
        and_(device.c.id.is_(None), named_by(filter, surely=True)),
    )


def _yes(scope: Scope) -> Condition:
    return true()


def _no(scope: Scope) -> Condition:
    return false()


FIELDS: Fields = {
    "kind": Exact(orphan.c.kind),
    "device": Computed(_device),
    "manufacturer_id": Number(orphan.c.manufacturer_token_id, most=UINT256_MAX),
    "hardware_license_id": Number(orphan.c.hardware_license_token_id, most=UINT256_MAX),
    "event_time": Moment(orphan.c.event_time),
    "record_time": Moment(block.c.timestamp),
    "action": actions(orphan),
    "biz_step": Words(orphan.c.biz_step, BIZ_STEPS),
    "disposition": Words(orphan.c.disposition, DISPOSITIONS),
    "block": BlockNumber(orphan.c.position),
    "transaction_hash": Exact(orphan.c.transaction_hash),
    "contract": Exact(orphan.c.address),
    "chain_id": Number(orphan.c.chain_id),
    "verification": Cases({level: _yes if level is VerificationLevel.RPC else _no for level in VerificationLevel}),
    "finality": Cases({"UNSAFE": _no, "SAFE": _no, "FINALIZED": _no, "ORPHANED": _yes}),
    "flag": Computed(_flags),
}

IDENTITY: Fields = {
    "token_id": Number(orphan.c.device_token_id, most=UINT256_MAX),
    "contract": Exact(orphan.c.device_contract),
    "chain_id": Number(orphan.c.chain_id),
}


def named_by(filter: Filter, *, surely: bool) -> Condition:
    """Returns the condition that the event's device fits by its name alone; what a name cannot tell is `not surely`."""

    def leaf(name: str, wish: Any, surely: bool) -> Condition:
        did = parse_did(wish) if name == "any_key" else None
        asked = did_filter(did) if did else ((name, wish),) if name in IDENTITY else None
        if asked is None:
            return false() if surely else true()
        return and_(*(IDENTITY[field].meets(NOWHERE, told) for field, told in asked))

    return and_(orphan.c.device_token_id.is_not(None), judged(filter, leaf, surely))


NOWHERE: Any = None
"""The scope of conditions that read the event's own row alone."""


def perhaps(filter: Filter) -> Condition:
    """Returns the condition that the event may have fitted while it was canonical; its device's state then is gone."""

    def leaf(name: str, wish: Any, surely: bool) -> Condition:
        return named_by(wish, surely=surely) if name == "device" else FIELDS[name].meets(NOWHERE, wish)

    return judged(filter, leaf, surely=False)


def judged(filter: Filter, leaf: Callable[[str, Any, bool], Condition], surely: bool) -> Condition:
    """Returns the condition that a row fits for sure, or may fit; `leaf` judges the fields (name, wish, surely)."""
    conditions: list[Condition] = []
    for name, wish in filter:
        match name:
            case "and":
                conditions += [judged(part, leaf, surely) for part in wish]
            case "or":
                conditions.append(or_(false(), *(judged(part, leaf, surely) for part in wish)))
            case "not":
                conditions.append(negate(judged(wish, leaf, not surely)))
            case _:
                conditions.append(leaf(name, wish, surely))
    return and_(true(), *conditions)


# The list of them, latest first


class OrphanPlace(NamedTuple):
    """Where an event stands among all that were taken back: the later the reorg, the larger."""

    happened_at: int
    chain_id: int
    reorg_no: int
    position: int


class OrphanWindow(NamedTuple):
    """How much of the list, and which part: from the front or the back, between two places."""

    size: int
    backward: bool = False
    after: OrphanPlace | None = None
    before: OrphanPlace | None = None


PLACE = (reorg.c.happened_at, reorg.c.chain_id, reorg.c.reorg_no, orphan.c.position)


def orphans(
    connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool, window: OrphanWindow
) -> list[Row[Any]]:
    """Returns the events of a window, latest first, and one more where there is one."""
    columns = [
        column.label(name) for column, name in zip(PLACE[:1] + PLACE[2:3], ("happened_at", "reorg_no"), strict=True)
    ]
    query = _listed(connection, pins, filter, unmapped).add_columns(*columns)
    if window.after is not None:
        query = query.where(_beyond(window.after, later=False))
    if window.before is not None:
        query = query.where(_beyond(window.before, later=True))
    directions = [column.asc() if window.backward else column.desc() for column in PLACE]
    found = list(connection.execute(query.order_by(*directions).limit(window.size + 1)))
    return found[::-1] if window.backward else found


def count_orphans(connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool) -> int:
    """Returns how many events the whole list has."""
    query = _listed(connection, pins, filter, unmapped).with_only_columns(func.count())
    return connection.execute(query).scalar_one()


def place_of(row: Row[Any]) -> OrphanPlace:
    """Returns where a row of `orphans` stands."""
    return OrphanPlace(row.happened_at, row.chain_id, row.reorg_no, row.position)


def _listed(connection: Connection, pins: Sequence[Pin], filter: Filter, unmapped: bool) -> Select[Any]:
    scope = scope_of(key_rows(connection, [key_of(pin) for pin in pins]))
    query = (
        select_orphans()
        .join(reorg, and_(reorg.c.chain_id == orphan.c.chain_id, reorg.c.reorg_no == orphan.c.reorg_no))
        .join(scope.keys, scope.chain_id == orphan.c.chain_id)
        .where(matches(scope, filter, FIELDS))
    )
    return query if unmapped else query.where(orphan.c.kind != Kind.UNMAPPED)


def _beyond(place: OrphanPlace, *, later: bool) -> ColumnElement[bool]:
    here, there = tuple_(*PLACE), tuple_(*map(literal, place))
    return here > there if later else here < there
