"""The root fields of vehicles, synthetic devices and granting accounts."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.as_of import AsOfArgument
from api.graphql.inputs.filters import SyntheticDeviceFilter, VehicleFilter, to_filter
from api.graphql.inputs.orders import NEWEST_TOKEN_FIRST, TokenOrder
from api.graphql.paging.connections import ListQuery
from api.graphql.types.statistics import VehicleDimension, VehicleStatistic, vehicle_statistics
from api.queries.vehicles import SYNTHETIC_DEVICE_ORDERS, SYNTHETIC_DEVICES, VEHICLE_ORDERS, VEHICLES

VehicleFilterBy = Annotated[
    VehicleFilter | None, strawberry.argument(description="Returns only vehicles that pass this filter.")
]
OrderBy = Annotated[TokenOrder | None, strawberry.argument(description="The order of the list.")]


def vehicles(
    context: Context, *, filter_by: VehicleFilterBy = UNSET, order_by: OrderBy = NEWEST_TOKEN_FIRST
) -> ListQuery:
    return ListQuery(VEHICLES, VEHICLE_ORDERS[(order_by or NEWEST_TOKEN_FIRST).key], to_filter(filter_by))


def synthetic_devices(
    context: Context,
    *,
    filter_by: Annotated[
        SyntheticDeviceFilter | None,
        strawberry.argument(description="Returns only synthetic devices that pass this filter."),
    ] = UNSET,
    order_by: OrderBy = NEWEST_TOKEN_FIRST,
) -> ListQuery:
    return ListQuery(
        SYNTHETIC_DEVICES, SYNTHETIC_DEVICE_ORDERS[(order_by or NEWEST_TOKEN_FIRST).key], to_filter(filter_by)
    )


def statistics_of_vehicles(
    context: Context,
    rows: Sequence[Any],
    *,
    group_by: Annotated[
        list[VehicleDimension],
        strawberry.argument(
            description="One to three dimensions. Each combination of their values that occurs is a group."
        ),
    ],
    filter_by: VehicleFilterBy = UNSET,
    as_of: AsOfArgument = UNSET,
) -> list[list[VehicleStatistic]]:
    return [vehicle_statistics(context, group_by, filter_by, as_of)]
