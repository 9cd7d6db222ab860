"""The history: every log of a watched contract, in the order of the chain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
)

from api.queries.devices import devices_fitting
from api.queries.recorded import RecordedEvent
from api.queries.sql import tables
from api.queries.sql.filters import (
    COMPARISONS,
    UINT256_MAX,
    Cases,
    Comparable,
    Computed,
    Condition,
    Exact,
    Fields,
    Filter,
    Moment,
    Number,
    Related,
    Words,
    negate,
    seconds_down,
)
from api.queries.sql.keys import Key, rows_by_key
from api.queries.sql.ordered_joins import Steps
from api.queries.sql.pages import Listing, Order, Part, always, by_time
from api.queries.sql.scope import Scope, block_number_of, first_position_from
from schema.events import Kind
from schema.tables.values import MAX_BLOCK_NUMBER, end_of_block, position
from schema.vocabulary import BIZ_STEPS, DISPOSITIONS, BizStep, EpcisAction, EventFlag, VerificationLevel

event = tables.event
block = tables.block
later = event.alias("later")

DUPLICATE = int(EventFlag.DUPLICATE_MINT)


def flags_at(scope: Scope) -> ColumnElement[int]:
    """Returns the flags as they stand at the scope: the first of two mints learns of the second when that comes."""
    next_mint = (
        select(later.c.flags.op("&")(DUPLICATE))
        .where(
            later.c.chain_id == event.c.chain_id,
            later.c.device_id == event.c.device_id,
            later.c.kind == Kind.DEVICE_MINTED,
            later.c.position > event.c.position,
            later.c.position <= scope.position,
        )
        .order_by(later.c.position)
        .limit(1)
        .correlate(event, scope.keys)
        .scalar_subquery()
    )
    told = event.c.flags.op("|")(func.coalesce(next_mint, literal_column("0")))
    return case((event.c.kind == Kind.DEVICE_MINTED, told), else_=event.c.flags)


def select_events(scope: Scope) -> Select[Any]:
    """Returns the SELECT of recorded events, without saying which; `recorded` takes its rows."""
    special = {
        "flags": flags_at(scope).label("flags"),
        "block_hash": block.c.hash.label("block_hash"),
        "block_time": block.c.timestamp.label("block_time"),
        "level": block.c.level,
    }
    columns = [special[name] if name in special else event.c[name] for name in RECORDED]
    return select(*columns).select_from(
        Steps(scope.keys, event, event.c.chain_id == scope.chain_id).step(
            block, and_(block.c.chain_id == event.c.chain_id, block.c.number == block_number_of(event.c.position))
        )
    )


RECORDED = [name for name in RecordedEvent._fields if name != "orphaned"]


def recorded(row: Row[Any]) -> RecordedEvent:
    """Returns the event of a row of `select_events`, whatever stands behind its columns."""
    return RecordedEvent(*row[: len(RECORDED)])


def events(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the event whose position is each key's id, None where there is none by the key's point."""
    return rows_by_key(connection, _events, keys)


def _events(scope: Scope) -> Select[Any]:
    return select_events(scope).where(event.c.position == scope.id, event.c.position <= scope.position)


# What a reader may ask of events


@dataclass(frozen=True)
class BlockNumber(Comparable):
    """The number of an event's block, asked of its position."""

    position: ColumnElement[int]

    def equals(self, value: int) -> Condition:
        if not 0 <= value <= MAX_BLOCK_NUMBER:
            return false()
        return self.position.between(position(value, 0), end_of_block(value))

    def present(self) -> Condition:
        return self.position.is_not(None)

    def compare(self, operator: str, value: int) -> Condition:
        if not 0 <= value <= MAX_BLOCK_NUMBER:
            return self.present() if COMPARISONS[operator](0, value) else false()
        edge = end_of_block(value) if operator in ("gt", "lte") else position(value, 0)
        condition: Condition = COMPARISONS[operator](self.position, edge)
        return condition


def _record_time(scope: Scope, wishes: Filter) -> Condition:
    conditions: list[Condition] = []
    for operator, value in wishes:
        second = seconds_down(value) if operator != "is_null" else 0
        between = operator != "is_null" and value.microsecond > 0
        match operator:
            case "is_null":
                conditions.append(false() if value else event.c.position.is_not(None))
            case "eq" if between:
                conditions.append(false())
            case "eq":
                conditions.append(_from(scope, second))
                conditions.append(negate(_from(scope, second + 1)))
            case "gte":
                conditions.append(_from(scope, second + between))
            case "gt":
                conditions.append(_from(scope, second + 1))
            case "lt":
                conditions.append(event.c.position < first_position_from(scope, second + between))
            case _:
                conditions.append(event.c.position < first_position_from(scope, second + 1))
    return and_(*conditions)


def _from(scope: Scope, second: int) -> Condition:
    return event.c.position >= first_position_from(scope, second)


def _device(scope: Scope, filter: Filter) -> Condition:
    return event.c.device_id.in_(devices_fitting(scope, filter))


def _numbers(table: Any, scope: Scope) -> Select[Any]:
    return select(table.c.id).where(table.c.chain_id == scope.chain_id)


def actions(rows: FromClause) -> Cases:
    """Returns the field of the EPCIS action of rows of events, canonical or not."""
    step = rows.c.biz_step
    # a step of the end of life has the same business step as a burn, and is observed
    burns = and_(rows.c.kind.in_((Kind.DEVICE_TRANSFERRED, Kind.DEVICE_BURNED)), step == BizStep.decommissioning)
    adds = step == BizStep.commissioning
    deletes = or_(step == BizStep.destroying, burns)
    conditions = {
        EpcisAction.ADD: adds,
        EpcisAction.OBSERVE: and_(step.is_not(None), negate(or_(adds, deletes))),
        EpcisAction.DELETE: deletes,
    }
    return Cases({action: _always(condition) for action, condition in conditions.items()})


def _always(condition: Condition) -> Callable[[Scope], Condition]:
    return lambda scope: condition


def _level(scope: Scope) -> ColumnElement[int]:
    level = block.alias("of_event")
    return (
        select(level.c.level)
        .where(level.c.chain_id == event.c.chain_id, level.c.number == block_number_of(event.c.position))
        .correlate(event)
        .scalar_subquery()
    )


def _verified_to(wanted: VerificationLevel, scope: Scope) -> Condition:
    return _level(scope) == int(wanted)


def _up_to(column: ColumnElement[Any], scope: Scope) -> Condition:
    number = (
        select(func.coalesce(column, literal_column("-1")))
        .where(tables.chain.c.chain_id == scope.chain_id)
        .correlate(scope.keys)
        .scalar_subquery()
    )
    return block_number_of(event.c.position) <= number


def _final(scope: Scope) -> Condition:
    return _up_to(tables.chain.c.finalized_number, scope)


def _safe(scope: Scope) -> Condition:
    return and_(_up_to(tables.chain.c.safe_number, scope), negate(_final(scope)))


def _unsafe(scope: Scope) -> Condition:
    return negate(or_(_final(scope), _up_to(tables.chain.c.safe_number, scope)))


def _nothing(scope: Scope) -> Condition:
    # what a reorg took back is in no list of canonical events
    return false()


FINALITIES: Mapping[str, Any] = {"FINALIZED": _final, "SAFE": _safe, "UNSAFE": _unsafe, "ORPHANED": _nothing}


def _flag(scope: Scope, wishes: Filter) -> Condition:
    flags = flags_at(scope)
    conditions = []
    for operator, value in wishes:
        match operator:
            case "any":
                conditions.append(flags != 0 if value else flags == 0)
            case "eq":
                conditions.append(flags.op("&")(int(value)) != 0)
            case _:
                mask = sum({int(flag) for flag in value})
                conditions.append(flags.op("&")(mask) != 0)
    return and_(*conditions)


FIELDS: Fields = {
    "kind": Exact(event.c.kind),
    "device": Computed(_device),
    "manufacturer_id": Related(
        event.c.manufacturer_id,
        partial(_numbers, tables.manufacturer),
        Number(tables.manufacturer.c.token_id, most=UINT256_MAX),
    ),
    "hardware_license_id": Related(
        event.c.hardware_license_id,
        partial(_numbers, tables.hardware_license),
        Number(tables.hardware_license.c.token_id, most=UINT256_MAX),
    ),
    "event_time": Moment(event.c.event_time),
    "record_time": Computed(_record_time),
    "action": actions(event),
    "biz_step": Words(event.c.biz_step, BIZ_STEPS),
    "disposition": Words(event.c.disposition, DISPOSITIONS),
    "block": BlockNumber(event.c.position),
    "transaction_hash": Exact(event.c.transaction_hash),
    "contract": Exact(event.c.address),
    "chain_id": Number(event.c.chain_id),
    "verification": Cases({level: partial(_verified_to, level) for level in VerificationLevel}),
    "finality": Cases(FINALITIES),
    "flag": Computed(_flag),
}


# Lists of events


def _of_chain(scope: Scope) -> Condition:
    return and_(event.c.chain_id == scope.chain_id, event.c.position <= scope.position)


def _mapped(scope: Scope) -> Condition:
    return and_(_of_chain(scope), event.c.kind != Kind.UNMAPPED)


def _of(column: ColumnElement[Any]) -> Any:
    return lambda scope: and_(_of_chain(scope), column == scope.id)


def _list(name: str, within: Any) -> Listing:
    parts = (Part(event, event.c.position, always),)
    return Listing(name, parts, within, select_events, event.c.position, FIELDS)


EVENTS = _list("lifecycleEvents", _mapped)
EVENTS_AND_UNMAPPED = _list("lifecycleEvents and unmapped", _of_chain)
HISTORY = _list("Device.history", _of(event.c.device_id))
MANUFACTURER_HISTORY = _list("Manufacturer.history", _of(event.c.manufacturer_id))
HARDWARE_LICENSE_HISTORY = _list("HardwareLicense.history", _of(event.c.hardware_license_id))


def _facts(name: str, table: Any, *conditions: Condition) -> Listing:
    """Returns the list of a device's events of one fact, walked by the narrow table of that fact."""

    def within(scope: Scope) -> Condition:
        return and_(
            table.c.chain_id == scope.chain_id,
            table.c.device_id == scope.id,
            table.c.position <= scope.position,
            *conditions,
        )

    parts = (Part(table, table.c.position, always),)
    return Listing(f"Device.{name}", parts, within, select_events, event.c.position, {})


def _tests(name: str, kind: str) -> Listing:
    return _facts(name, tables.test_result, tables.test_result.c.kind == kind)


IN_CIRCUIT_TESTS = _tests("inCircuitTests", "IN_CIRCUIT")
MECHANICAL_TESTS = _tests("mechanicalTests", "MECHANICAL")
QUALITY_INSPECTIONS = _tests("qualityInspections", "QUALITY")
FIRMWARE_UPDATES = _facts("firmwareUpdates", tables.firmware_update)
FACTORY_RESETS = _facts("factoryResets", tables.factory_reset)
END_OF_LIFE_STEPS = _facts("endOfLife.steps", tables.end_of_life_step)
TRANSFERS = _facts("transfers", tables.transfer)

BY_POSITION = Order("POSITION")


@cache
def event_order(field: str, descending: bool) -> Order:
    """Returns an order of events by a name of `LifecycleEventOrderField`."""
    if field == "POSITION":
        return Order(field, descending=descending)
    return by_time(field, event.c.event_time, descending)
