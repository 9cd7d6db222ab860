"""The history: every log of a watched contract, in the order of the chain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, case, false, func, literal_column, or_, select

from api.queries.blocks import first_position_from, last_position_of
from api.queries.chains import confirmed_position
from api.queries.devices import devices_fitting
from api.queries.licenses import manufacturer_owner
from api.queries.raw_logs import raw_columns
from api.queries.recorded import RECORDED_COLUMNS
from api.queries.sql import tables
from api.queries.sql.fields import (
    COMPARE,
    CaseField,
    CodeField,
    ComputedField,
    ExactField,
    NumberField,
    ScopedField,
    TimeField,
    ValueField,
    related_token_id,
)
from api.queries.sql.filters import Comparisons, Condition, Field, Fields, Filter, negate
from api.queries.sql.intervals import is_in_interval
from api.queries.sql.listings import BY_POSITION, Listing, ListPart, always, both_directions, by_time
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.relations import Columns, Relation, labeled
from api.queries.sql.scope import Scope, block_of_log
from api.queries.sql.times import seconds_down
from schema.events import Kind
from schema.tables.values import MAX_BLOCK_NUMBER, MAX_OFFSET, end_of_block, position
from schema.vocabulary import BizStep, Disposition, EpcisAction, EventFlag, VerificationLevel

event = tables.event
block = tables.block
later = event.alias("later")
block_of_event = block.alias("of_event")

DUPLICATE_MINT = int(EventFlag.DUPLICATE_MINT)


OF_BLOCK = {"block_hash": block.c.hash, "block_time": block.c.timestamp, "level": block.c.level}
"""The columns of an event that are those of its block."""


RAW = raw_columns(event)


def _events(scope: Scope, names: Columns, *others: ColumnElement[Any]) -> Select[Any]:
    columns = (
        {column.name: column for column in event.c}
        | RAW
        | OF_BLOCK
        | {"flags": flags_at(scope), "orphaned": literal_column("0")}
    )
    joined = OrderedJoin(scope.keys, event, event.c.chain_id == scope.chain_id)
    if not OF_BLOCK.keys().isdisjoint(names):
        joined = joined.then(block, block_of_log(block, event.c.chain_id, event.c.position))
    return select(*labeled(columns, names), *others).select_from(joined)


EVENT = Relation(
    "event",
    RECORDED_COLUMNS,
    _events,
    lambda scope: and_(event.c.position == scope.id, event.c.position <= scope.position),
)
"""Events that are in the chain at a point. The id of an event is its position."""


def select_events(scope: Scope) -> Select[Any]:
    """Returns the SELECT of `RECORDED_COLUMNS` at the scope of each key, without the condition which events."""
    return _events(scope, RECORDED_COLUMNS)


def flags_at(scope: Scope) -> ColumnElement[int]:
    """Returns the flags at the scope: the first of two mints is a duplicate once the second one has happened."""
    next_mint = (
        select(later.c.flags.op("&")(DUPLICATE_MINT))
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
    flags = event.c.flags.op("|")(func.coalesce(next_mint, literal_column("0")))
    return case((event.c.kind == Kind.DEVICE_MINTED, flags), else_=event.c.flags)


# Fields of a filter


@dataclass(frozen=True)
class BlockNumberField(ValueField):
    """The number of an event's block, compared as a range of positions."""

    position: ColumnElement[int]

    def equals(self, value: int) -> Condition:
        if not 0 <= value <= MAX_BLOCK_NUMBER:
            return false()
        return self.position.between(position(value, 0), end_of_block(value))

    def present(self) -> Condition:
        return self.position.is_not(None)

    def compare(self, operator: str, value: int) -> Condition:
        if not 0 <= value <= MAX_BLOCK_NUMBER:
            return self.present() if COMPARE[operator](0, value) else false()
        edge = end_of_block(value) if operator in ("gt", "lte") else position(value, 0)
        condition: Condition = COMPARE[operator](self.position, edge)
        return condition


def log_fields(logs: FromClause) -> Fields:
    """Returns the fields that canonical and orphaned events have in common, on a table of one or the other."""
    return {
        "kind": ExactField(logs.c.kind),
        "event_time": TimeField(logs.c.event_time),
        "action": _action(logs),
        "biz_step": CodeField(logs.c.biz_step, BizStep.__members__),
        "disposition": CodeField(logs.c.disposition, Disposition.__members__),
        "block": BlockNumberField(logs.c.position),
        "transaction_hash": ExactField(logs.c.transaction_hash),
        "contract": ExactField(logs.c.address),
        "chain_id": NumberField(logs.c.chain_id),
    }


def _action(logs: FromClause) -> CaseField:
    """Returns the field of the EPCIS action."""
    step = logs.c.biz_step
    # an end-of-life step may have the business step of a burn too, but is OBSERVE
    burns = and_(logs.c.kind.in_((Kind.DEVICE_TRANSFERRED, Kind.DEVICE_BURNED)), step == BizStep.decommissioning)
    adds = step == BizStep.commissioning
    deletes = or_(step == BizStep.destroying, burns)
    return CaseField(
        {
            EpcisAction.ADD: adds,
            EpcisAction.OBSERVE: and_(step.is_not(None), negate(or_(adds, deletes))),
            EpcisAction.DELETE: deletes,
        }
    )


def flags_condition(flags: ColumnElement[int], comparisons: Comparisons) -> Condition:
    """Returns the condition that flags fit the comparisons of an `EventFlagFilter`."""
    conditions: list[Condition] = []
    for operator, value in comparisons:
        if operator == "any":
            conditions.append(flags != 0 if value else flags == 0)
        else:
            mask = int(value) if operator == "eq" else sum({int(flag) for flag in value})
            conditions.append(flags.op("&")(mask) != 0)
    return and_(*conditions)


def _flag(scope: Scope, comparisons: Comparisons) -> Condition:
    return flags_condition(flags_at(scope), comparisons)


def _record_time(scope: Scope, comparisons: Comparisons) -> Condition:
    conditions: list[Condition] = []
    for operator, value in comparisons:
        second = seconds_down(value) if operator != "is_null" else 0
        has_fraction = operator != "is_null" and value.microsecond > 0
        match operator:
            case "is_null":
                conditions.append(false() if value else event.c.position.is_not(None))
            case "eq" if has_fraction:
                conditions.append(false())
            case "eq":
                conditions += [_from(scope, second), negate(_from(scope, second + 1))]
            case "gte":
                conditions.append(_from(scope, second + has_fraction))
            case "gt":
                conditions.append(_from(scope, second + 1))
            case "lt":
                conditions.append(event.c.position < scope.number(first_position_from, second + has_fraction))
            case _:
                conditions.append(event.c.position < scope.number(first_position_from, second + 1))
    return and_(*conditions)


def _from(scope: Scope, second: int) -> Condition:
    return event.c.position >= scope.number(first_position_from, second)


def _block_hash(scope: Scope, comparisons: Comparisons) -> Condition:
    """The event is in one of the blocks with these hashes: a range of positions each, so that the key finds it."""
    hashes = [hash for operator, value in comparisons for hash in ([value] if operator == "eq" else value)]
    ends = [scope.number(last_position_of, hash) for hash in hashes]
    return or_(*(event.c.position.between(end - literal_column(str(MAX_OFFSET)), end) for end in ends))


def _device(scope: Scope, filter: Filter) -> Condition:
    return event.c.device_id.in_(devices_fitting(scope, filter))


def _is_level(level: VerificationLevel) -> Condition:
    query = select(block_of_event.c.level).where(block_of_log(block_of_event, event.c.chain_id, event.c.position))
    return query.correlate(event).scalar_subquery() == int(level)


def _finality(scope: Scope) -> Field:
    at = event.c.position
    finalized, safe = scope.number(confirmed_position, "finalized"), scope.number(confirmed_position, "safe")
    return CaseField(
        {
            "FINALIZED": at <= finalized,
            "SAFE": and_(at > finalized, at <= safe),
            "UNSAFE": and_(at > finalized, at > safe),
            "ORPHANED": false(),  # no list of canonical events has an orphaned one
        }
    )


FIELDS: Fields = {
    **log_fields(event),
    "device": ComputedField(_device),
    "manufacturer_id": related_token_id(event.c.manufacturer_id, tables.manufacturer),
    "manufacturer_owner": manufacturer_owner(event.c.manufacturer_id),
    "hardware_license_id": related_token_id(event.c.hardware_license_id, tables.hardware_license),
    "vehicle_id": related_token_id(event.c.vehicle_id, tables.vehicle),
    "synthetic_device_id": related_token_id(event.c.synthetic_device_id, tables.synthetic_device),
    "record_time": ComputedField(_record_time),
    "block_hash": ComputedField(_block_hash),
    "verification": CaseField({level: _is_level(level) for level in VerificationLevel}),
    "finality": ScopedField(_finality),
    "flag": ComputedField(_flag),
}


# Lists


def _list(name: str, within: Callable[[Scope], Condition]) -> Listing:
    parts = (ListPart(event, event.c.position, always),)
    return Listing(name, parts, within, EVENT, event.c.position, FIELDS, is_in_interval, SETTLED)


SETTLED = frozenset({*log_fields(event), "manufacturer_id", "hardware_license_id"})
"""The fields that are columns of the event itself, and never change."""


def _of_chain(scope: Scope) -> Condition:
    return and_(event.c.chain_id == scope.chain_id, event.c.position <= scope.position)


def _mapped(scope: Scope) -> Condition:
    return and_(_of_chain(scope), event.c.kind != Kind.UNMAPPED)


def _history(name: str, column: ColumnElement[Any]) -> Listing:
    return _list(name, lambda scope: and_(_of_chain(scope), column == scope.id))


EVENTS = _list("lifecycleEvents", _mapped)
EVENTS_AND_UNMAPPED = _list("lifecycleEvents and unmapped", _of_chain)
HISTORY = _history("Device.history", event.c.device_id)
MANUFACTURER_HISTORY = _history("Manufacturer.history", event.c.manufacturer_id)
HARDWARE_LICENSE_HISTORY = _history("HardwareLicense.history", event.c.hardware_license_id)
VEHICLE_HISTORY = _history("Vehicle.history", event.c.vehicle_id)
SYNTHETIC_DEVICE_HISTORY = _history("SyntheticDevice.history", event.c.synthetic_device_id)
ACCOUNT_HISTORY = _history("Account.history", event.c.account_id)


def _of_kind(name: str, column: ColumnElement[Any], kind: Kind) -> Listing:
    """Returns the list of the events of one kind of a token."""
    return _list(name, lambda scope: and_(_of_chain(scope), column == scope.id, event.c.kind == kind))


VEHICLE_TRANSFERS = _of_kind("Vehicle.transfers", event.c.vehicle_id, Kind.VEHICLE_TRANSFERRED)
SYNTHETIC_DEVICE_TRANSFERS = _of_kind(
    "SyntheticDevice.transfers", event.c.synthetic_device_id, Kind.SYNTHETIC_DEVICE_TRANSFERRED
)


def _facts(name: str, table: Table, *conditions: Condition) -> Listing:
    """Returns the list of a device's events of one kind of fact, which walks the narrow table of that fact."""

    def within(scope: Scope) -> Condition:
        return and_(
            table.c.chain_id == scope.chain_id,
            table.c.device_id == scope.id,
            table.c.position <= scope.position,
            *conditions,
        )

    parts = (ListPart(table, table.c.position, always),)
    return Listing(f"Device.{name}", parts, within, EVENT, event.c.position, {})


def _tests(name: str, kind: str) -> Listing:
    return _facts(name, tables.test_result, tables.test_result.c.kind == kind)


IN_CIRCUIT_TESTS = _tests("inCircuitTests", "IN_CIRCUIT")
MECHANICAL_TESTS = _tests("mechanicalTests", "MECHANICAL")
QUALITY_INSPECTIONS = _tests("qualityInspections", "QUALITY")
FIRMWARE_UPDATES = _facts("firmwareUpdates", tables.firmware_update)
FACTORY_RESETS = _facts("factoryResets", tables.factory_reset)
END_OF_LIFE_STEPS = _facts("endOfLife.steps", tables.end_of_life_step)
TRANSFERS = _facts("transfers", tables.transfer)

EVENT_ORDERS = both_directions(BY_POSITION, by_time("EVENT_TIME", event.c.event_time))
"""The orders of events by (name of `LifecycleEventOrderField`, whether it descends)."""
