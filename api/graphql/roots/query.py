"""The root: what a request may ask for. All of it answers at one snapshot."""

from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Info
from api.graphql.inputs.as_of import AsOfArgument, pins_at
from api.graphql.inputs.filters import HardwareLicenseFilter, ManufacturerFilter, to_filter
from api.graphql.inputs.orders import BY_MANUFACTURER_ID, NEWEST_FIRST, OLDEST_FIRST, ManufacturerOrder
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, Listed, connect
from api.graphql.roots.changes import ChangePage, FeedAfter, FeedFilterBy, FeedFirst, LeastFinality, changes
from api.graphql.roots.lookups import (
    DeviceBy,
    HardwareLicenseBy,
    ManufacturerBy,
    find_device,
    find_hardware_license,
    find_manufacturer,
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
from api.graphql.types.meta import Meta, await_block, meta
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

ManufacturerFilterBy = Annotated[ManufacturerFilter | None, strawberry.argument(description="Which manufacturers.")]
ManufacturerOrderBy = Annotated[ManufacturerOrder | None, strawberry.argument(description="In which order.")]
HardwareLicenseFilterBy = Annotated[HardwareLicenseFilter | None, strawberry.argument(description="Which licences.")]


@strawberry.type(
    description="What may be asked. One request reads one snapshot; `extensions.asOf` tells at which blocks."
)
class Query:
    @field(
        "One device, or null. A key that several devices carry is refused (reason AMBIGUOUS, the candidates' DIDs in "
        "`extensions.candidates`)."
    )
    async def device(
        self,
        info: Info,
        by: Annotated[DeviceBy, strawberry.argument(description="Which device.")],
        as_of: AsOfArgument = UNSET,
    ) -> Device | None:
        found = await find_device(info.context, by, as_of)
        return None if found is None else to_device(*found)

    @connection_field("Devices, newest mint first.")
    async def devices(
        self,
        info: Info,
        page: PageArguments,
        filter_by: DeviceFilterBy = UNSET,
        order_by: DeviceOrderBy = NEWEST_FIRST,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[Device]:
        listed = Listed(DEVICES, (order_by or NEWEST_FIRST).order, filter=to_filter(filter_by))
        return await connect(info, listed, page, await pins_at(info.context, as_of), to_device)

    @field("One manufacturer, or null.")
    async def manufacturer(
        self,
        info: Info,
        by: Annotated[ManufacturerBy, strawberry.argument(description="Which manufacturer.")],
        as_of: AsOfArgument = UNSET,
    ) -> Manufacturer | None:
        found = await find_manufacturer(info.context, by, as_of)
        return None if found is None else to_manufacturer(*found)

    @connection_field("Manufacturers, by manufacturer id.")
    async def manufacturers(
        self,
        info: Info,
        page: PageArguments,
        filter_by: ManufacturerFilterBy = UNSET,
        order_by: ManufacturerOrderBy = BY_MANUFACTURER_ID,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[Manufacturer]:
        filter = _with_whole(to_filter(filter_by), info.context.snapshot.whole_manufacturing)
        listed = Listed(MANUFACTURERS, (order_by or BY_MANUFACTURER_ID).order, filter=filter)
        return await connect(info, listed, page, await pins_at(info.context, as_of), to_manufacturer)

    @field("One hardware licence, or null.")
    async def hardware_license(
        self,
        info: Info,
        by: Annotated[HardwareLicenseBy, strawberry.argument(description="Which licence.")],
        as_of: AsOfArgument = UNSET,
    ) -> HardwareLicense | None:
        found = await find_hardware_license(info.context, by, as_of)
        return None if found is None else to_hardware_license(*found)

    @connection_field("Hardware licences, the first granted first.")
    async def hardware_licenses(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HardwareLicenseFilterBy = UNSET,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[HardwareLicense]:
        filter = _with_whole(to_filter(filter_by), info.context.snapshot.whole_hardware)
        listed = Listed(HARDWARE_LICENSES, BY_POSITION, filter=filter)
        return await connect(info, listed, page, await pins_at(info.context, as_of), to_hardware_license)

    @connection_field(
        "Which devices may this user or organization manage: the exact reverse of `Device.authorizedUsers`. In the "
        "order of the grants."
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

    @connection_field("Events of all devices and licences.")
    async def lifecycle_events(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HistoryFilterBy = UNSET,
        order_by: HistoryOrderBy = OLDEST_FIRST,
        as_of: AsOfArgument = UNSET,
    ) -> Connection[LifecycleEvent]:
        filter = to_filter(filter_by)
        listed = Listed(events_listing(filter), (order_by or OLDEST_FIRST).order, filter=filter)
        return await connect_events(info, listed, page, await pins_at(info.context, as_of))

    @field(
        "The change feed, oldest first, for programs that keep a copy: what the subscription pushes, by pull, with the "
        "same cursors. Not pinned: ask again with `endCursor`. Without `after`: from the first event."
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

    @connection_field("What reorgs took back, latest first.")
    async def orphaned_events(
        self,
        info: Info,
        page: PageArguments,
        filter_by: HistoryFilterBy = UNSET,
    ) -> Connection[OrphanedEvent]:
        return await orphaned_events(info, page, filter_by)

    @field("A transaction that holds at least one of our events; null when none is indexed (yet).")
    async def transaction(
        self,
        info: Info,
        hash: Annotated[Bytes32, strawberry.argument(description="The transaction's hash.")],
        chain_id: Annotated[BigInt | None, strawberry.argument(description="One network; all without it.")] = UNSET,
    ) -> IndexedTransaction | None:
        return await find_transaction(info.context, hash, None if chain_id is UNSET else chain_id)

    @field("Counts of devices, largest first; at most 1,000 groups, more are refused.")
    async def device_statistics(
        self,
        info: Info,
        group_by: Annotated[
            list[DeviceDimension],
            strawberry.argument(description="One to three dimensions: a group for each combination that there is."),
        ],
        filter_by: DeviceFilterBy = UNSET,
        as_of: AsOfArgument = UNSET,
    ) -> list[DeviceStatistic]:
        return await device_statistics(info.context, group_by, filter_by, as_of)

    @field("An id read under `asOf` carries its block and answers there again; a malformed or unknown id is null.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="An id that the API gave.")]
    ) -> Node | None:
        return await resolve(info.context, id)

    @field("At most 100 ids; order kept, null in gaps.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Ids that the API gave.")],
    ) -> list[Node | None]:
        return await resolve_all(info.context, ids)

    @field(
        "How fresh, how final and how well verified the answers are. Depends on the clock: never cached. With "
        "`minBlock` the whole request first waits, at most 3 s, until that block is indexed (then NOT_READY; more than "
        "64 past the head: BAD_USER_INPUT at once).",
        name="_meta",
    )
    async def meta(
        self,
        info: Info,
        min_block: Annotated[
            BigInt | None, strawberry.argument(description="The least block to answer at, of `chainId`.")
        ] = UNSET,
        chain_id: Annotated[BigInt | None, strawberry.argument(description="One network; all without it.")] = UNSET,
    ) -> Meta:
        await_block(info.context, min_block, chain_id)
        return await meta(info.context, None if chain_id is UNSET else chain_id)


def _with_whole(filter: Any, whole: frozenset[tuple[int, bytes]]) -> Any:
    """Tells a wish about licences whose whole history is indexed: absence is UNKNOWN elsewhere."""
    told = tuple(sorted(whole))
    return tuple((name, (wish, told) if name == "license_status" else wish) for name, wish in filter)
