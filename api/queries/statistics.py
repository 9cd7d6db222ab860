"""Counts of devices and vehicles by what they have in common, and of tests and updates by month.

One statement reads a chain. Devices are first grouped by columns of their own rows. Only the groups are then joined
with the manufacturers and the licenses that they name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)

from api.queries.devices import DEVICES, devices_fitting
from api.queries.sql import tables
from api.queries.sql.filters import Filter
from api.queries.sql.intervals import Groups, Interval, interval_values
from api.queries.sql.keys import Key, scope_of_one
from api.queries.sql.listings import Listing
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope, block_of_log
from api.queries.sql.times import LAST_SECOND
from api.queries.vehicles import VEHICLES
from schema.vocabulary import FirmwareUpdateResult

device = tables.device
device_keys = tables.device_key
version = tables.device_version
activity = tables.device_activity
vehicle_version = tables.vehicle_version
license_version = tables.hardware_license_version
test = tables.test_result
update = tables.firmware_update
block = tables.block

UPDATE = "FIRMWARE_UPDATE"
NOT_INSTALLED = (FirmwareUpdateResult.FAILED, FirmwareUpdateResult.ROLLED_BACK)


class Grouping(NamedTuple):
    """What is counted, the dimensions of the groups in the order of their values, and a filter of the listing."""

    counted: "Counted"
    dimensions: tuple[str, ...]
    filter: Filter

    @property
    def is_settled(self) -> bool:
        """Whether only a row that an interval touched can be in different groups at its ends."""
        dimensions = (self.counted.dimensions[name] for name in self.dimensions)
        return self.counted.listing.is_settled(self.filter) and all(dimension.is_settled for dimension in dimensions)


def count_groups(
    connection: Connection, grouping: Grouping, keys: Sequence[Key], limit: int, interval: Interval | None = None
) -> list[Groups]:
    """Returns the largest `limit` groups of each key's chain, with an interval of the rows that it touched."""
    return [_groups(connection, grouping, key, limit, interval) for key in keys]


def _groups(connection: Connection, grouping: Grouping, key: Key, limit: int, interval: Interval | None) -> Groups:
    scope = scope_of_one(connection, key)
    dimensions = [grouping.counted.dimensions[name] for name in grouping.dimensions]
    grouped = [dimension.column(connection) for dimension in dimensions]
    columns = [column.label(f"column_{index}") for index, column in enumerate(grouped)]
    groups = (
        select_ids(grouping.counted.listing, scope, grouping.filter, grouped, is_touched=interval is not None)
        .with_only_columns(*columns, func.count().label("counted"))
        .group_by(*grouped)
        .subquery("counted")
    )
    joined: FromClause = groups.join(scope.keys, true())
    values: list[ColumnElement[Any]] = []
    for index, dimension in enumerate(dimensions):
        joined, value = dimension.value(joined, groups.c[f"column_{index}"], scope)
        values.append(value)
    counted = cast(func.sum(groups.c.counted), BigInteger).label("counted")
    query = select(*values, counted).select_from(joined).group_by(*values).order_by(counted.desc()).limit(limit)
    return Groups({tuple(row[:-1]): row.counted for row in connection.execute(query, interval_values(interval))})


def failure_counts(
    connection: Connection, filter: Filter, keys: Sequence[Key], limit: int, interval: Interval | None = None
) -> list[Groups]:
    """Returns, for each key's chain, how many activities of the devices that fit were recorded; at most `limit` groups.

    A group is (activity, month, whether they failed). An activity is a kind of test, or UPDATE. With an interval, the
    activities are those of the devices that it touched.
    """
    return [_failures(connection, filter, key, limit, interval) for key in keys]


def _failures(connection: Connection, filter: Filter, key: Key, limit: int, interval: Interval | None) -> Groups:
    scope = scope_of_one(connection, key)
    month = _month(connection, block.c.timestamp)

    def counted(facts: Table, activity: ColumnElement[str], failed: ColumnElement[bool]) -> Select[Any]:
        rows = scope.keys.join(
            facts,
            and_(
                facts.c.chain_id == scope.chain_id,
                facts.c.position <= scope.position,
                facts.c.device_id.in_(devices_fitting(scope, filter, is_touched=interval is not None)),
            ),
        ).join(block, block_of_log(block, facts.c.chain_id, facts.c.position))
        has_failed = case((failed, _constant("1")), else_=_constant("0"))
        groups = (activity, month, has_failed) if facts is test else (month, has_failed)
        return (
            select(
                activity.label("activity"),
                month.label("month"),
                has_failed.label("has_failed"),
                func.count().label("count"),
            )
            .select_from(rows)
            .group_by(*groups)
        )

    counts = union_all(
        counted(test, test.c.kind, test.c.passed.is_(False)),
        counted(update, literal(UPDATE, String), update.c.result.in_(NOT_INSTALLED)),
    )
    rows = connection.execute(counts.limit(limit), interval_values(interval))
    return Groups({(activity, month, bool(has_failed)): count for activity, month, has_failed, count in rows})


JoinedValue = tuple[FromClause, ColumnElement[Any]]


class Dimension(NamedTuple):
    """`column` is the device's own column, `value` joins what it names to the groups and returns the group's value.

    If `is_settled`, the value of a device changes only at an event about the device.
    """

    column: Callable[[Connection], ColumnElement[Any]]
    value: Callable[[FromClause, ColumnElement[Any], Scope], JoinedValue]
    is_settled: bool = True


def _of_column(column: ColumnElement[Any]) -> Dimension:
    return Dimension(lambda connection: column, lambda groups, value, scope: (groups, value))


def _token_id(column: ColumnElement[Any], identities: Table) -> Dimension:
    def value(groups: FromClause, id: ColumnElement[Any], scope: Scope) -> JoinedValue:
        named = and_(identities.c.chain_id == scope.chain_id, identities.c.id == id)
        return groups.outerjoin(identities, named), identities.c.token_id

    return Dimension(lambda connection: column, value)


def _model(groups: FromClause, id: ColumnElement[Any], scope: Scope) -> JoinedValue:
    licensed = and_(license_version.c.hardware_license_id == id, scope.holds(license_version))
    return groups.outerjoin(license_version, licensed), license_version.c.model


def _minted_month(minted_at: ColumnElement[int]) -> Dimension:
    return _of_column(minted_at)._replace(column=lambda connection: _month(connection, minted_at))


def _month(connection: Connection, seconds: ColumnElement[int]) -> ColumnElement[Any]:
    """Returns the month of a time in unix seconds, as 2025-11; null after the year 9999."""
    # constants, not parameters: PostgreSQL does not recognize an expression with parameters in GROUP BY
    if connection.dialect.name == "sqlite":
        month = func.strftime(_constant("'%Y-%m'"), seconds, _constant("'unixepoch'"), type_=String)
    else:
        time = func.timezone(_constant("'UTC'"), func.to_timestamp(seconds))
        month = func.to_char(time, _constant("'YYYY-MM'"), type_=String)
    return case((seconds <= _constant(str(LAST_SECOND)), month))


def _constant(text: str) -> ColumnElement[Any]:
    constant: ColumnElement[Any] = literal_column(text)
    return constant


DIMENSIONS: Mapping[str, Dimension] = {
    "CHAIN": _of_column(device_keys.c.chain_id),
    "CONTRACT": _of_column(device.c.contract),
    "MANUFACTURER": _token_id(device_keys.c.manufacturer_id, tables.manufacturer),
    "HARDWARE_LICENSE": _token_id(device_keys.c.hardware_license_id, tables.hardware_license),
    "MODEL": _of_column(device_keys.c.hardware_license_id)._replace(value=_model, is_settled=False),
    "FIRMWARE": _of_column(activity.c.firmware),
    "OWNER": _of_column(device_keys.c.owner),
    "END_OF_LIFE_STATUS": _of_column(version.c.end_of_life_status),
    "MINTED_MONTH": _minted_month(device_keys.c.minted_at),
    "QUALITY_INSPECTION": _of_column(version.c.quality_inspection),
}
"""By the names of `DeviceDimension`."""
VEHICLE_DIMENSIONS: Mapping[str, Dimension] = {
    "CHAIN": _of_column(vehicle_version.c.chain_id),
    "CONTRACT": _of_column(tables.vehicle.c.contract),
    "MANUFACTURER": _token_id(vehicle_version.c.manufacturer_id, tables.manufacturer),
    "DEFINITION": _of_column(vehicle_version.c.definition_id),
    "OWNER": _of_column(vehicle_version.c.owner),
    "MINTED_MONTH": _minted_month(vehicle_version.c.minted_at),
}
"""By the names of `VehicleDimension`."""


@dataclass(frozen=True)
class Counted:
    """A list whose rows are counted, and the dimensions by which they are grouped. Those of one list are equal."""

    listing: Listing
    dimensions: Mapping[str, Dimension] = field(compare=False)


COUNTED_DEVICES = Counted(DEVICES, DIMENSIONS)
COUNTED_VEHICLES = Counted(VEHICLES, VEHICLE_DIMENSIONS)
