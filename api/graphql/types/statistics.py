"""Counts of devices by what they have in common."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import Row

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import AsOf, pins_at
from api.graphql.inputs.filters import DeviceFilter, to_filter
from api.graphql.inputs.orders import told
from api.graphql.limits import MOST_GROUPS
from api.queries.sql.keys import key_of
from api.queries.statistics import Grouping
from schema.abi.keccak import checksummed
from schema.vocabulary import EndOfLifeStatus, Verdict

MOST_DIMENSIONS = 3


@strawberry.enum(description="What devices are grouped by.")
class DeviceDimension(Enum):
    CHAIN = told("CHAIN", "The network: its id.")
    CONTRACT = told("CONTRACT", "The contract of the token: its address.")
    MANUFACTURER = told("MANUFACTURER", "Who minted: the manufacturer id.")
    HARDWARE_LICENSE = told("HARDWARE_LICENSE", "The Hardware Device License of the mint: its number.")
    MODEL = told("MODEL", "The model of that licence, as it is named now.")
    FIRMWARE = told("FIRMWARE", "The current firmware version, as it was written.")
    OWNER = told("OWNER", "Who owns it: an address; absent when burned.")
    END_OF_LIFE_STATUS = told("END_OF_LIFE_STATUS", "How far its end of life is: a word of EndOfLifeStatus.")
    MINTED_MONTH = told("MINTED_MONTH", "The month of the mint by block time, in UTC: 2025-11.")
    QUALITY_INSPECTION = told("QUALITY_INSPECTION", "The last quality inspection: a word of Verdict.")


@strawberry.type(description="What the devices of a group have in common.")
class DeviceStatisticKey:
    dimension: DeviceDimension = strawberry.field(description="In what.")
    value: str | None = strawberry.field(description="Ids as decimal strings; null: absent.")


@strawberry.type(description="A group of devices.")
class DeviceStatistic:
    keys: list[DeviceStatisticKey] = strawberry.field(description="One a dimension, as asked, at most 3.")
    count: int = strawberry.field(description="How many devices it holds.")


async def device_statistics(
    context: Context, dimensions: list[DeviceDimension], filter_by: DeviceFilter | None, as_of: AsOf | None
) -> list[DeviceStatistic]:
    """Returns the groups of the devices that fit, largest first, then by value. Raises BadUserInput."""
    _check(dimensions)
    grouping = Grouping(tuple(dimension.name for dimension in dimensions), to_filter(filter_by))
    counts: Counter[tuple[str | None, ...]] = Counter()
    for pin in await pins_at(context, as_of):
        for row in await context.loaders.groups(grouping, MOST_GROUPS + 1, key_of(pin)):
            counts[_texts(dimensions, row)] += row.devices
    if len(counts) > MOST_GROUPS:
        raise BadUserInput(
            f"groupBy makes more than {MOST_GROUPS} groups: ask for fewer devices by filterBy, or for fewer dimensions."
        )
    return [
        DeviceStatistic(
            keys=[DeviceStatisticKey(dimension=one, value=value) for one, value in zip(dimensions, group, strict=True)],
            count=count,
        )
        for group, count in sorted(counts.items(), key=_rank)
    ]


def _check(dimensions: list[DeviceDimension]) -> None:
    if not 1 <= len(dimensions) <= MOST_DIMENSIONS:
        raise BadUserInput(
            f"groupBy holds {len(dimensions)} dimensions: give 1 to {MOST_DIMENSIONS}. Without any, ask for "
            "devices { totalCount }."
        )
    twice = [one.name for one, count in Counter(dimensions).items() if count > 1]
    if twice:
        raise BadUserInput(f"groupBy holds {twice[0]} twice: give each dimension once.")


def _texts(dimensions: list[DeviceDimension], row: Row[Any]) -> tuple[str | None, ...]:
    values: Sequence[Any] = row[:-1]
    return tuple(None if value is None else TEXT[one](value) for one, value in zip(dimensions, values, strict=True))


def _rank(counted: tuple[tuple[str | None, ...], int]) -> Any:
    group, count = counted
    return -count, [(value is None, value or "") for value in group]


TEXT: Mapping[DeviceDimension, Callable[[Any], str]] = {
    DeviceDimension.CHAIN: str,
    DeviceDimension.CONTRACT: checksummed,
    DeviceDimension.MANUFACTURER: str,
    DeviceDimension.HARDWARE_LICENSE: str,
    DeviceDimension.MODEL: str,
    DeviceDimension.FIRMWARE: str,
    DeviceDimension.OWNER: checksummed,
    DeviceDimension.END_OF_LIFE_STATUS: lambda status: EndOfLifeStatus(status).name,
    DeviceDimension.MINTED_MONTH: str,
    DeviceDimension.QUALITY_INSPECTION: lambda verdict: Verdict(verdict).name,
}
"""How a value is told."""
