"""The root query fields. All fields of a request are read from one snapshot."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.as_of import AsOfArgument
from api.graphql.inputs.filters import HardwareLicenseFilter, ManufacturerFilter, names_unmapped, to_filter
from api.graphql.inputs.orders import BY_MANUFACTURER_ID, NEWEST_FIRST, OLDEST_FIRST, ManufacturerOrder
from api.graphql.paging.arguments import PageArguments
from api.graphql.paging.connections import Connection, ListQuery, list_field, root_list
from api.graphql.plan.fields import Ref, computed
from api.graphql.roots.changes import ChangePage, FeedAfter, FeedFilterBy, FeedFirst, LeastFinality, changes
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
from api.graphql.roots.vehicles import (
    statistics_of_vehicles,
    synthetic_devices,
    vehicles,
)
from api.graphql.types.authorizations import (
    ActiveAt,
    Authorization,
    AuthorizationFilterBy,
    AuthorizationScope,
    Scoped,
    authorization_query,
)
from api.graphql.types.devices import Device, HistoryFilterBy, HistoryOrderBy
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.manufacturers import DeviceFilterBy, DeviceOrderBy, HardwareLicense, Manufacturer
from api.graphql.types.meta import ChainIdArgument, Meta, meta
from api.graphql.types.node import Node
from api.graphql.types.orphans import OrphanedEvent, OrphanList, orphan_list
from api.graphql.types.statistics import (
    DeviceDimension,
    DeviceStatistic,
    FailureStatistic,
    VehicleStatistic,
    device_statistics,
    failure_statistics,
)
from api.graphql.types.transactions import IndexedTransaction, find_transaction
from api.graphql.types.vehicles import Account, SyntheticDevice, Vehicle
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.scalars import BigInt, Bytes32
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
    context: Context, *, filter_by: HistoryFilterBy = UNSET, order_by: HistoryOrderBy = OLDEST_FIRST
) -> ListQuery:
    filter = to_filter(filter_by)
    listing = EVENTS_AND_UNMAPPED if names_unmapped(filter) else EVENTS
    return ListQuery(listing, EVENT_ORDERS[(order_by or OLDEST_FIRST).key], filter)


def _orphaned_events(context: Context, page: PageArguments, *, filter_by: HistoryFilterBy = UNSET) -> OrphanList:
    return orphan_list(page, filter_by)


def _changes(
    context: Context,
    rows: Rows,
    *,
    after: FeedAfter = UNSET,
    first: FeedFirst = UNSET,
    filter_by: FeedFilterBy = UNSET,
    finality: LeastFinality = Finality.UNSAFE,
) -> list[Any]:
    return [changes(context, after, first, filter_by, finality)]


def _transaction(
    context: Context,
    rows: Rows,
    *,
    hash: Annotated[Bytes32, strawberry.argument(description="The hash of the transaction.")],
    chain_id: ChainIdArgument = UNSET,
) -> list[Any]:
    return [find_transaction(context, hash, None if chain_id is UNSET else chain_id)]


def _device_statistics(
    context: Context,
    rows: Rows,
    *,
    group_by: Annotated[
        list[DeviceDimension],
        strawberry.argument(
            description="One to three dimensions. Each combination of their values that occurs is a group."
        ),
    ],
    filter_by: DeviceFilterBy = UNSET,
    as_of: AsOfArgument = UNSET,
) -> list[list[DeviceStatistic]]:
    return [device_statistics(context, group_by, filter_by, as_of)]


def _failure_statistics(
    context: Context, rows: Rows, *, filter_by: DeviceFilterBy = UNSET, as_of: AsOfArgument = UNSET
) -> list[list[FailureStatistic]]:
    return [failure_statistics(context, filter_by, as_of)]


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


def _meta(
    context: Context,
    rows: Rows,
    *,
    min_block: Annotated[
        BigInt | None, strawberry.argument(description="The minimum indexed block, on the network `chainId`.")
    ] = UNSET,  # it is awaited before the request is executed
    chain_id: ChainIdArgument = UNSET,
) -> list[Meta]:
    return [meta(context, None if chain_id is UNSET else chain_id)]


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
        _changes,
    )
    orphaned_events: Connection[OrphanedEvent] = list_field(
        "The events that reorgs removed, latest first.", _orphaned_events
    )
    transaction: IndexedTransaction | None = computed(
        "The transaction with a hash. Null if no event of a watched contract is indexed in it, so also "
        "while it is not indexed yet.",
        _transaction,
    )
    device_statistics: list[DeviceStatistic] = computed(
        "The number of devices in each group, largest group first, at most 1,000. A request that makes more "
        "groups is refused.",
        _device_statistics,
    )
    vehicle_statistics: list[VehicleStatistic] = computed(
        "The number of vehicles in each group, largest group first, at most 1,000. A request that makes more groups is "
        "refused.",
        statistics_of_vehicles,
    )
    failure_statistics: list[FailureStatistic] = computed(
        "How many tests and firmware updates of devices were recorded in each month, and how many of them failed, by "
        "activity, then by month, at most 1,000. A request that makes more is refused.",
        _failure_statistics,
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
        _meta,
        name="_meta",
    )


def _with_whole(filter: Any, whole: frozenset[tuple[int, bytes]]) -> Any:
    """Adds the contracts whose whole license history is indexed to a filter by license status.

    In other contracts the absence of a license is UNKNOWN.
    """
    contracts = tuple(sorted(whole))
    return tuple((name, (value, contracts) if name == "license_status" else value) for name, value in filter)
