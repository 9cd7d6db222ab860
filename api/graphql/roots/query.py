"""The root query fields. All fields of a request are read from one snapshot."""

from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Info
from api.graphql.inputs.as_of import AsOfArgument, pins_at
from api.graphql.inputs.filters import HardwareLicenseFilter, ManufacturerFilter, to_filter
from api.graphql.inputs.orders import BY_MANUFACTURER_ID, NEWEST_FIRST, OLDEST_FIRST, ManufacturerOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, ListQuery, connect
from api.graphql.roots.changes import ChangePage, FeedAfter, FeedFilterBy, FeedFirst, LeastFinality, changes
from api.graphql.roots.lookups import (
    DEVICE,
    HARDWARE_LICENSE,
    MANUFACTURER,
    DeviceBy,
    HardwareLicenseBy,
    ManufacturerBy,
    find,
)
from api.graphql.roots.refetch import resolve, resolve_all
from api.graphql.types.authorizations import (
    ActiveAt,
    Authorization,
    AuthorizationFilterBy,
    AuthorizationScope,
    Scoped,
    connect_authorizations,
)
from api.graphql.types.devices import Device, HistoryFilterBy, HistoryOrderBy, to_device
from api.graphql.types.event_rows import connect_events, events_listing
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.manufacturers import (
    DeviceFilterBy,
    DeviceOrderBy,
    HardwareLicense,
    Manufacturer,
    to_hardware_license,
    to_manufacturer,
)
from api.graphql.types.meta import ChainIdArgument, Meta, await_block, meta
from api.graphql.types.node import Node
from api.graphql.types.orphans import OrphanedEvent, orphaned_events
from api.graphql.types.statistics import DeviceDimension, DeviceStatistic, device_statistics
from api.graphql.types.transactions import IndexedTransaction, find_transaction
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import BigInt, Bytes32
from api.queries.devices import DEVICES
from api.queries.licenses import HARDWARE_LICENSES, MANUFACTURERS
from api.queries.sql.pages import BY_POSITION

ManufacturerFilterBy = Annotated[
    ManufacturerFilter | None, strawberry.argument(description="Returns only manufacturers that pass this filter.")
]
ManufacturerOrderBy = Annotated[ManufacturerOrder | None, strawberry.argument(description="The order of the list.")]
HardwareLicenseFilterBy = Annotated[
    HardwareLicenseFilter | None,
    strawberry.argument(description="Returns only hardware licenses that pass this filter."),
]


@strawberry.type(
    description="The queries. All fields of a request are read from one snapshot; `extensions.asOf` of the "
    "response names its block on each network."
)
class Query:
    @field(
        "The device with a key, null if there is none. A key that several devices have is refused "
        "(reason AMBIGUOUS); `extensions.candidates` of the error has their DIDs."
    )
    async def device(
        self,
        info: Info,
        by: Annotated[DeviceBy, strawberry.argument(description="The key of the device.")],
        as_of: AsOfArgument = UNSET,
    ) -> Device | None:
        row_and_pin = await find(info.context, DEVICE, by, as_of)
        return None if row_and_pin is None else to_device(*row_and_pin)

    @connection_field("Devices, newest mint first unless `orderBy` says otherwise.")
    async def devices(
        self,
        info: Info,
        page: PageArguments,
        filter_by: DeviceFilterBy = UNSET,
        order_by: DeviceOrderBy = NEWEST_FIRST,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[Device]:
        query = ListQuery(DEVICES, (order_by or NEWEST_FIRST).order, filter=to_filter(filter_by))
        return await connect(info, query, page, await pins_at(info.context, as_of), to_device)

    @field(
        "The manufacturer with a key, null if there is none. A key that several manufacturers have is "
        "refused (reason AMBIGUOUS)."
    )
    async def manufacturer(
        self,
        info: Info,
        by: Annotated[ManufacturerBy, strawberry.argument(description="The key of the manufacturer.")],
        as_of: AsOfArgument = UNSET,
    ) -> Manufacturer | None:
        row_and_pin = await find(info.context, MANUFACTURER, by, as_of)
        return None if row_and_pin is None else to_manufacturer(*row_and_pin)

    @connection_field("Manufacturers, ordered by manufacturer id unless `orderBy` says otherwise.")
    async def manufacturers(
        self,
        info: Info,
        page: PageArguments,
        filter_by: ManufacturerFilterBy = UNSET,
        order_by: ManufacturerOrderBy = BY_MANUFACTURER_ID,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[Manufacturer]:
        filter = _with_whole(to_filter(filter_by), info.context.snapshot.whole_manufacturing)
        query = ListQuery(MANUFACTURERS, (order_by or BY_MANUFACTURER_ID).order, filter=filter)
        return await connect(info, query, page, await pins_at(info.context, as_of), to_manufacturer)

    @field(
        "The hardware license with a key, null if there is none. A key that several hardware licenses "
        "have is refused (reason AMBIGUOUS)."
    )
    async def hardware_license(
        self,
        info: Info,
        by: Annotated[HardwareLicenseBy, strawberry.argument(description="The key of the hardware license.")],
        as_of: AsOfArgument = UNSET,
    ) -> HardwareLicense | None:
        row_and_pin = await find(info.context, HARDWARE_LICENSE, by, as_of)
        return None if row_and_pin is None else to_hardware_license(*row_and_pin)

    @connection_field("Hardware licenses, in the order in which they were first granted.")
    async def hardware_licenses(
        self, info: Info, page: PageArguments, filter_by: HardwareLicenseFilterBy = UNSET, as_of: AsOfArgument = UNSET
    ) -> Connection[HardwareLicense]:
        filter = _with_whole(to_filter(filter_by), info.context.snapshot.whole_hardware)
        query = ListQuery(HARDWARE_LICENSES, BY_POSITION, filter=filter)
        return await connect(info, query, page, await pins_at(info.context, as_of), to_hardware_license)

    @connection_field(
        "Grants on all devices, in the order in which they were granted. Filtered by a user or an organization, they "
        "show which devices it may manage: the exact reverse of `Device.authorizedUsers`."
    )
    async def authorizations(
        self,
        info: Info,
        page: PageArguments,
        filter_by: AuthorizationFilterBy = UNSET,
        active_at: ActiveAt = UNSET,
        scope: Scoped = AuthorizationScope.ACTIVE,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[Authorization]:
        pins = await pins_at(info.context, as_of)
        return await connect_authorizations(info, page, pins, filter_by, active_at, scope)

    @connection_field(
        "The events of all devices, manufacturers, licenses and vehicles, oldest first unless `orderBy` says otherwise."
    )
    async def lifecycle_events(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HistoryFilterBy = UNSET,
        order_by: HistoryOrderBy = OLDEST_FIRST,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[LifecycleEvent]:
        filter = to_filter(filter_by)
        query = ListQuery(events_listing(filter), (order_by or OLDEST_FIRST).order, filter=filter)
        return await connect_events(info, query, page, await pins_at(info.context, as_of))

    @field(
        "The change feed, oldest first, for programs that keep a copy of the events. It returns what the subscription "
        "`lifecycleEvents` pushes, with the same cursors. Pages do not stay at one block: pass `endCursor` as `after` "
        "to go on. Without `after` the feed starts with the first event."
    )
    async def changes(
        self,
        info: Info,
        after: FeedAfter = UNSET,
        first: FeedFirst = UNSET,
        filter_by: FeedFilterBy = UNSET,
        finality: LeastFinality = Finality.UNSAFE,
    ) -> ChangePage:
        return await changes(info.context, after, first, filter_by, finality)

    @connection_field("The events that reorgs removed, latest first.")
    async def orphaned_events(
        self, info: Info, page: PageArguments, filter_by: HistoryFilterBy = UNSET
    ) -> Connection[OrphanedEvent]:
        return await orphaned_events(info, page, filter_by)

    @field(
        "The transaction with a hash. Null if no event of a watched contract is indexed in it, so also "
        "while it is not indexed yet."
    )
    async def transaction(
        self,
        info: Info,
        hash: Annotated[Bytes32, strawberry.argument(description="The hash of the transaction.")],
        chain_id: ChainIdArgument = UNSET,
    ) -> IndexedTransaction | None:
        return await find_transaction(info.context, hash, None if chain_id is UNSET else chain_id)

    @field(
        "The number of devices in each group, largest group first, at most 1,000. A request that makes more "
        "groups is refused."
    )
    async def device_statistics(
        self,
        info: Info,
        group_by: Annotated[
            list[DeviceDimension],
            strawberry.argument(
                description="One to three dimensions. Each combination of their values that occurs is a group."
            ),
        ],
        filter_by: DeviceFilterBy = UNSET,
        as_of: AsOfArgument = UNSET,
    ) -> list[DeviceStatistic]:
        return await device_statistics(info.context, group_by, filter_by, as_of)

    @field(
        "The object with an id. Null if the id is malformed or unknown. An id that includes a block is read "
        "there again."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="An id that the API returned.")]
    ) -> Node | None:
        return await resolve(info.context, id)

    @field(
        "The objects with these ids, in the order of the ids, null for each id that is malformed or "
        "unknown. At most 100 ids."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Ids that the API returned.")],
    ) -> list[Node | None]:
        return await resolve_all(info.context, ids)

    @field(
        "How fresh, how final and how well verified the data is. The response depends on the clock and is never "
        "cached. With `minBlock`, the whole request first waits up to 3 s until that block is indexed, then fails with "
        "NOT_READY. A block more than 64 beyond the head is refused at once with BAD_USER_INPUT.",
        name="_meta",
    )
    async def meta(
        self,
        info: Info,
        min_block: Annotated[
            BigInt | None, strawberry.argument(description="The minimum indexed block, on the network `chainId`.")
        ] = UNSET,
        chain_id: ChainIdArgument = UNSET,
    ) -> Meta:
        await_block(info.context, min_block, chain_id)
        return await meta(info.context, None if chain_id is UNSET else chain_id)


def _with_whole(filter: Any, whole: frozenset[tuple[int, bytes]]) -> Any:
    """Adds the contracts whose whole license history is indexed to a filter by license status.

    In other contracts the absence of a license is UNKNOWN.
    """
    contracts = tuple(sorted(whole))
    return tuple((name, (value, contracts) if name == "license_status" else value) for name, value in filter)
