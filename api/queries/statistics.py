"""Counts of devices by what they have in common, in one statement a network.

Devices are grouped by what their own rows hold; only the groups are then joined with the manufacturers and licences
that they name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
    true,
)

from api.queries.devices import DEVICES
from api.queries.sql import tables
from api.queries.sql.filters import LAST_SECOND, Filter, matches
from api.queries.sql.keys import Key, key_rows
from api.queries.sql.pages import walk
from api.queries.sql.scope import Scope, scope_of

device = tables.device
version = tables.device_version
activity = tables.device_activity
license_version = tables.hardware_license_version


class Grouping(NamedTuple):
    """By which dimensions, in this order, and of which devices."""

    dimensions: tuple[str, ...]
    filter: Filter


def device_groups(connection: Connection, grouping: Grouping, keys: Sequence[Key], limit: int) -> list[list[Row[Any]]]:
    """Returns the groups of each key's chain, at most `limit`: a value for each dimension, and how many devices."""
    return [_groups(connection, grouping, key, limit) for key in keys]


def _groups(connection: Connection, grouping: Grouping, key: Key, limit: int) -> list[Row[Any]]:
    scope = scope_of(key_rows(connection, [key]))
    dimensions = [DIMENSIONS[name] for name in grouping.dimensions]
    held = [dimension.held(connection) for dimension in dimensions]
    conditions = (DEVICES.within(scope), matches(scope, grouping.filter, DEVICES.fields))
    columns = [column.label(f"held_{index}") for index, column in enumerate(held)]
    devices = (
        walk(DEVICES, scope, conditions, held)
        .with_only_columns(*columns, func.count().label("devices"))
        .group_by(*held)
        .subquery("devices")
    )
    named: FromClause = devices.join(scope.keys, true())
    values: list[ColumnElement[Any]] = []
    for index, dimension in enumerate(dimensions):
        named, value = dimension.named(named, devices.c[f"held_{index}"], scope)
        values.append(value)
    counted = cast(func.sum(devices.c.devices), BigInteger).label("devices")
    query = select(*values, counted).select_from(named).group_by(*values).order_by(counted.desc()).limit(limit)
    return list(connection.execute(query))


Named = tuple[FromClause, ColumnElement[Any]]


class Dimension(NamedTuple):
    """`held` is a device's own column; `named` joins what it names to the groups, and returns the group's value."""

    held: Callable[[Connection], ColumnElement[Any]]
    named: Callable[[FromClause, ColumnElement[Any], Scope], Named]


def _itself(groups: FromClause, held: ColumnElement[Any], scope: Scope) -> Named:
    return groups, held


def _number_of(things: Table) -> Callable[[FromClause, ColumnElement[Any], Scope], Named]:
    def number(groups: FromClause, held: ColumnElement[Any], scope: Scope) -> Named:
        named = and_(things.c.chain_id == scope.chain_id, things.c.id == held)
        return groups.outerjoin(things, named), things.c.token_id

    return number


def _model(groups: FromClause, held: ColumnElement[Any], scope: Scope) -> Named:
    licensed = and_(license_version.c.hardware_license_id == held, scope.holds(license_version))
    return groups.outerjoin(license_version, licensed), license_version.c.model


def _month(connection: Connection) -> ColumnElement[Any]:
    minted = version.c.minted_at
    # whole in the statement: PostgreSQL takes an expression with parameters for another one in GROUP BY
    if connection.dialect.name == "sqlite":
        month = func.strftime(_constant("'%Y-%m'"), minted, _constant("'unixepoch'"), type_=String)
    else:
        time = func.timezone(_constant("'UTC'"), func.to_timestamp(minted))
        month = func.to_char(time, _constant("'YYYY-MM'"), type_=String)
    return case((minted <= _constant(str(LAST_SECOND)), month))


def _constant(text: str) -> ColumnElement[Any]:
    constant: ColumnElement[Any] = literal_column(text)
    return constant


def _column(column: ColumnElement[Any]) -> Callable[[Connection], ColumnElement[Any]]:
    return lambda connection: column


DIMENSIONS: Mapping[str, Dimension] = {
    "CHAIN": Dimension(_column(version.c.chain_id), _itself),
    "CONTRACT": Dimension(_column(device.c.contract), _itself),
    "MANUFACTURER": Dimension(_column(version.c.manufacturer_id), _number_of(tables.manufacturer)),
    "HARDWARE_LICENSE": Dimension(_column(version.c.hardware_license_id), _number_of(tables.hardware_license)),
    "MODEL": Dimension(_column(version.c.hardware_license_id), _model),
    "FIRMWARE": Dimension(_column(activity.c.firmware), _itself),
    "OWNER": Dimension(_column(version.c.owner), _itself),
    "END_OF_LIFE_STATUS": Dimension(_column(version.c.end_of_life_status), _itself),
    "MINTED_MONTH": Dimension(_month, _itself),
    "QUALITY_INSPECTION": Dimension(_column(version.c.quality_inspection), _itself),
}
