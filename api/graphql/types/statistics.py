"""Counts of devices and vehicles, grouped by what they have in common, and of tests and updates by month."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

import strawberry
from sqlalchemy import Connection
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import AsOf, AsOfArgument, pins_at
from api.graphql.inputs.filters import VehicleFilter, to_filter
from api.graphql.limits import MOST_GROUPS
from api.graphql.types.manufacturers import DeviceFilterBy
from api.graphql.vocabulary.fields import enum_value
from api.queries.devices import DEVICES
from api.queries.sql.filters import Filter
from api.queries.sql.intervals import Groups, Interval
from api.queries.sql.keys import Key, key_of
from api.queries.statistics import (
    COUNTED_DEVICES,
    COUNTED_VEHICLES,
    UPDATE,
    Counted,
    Grouping,
    count_groups,
    failure_counts,
)
from schema.abi.keccak import checksummed
from schema.vocabulary import EndOfLifeStatus, Verdict

MOST_DIMENSIONS = 3


@strawberry.enum(description="A property by which devices are grouped.")
class DeviceDimension(Enum):
    CHAIN = enum_value("CHAIN", "The network: its EIP-155 chain id.")
    CONTRACT = enum_value("CONTRACT", "The address of the contract of the token.")
    MANUFACTURER = enum_value("MANUFACTURER", "The manufacturer id of the manufacturer that minted the device.")
    HARDWARE_LICENSE = enum_value("HARDWARE_LICENSE", "The number of the Hardware Device License of the mint.")
    MODEL = enum_value("MODEL", "The model of the hardware license, as it is named at the block of the response.")
    FIRMWARE = enum_value("FIRMWARE", "The version of the current firmware, as the contract emitted it.")
    OWNER = enum_value("OWNER", "The address of the owner. Null after a burn.")
    END_OF_LIFE_STATUS = enum_value("END_OF_LIFE_STATUS", "The status of the end of life: a value of EndOfLifeStatus.")
    MINTED_MONTH = enum_value("MINTED_MONTH", "The month of the block time of the mint, in UTC. Example: 2025-11")
    QUALITY_INSPECTION = enum_value(
        "QUALITY_INSPECTION", "The result of the last quality inspection: a value of Verdict."
    )


@strawberry.type(description="The value that all devices of a group have in one dimension.")
class DeviceStatisticKey:
    dimension: DeviceDimension = strawberry.field(description="The dimension.")
    value: str | None = strawberry.field(
        description="The value as text; ids are decimal strings. Null if the devices have no value."
    )


@strawberry.type(description="A group of devices.")
class DeviceStatistic:
    keys: list[DeviceStatisticKey] = strawberry.field(
        description="One key for each requested dimension, in the order of the request; at most 3."
    )
    count: int = strawberry.field(description="The number of devices in the group.")


@strawberry.enum(description="A property by which vehicles are grouped.")
class VehicleDimension(Enum):
    CHAIN = enum_value("CHAIN", "The network: its EIP-155 chain id.")
    CONTRACT = enum_value("CONTRACT", "The address of the contract of the token.")
    MANUFACTURER = enum_value("MANUFACTURER", "The manufacturer id.")
    DEFINITION = enum_value("DEFINITION", "The id of the device definition.")
    OWNER = enum_value("OWNER", "The address of the owner. Null after a burn.")
    MINTED_MONTH = enum_value("MINTED_MONTH", "The month of the block time of the mint, in UTC. Example: 2025-11")


@strawberry.type(description="The value that all vehicles of a group have in one dimension.")
class VehicleStatisticKey:
    dimension: VehicleDimension = strawberry.field(description="The dimension.")
    value: str | None = strawberry.field(
        description="The value as text; ids are decimal strings. Null if the vehicles have no value."
    )


@strawberry.type(description="A group of vehicles.")
class VehicleStatistic:
    keys: list[VehicleStatisticKey] = strawberry.field(
        description="One key for each requested dimension, in the order of the request; at most 3."
    )
    count: int = strawberry.field(description="The number of vehicles in the group.")


Group = tuple[str | None, ...]
KeyT = TypeVar("KeyT", DeviceStatisticKey, VehicleStatisticKey)


GROUPED_BY = strawberry.argument(
    description="One to three dimensions. Each combination of their values that occurs is a group."
)


def device_statistics(
    context: Context,
    rows: Sequence[Any],
    *,
    group_by: Annotated[list[DeviceDimension], GROUPED_BY],
    filter_by: DeviceFilterBy = UNSET,
    as_of: AsOfArgument = UNSET,
) -> list[list[DeviceStatistic]]:
    """Returns the groups of devices, largest first. Raises BadUserInput."""
    counts = _counts(context, COUNTED_DEVICES, group_by, to_filter(filter_by), as_of)
    return [[DeviceStatistic(keys=_keys(DeviceStatisticKey, group_by, group), count=count) for group, count in counts]]


def vehicle_statistics(
    context: Context,
    rows: Sequence[Any],
    *,
    group_by: Annotated[list[VehicleDimension], GROUPED_BY],
    filter_by: Annotated[
        VehicleFilter | None, strawberry.argument(description="Returns only vehicles that pass this filter.")
    ] = UNSET,
    as_of: AsOfArgument = UNSET,
) -> list[list[VehicleStatistic]]:
    """Returns the groups of vehicles, largest first. Raises BadUserInput."""
    counts = _counts(context, COUNTED_VEHICLES, group_by, to_filter(filter_by), as_of)
    return [
        [VehicleStatistic(keys=_keys(VehicleStatisticKey, group_by, group), count=count) for group, count in counts]
    ]


def _keys(key: Callable[..., KeyT], dimensions: Sequence[Enum], group: Group) -> list[KeyT]:
    return [key(dimension=dimension, value=value) for dimension, value in zip(dimensions, group, strict=True)]


def _counts(
    context: Context, counted: Counted, dimensions: Sequence[Enum], filter: Filter, as_of: AsOf | None
) -> list[tuple[Group, int]]:
    """Returns the groups, largest first, then by value. Raises BadUserInput."""
    plural = counted.listing.name
    _check(dimensions, plural)
    grouping = Grouping(counted, tuple(dimension.name for dimension in dimensions), filter)

    def count(connection: Connection, keys: Sequence[Key], interval: Interval | None) -> Sequence[Groups]:
        return count_groups(connection, grouping, keys, MOST_GROUPS + 1, interval)

    counts: Counter[Group] = Counter()
    for pin in pins_at(context, as_of):
        [groups] = context.read.groups(count, [key_of(pin)], grouping, is_settled=grouping.is_settled)
        for values, rows in groups.items():
            counts[_texts(dimensions, values)] += rows
    if len(counts) > MOST_GROUPS:
        raise BadUserInput(
            f"groupBy makes more than {MOST_GROUPS} groups: select fewer {plural} by filterBy, or fewer dimensions."
        )
    return sorted(counts.items(), key=_rank)


@strawberry.enum(description="An activity on a device that may fail: a test or an update.")
class Activity(Enum):
    IN_CIRCUIT_TEST = enum_value("IN_CIRCUIT", "An in-circuit test.")
    MECHANICAL_TEST = enum_value("MECHANICAL", "A mechanical test.")
    QUALITY_INSPECTION = enum_value("QUALITY", "A quality inspection.")
    FIRMWARE_UPDATE = enum_value(UPDATE, "A firmware update.")


@strawberry.type(description="The activities of one kind in one month.")
class FailureStatistic:
    activity: Activity = strawberry.field(description="The kind of activity.")
    month: str | None = strawberry.field(
        description="The month of the block time, in UTC. Example: 2025-11. Null after the year 9999."
    )
    count: int = strawberry.field(description="The number of activities that were recorded in the month.")
    failed: int = strawberry.field(
        description="How many of them failed. A firmware update failed if its result is FAILED or ROLLED_BACK."
    )


def failure_statistics(
    context: Context, rows: Sequence[Any], *, filter_by: DeviceFilterBy = UNSET, as_of: AsOfArgument = UNSET
) -> list[list[FailureStatistic]]:
    """Returns the counts by activity and month, in this order. Raises BadUserInput."""
    filter = to_filter(filter_by)

    def count(connection: Connection, keys: Sequence[Key], interval: Interval | None) -> Sequence[Groups]:
        return failure_counts(connection, filter, keys, 2 * MOST_GROUPS + 1, interval)

    totals: Counter[tuple[str, str | None]] = Counter()
    failures: Counter[tuple[str, str | None]] = Counter()
    for pin in pins_at(context, as_of):
        is_settled = DEVICES.is_settled(filter)
        [groups] = context.read.groups(count, [key_of(pin)], ("failures", filter), is_settled=is_settled)
        for (activity, month, has_failed), activities in groups.items():
            totals[activity, month] += activities
            failures[activity, month] += activities * has_failed
    if len(totals) > MOST_GROUPS:
        raise BadUserInput(f"There are more than {MOST_GROUPS} months: select fewer devices by filterBy.")
    order = [activity.value for activity in Activity]
    ordered = sorted(totals, key=lambda group: (order.index(group[0]), group[1] is None, group[1] or ""))
    return [
        [
            FailureStatistic(activity=Activity(group[0]), month=group[1], count=totals[group], failed=failures[group])
            for group in ordered
        ]
    ]


def _check(dimensions: Sequence[Enum], plural: str) -> None:
    if not 1 <= len(dimensions) <= MOST_DIMENSIONS:
        raise BadUserInput(
            f"groupBy holds {len(dimensions)} dimensions: give 1 to {MOST_DIMENSIONS}. Without dimensions, use "
            f"{plural} {{ totalCount }}."
        )
    repeated = [dimension.name for dimension, count in Counter(dimensions).items() if count > 1]
    if repeated:
        raise BadUserInput(f"groupBy holds {repeated[0]} twice: give each dimension once.")


def _texts(dimensions: Sequence[Enum], values: tuple[Any, ...]) -> Group:
    return tuple(
        None if value is None else TEXT_OF.get(dimension.name, str)(value)
        for dimension, value in zip(dimensions, values, strict=True)
    )


def _rank(counted: tuple[Group, int]) -> Any:
    group, count = counted
    return -count, [(value is None, value or "") for value in group]


TEXT_OF: Mapping[str, Callable[[Any], str]] = {
    "CONTRACT": checksummed,
    "OWNER": checksummed,
    "END_OF_LIFE_STATUS": lambda status: EndOfLifeStatus(status).name,
    "QUALITY_INSPECTION": lambda verdict: Verdict(verdict).name,
}
"""The text of a value in each dimension whose values are not written as they are."""
