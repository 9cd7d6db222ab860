"""The root query fields. All fields of a request are read from one snapshot."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.filters import HardwareLicenseFilter, ManufacturerFilter, names_unmapped, to_filter
from api.graphql.inputs.orders import BY_MANUFACTURER_ID, NEWEST_FIRST, OLDEST_FIRST, ManufacturerOrder
from api.graphql.paging.connections import Connection, ListQuery, list_field, root_list
from api.graphql.plan.fields import Ref, computed
from api.graphql.roots.changes import ChangePage, changes
from api.graphql.roots.lookups import (
    ACCOUNT,
    DEVICE,
    HARDWARE_LICENSE,
    MANUFACTURER,
    SYNTHETIC_DEVICE,
    VEHICLE,
    lookup_field,
)
from api.graphql.roots.refetch import resolve_all
from api.graphql.roots.vehicles import synthetic_devices, vehicles
from api.graphql.types.authorizations import (
    ActiveAt,
    Authorization,
    AuthorizationFilterBy,
    AuthorizationScope,
    Scoped,
    authorization_query,
)
from api.graphql.types.devices import Device
from api.graphql.types.lifecycle_event import EventFilterBy, EventOrderBy, LifecycleEvent
from api.graphql.types.manufacturers import DeviceFilterBy, DeviceOrderBy, HardwareLicense, Manufacturer
from api.graphql.types.meta import Meta, meta
from api.graphql.types.node import Node
from api.graphql.types.orphans import OrphanedEvent, orphan_list
from api.graphql.types.statistics import (
    DeviceStatistic,
    FailureStatistic,
    VehicleStatistic,
    device_statistics,
    failure_statistics,
    vehicle_statistics,
)
from api.graphql.types.transactions import IndexedTransaction, find_transaction
from api.graphql.types.vehicles import Account, SyntheticDevice, Vehicle
from api.queries.devices import DEVICE_ORDERS, DEVICES
from api.queries.events import EVENT_ORDERS, EVENTS, EVENTS_AND_UNMAPPED
from api.queries.licenses import HARDWARE_LICENSES, MANUFACTURER_ORDERS, MANUFACTURERS

ManufacturerFilterBy = Annotated[
    ManufacturerFilter | None, strawberry.argument(description="Returns only manufacturers that pass this filter.")
]
ManufacturerOrderBy = Annotated[ManufacturerOrder | None, strawberry.argument(description="The order of the list.")]
HardwareLicenseFilterBy = Annotated[
    HardwareLicenseFilter | None,
    strawberry.argument(description="Returns only hardware licenses that pass this filter."),
]
Rows = Sequence[Any]
"""The rows of a root field's parent: one, without cells."""


def _devices(
    context: Context, *, filter_by: DeviceFilterBy = UNSET, order_by: DeviceOrderBy = NEWEST_FIRST
) -> ListQuery:
    return ListQuery(DEVICES, DEVICE_ORDERS[(order_by or NEWEST_FIRST).key], to_filter(filter_by))


def _manufacturers(
    context: Context, *, filter_by: ManufacturerFilterBy = UNSET, order_by: ManufacturerOrderBy = BY_MANUFACTURER_ID
) -> ListQuery:
    filter = _with_whole(to_filter(filter_by), context.snapshot.whole_manufacturing)
    return ListQuery(MANUFACTURERS, MANUFACTURER_ORDERS[(order_by or BY_MANUFACTURER_ID).key], filter)


def _hardware_licenses(context: Context, *, filter_by: HardwareLicenseFilterBy = UNSET) -> ListQuery:
    filter = _with_whole(to_filter(filter_by), context.snapshot.whole_hardware)
    return ListQuery(HARDWARE_LICENSES, filter=filter)


def _authorizations(
    context: Context,
    *,
    filter_by: AuthorizationFilterBy = UNSET,
    active_at: ActiveAt = UNSET,
    scope: Scoped = AuthorizationScope.ACTIVE,
) -> ListQuery:
    return authorization_query(filter_by, active_at, scope, of=None)


def _lifecycle_events(
    context: Context, *, filter_by: EventFilterBy = UNSET, order_by: EventOrderBy = OLDEST_FIRST
) -> ListQuery:
    filter = to_filter(filter_by)
    listing = EVENTS_AND_UNMAPPED if names_unmapped(filter) else EVENTS
    return ListQuery(listing, EVENT_ORDERS[(order_by or OLDEST_FIRST).key], filter)


def _node(
    context: Context,
    rows: Rows,
    *,
    id: Annotated[strawberry.ID, strawberry.argument(description="An id that the API returned.")],
) -> list[Ref | None]:
    return resolve_all(context, [id])


def _nodes(
    context: Context,
    rows: Rows,
    *,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="Ids that the API returned.")],
) -> list[list[Ref | None]]:
    return [resolve_all(context, ids)]


@strawberry.type(
    description="The queries. All fields of a request are read from one snapshot; `extensions.asOf` of the "
    "response names its block on each network."
)
class Query:
    device: Device | None = lookup_field(
        "The device with a key, null if there is none. A key that several devices have is refused "
        "(reason AMBIGUOUS); `extensions.candidates` of the error has their DIDs.",
        DEVICE,
    )
    devices: Connection[Device] = root_list("Devices, newest mint first by default.", _devices)
    manufacturer: Manufacturer | None = lookup_field(
        "The manufacturer with a key, null if there is none. A key that several manufacturers have is "
        "refused (reason AMBIGUOUS).",
        MANUFACTURER,
    )
    manufacturers: Connection[Manufacturer] = root_list(
        "Manufacturers, ordered by manufacturer id by default.", _manufacturers
    )
    hardware_license: HardwareLicense | None = lookup_field(
        "The hardware license with a key, null if there is none. A key that several hardware licenses "
        "have is refused (reason AMBIGUOUS).",
        HARDWARE_LICENSE,
    )
    hardware_licenses: Connection[HardwareLicense] = root_list(
        "Hardware licenses, in the order in which they were first granted.", _hardware_licenses
    )
    vehicle: Vehicle | None = lookup_field(
        "The vehicle with a key, null if there is none. A key that several vehicles have is refused (reason "
        "AMBIGUOUS).",
        VEHICLE,
    )
    vehicles: Connection[Vehicle] = root_list("Vehicles, burned ones included, newest mint first by default.", vehicles)
    synthetic_device: SyntheticDevice | None = lookup_field(
        "The synthetic device with a key, null if there is none. A key that several synthetic devices have is refused "
        "(reason AMBIGUOUS).",
        SYNTHETIC_DEVICE,
    )
    synthetic_devices: Connection[SyntheticDevice] = root_list(
        "Synthetic devices, burned ones included, newest mint first by default.", synthetic_devices
    )
    account: Account | None = lookup_field(
        "An account that granted access to what is its own, null if it never did.", ACCOUNT
    )
    authorizations: Connection[Authorization] = root_list(
        "Grants on all devices, vehicles and other subjects, in the order in which they were granted. A filter "
        "by user or organization lists what it may manage: the reverse of `authorizedUsers`.",
        _authorizations,
    )
    lifecycle_events: Connection[LifecycleEvent] = root_list(
        "The events of all devices, manufacturers, licenses and vehicles, oldest first by default.",
        _lifecycle_events,
    )
    changes: ChangePage = computed(
        "The change feed, oldest first, for programs that keep a copy of the events. It returns what the subscription "
        "`lifecycleEvents` pushes, with the same cursors. Pages do not stay at one block: pass `endCursor` as `after` "
        "to go on. Without `after` the feed starts with the first event.",
        changes,
    )
    orphaned_events: Connection[OrphanedEvent] = list_field(
        "The events that reorgs removed, latest first.", orphan_list
    )
    transaction: IndexedTransaction | None = computed(
        "The transaction with a hash. Null if no event of a watched contract is indexed in it, so also "
        "while it is not indexed yet.",
        find_transaction,
    )
    device_statistics: list[DeviceStatistic] = computed(
        "The number of devices in each group, largest group first, at most 1,000. A request that makes more "
        "groups is refused.",
        device_statistics,
    )
    vehicle_statistics: list[VehicleStatistic] = computed(
        "The number of vehicles in each group, largest group first, at most 1,000. A request that makes more groups is "
        "refused.",
        vehicle_statistics,
    )
    failure_statistics: list[FailureStatistic] = computed(
        "How many tests and firmware updates of devices were recorded in each month, and how many of them failed, by "
        "activity, then by month, at most 1,000. A request that makes more is refused.",
        failure_statistics,
    )
    node: Node | None = computed(
        "The object with an id. Null if the id is malformed or unknown. An id that includes a block is read "
        "there again.",
        _node,
    )
    nodes: list[Node | None] = computed(
        "The objects with these ids, in the order of the ids, null for each id that is malformed or "
        "unknown. At most 100 ids.",
        _nodes,
    )
    meta: Meta = computed(
        "How fresh, how final and how well verified the data is. The response depends on the clock and is never "
        "cached. With `minBlock`, the whole request first waits up to 3 s until that block is indexed, then fails with "
        "NOT_READY. A block more than 64 beyond the head is refused at once with BAD_USER_INPUT.",
        meta,
        name="_meta",
    )


def _with_whole(filter: Any, whole: frozenset[tuple[int, bytes]]) -> Any:
    """Adds the contracts whose whole license history is indexed to a filter by license status.

    In other contracts the absence of a license is UNKNOWN.
    """
    contracts = tuple(sorted(whole))
    return tuple((name, (value, contracts) if name == "license_status" else value) for name, value in filter)
