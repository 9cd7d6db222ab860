"""The root fields of vehicles, synthetic devices and granting accounts."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.filters import SyntheticDeviceFilter, VehicleFilter, to_filter
from api.graphql.inputs.orders import NEWEST_TOKEN_FIRST, TokenOrder
from api.graphql.paging.connections import ListQuery
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
