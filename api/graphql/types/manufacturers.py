"""Manufacturers, their hardware licenses, and the devices that they minted."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.filters import DeviceFilter, to_filter
from api.graphql.inputs.orders import NEWEST_FIRST, DeviceOrder
from api.graphql.paging.connections import Connection, ListQuery, many
from api.graphql.paging.tokens import HardwareLicenseId, ManufacturerId
from api.graphql.plan.fields import column, computed, of, one
from api.graphql.types.authorizations import Authorization, authorized_users
from api.graphql.types.licenses import License, present_license
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.node import Node, node_id
from api.graphql.vocabulary.scalars import Address, BigInt, to_text
from api.queries.devices import DEVICE_ORDERS, DEVICES_OF_HARDWARE_LICENSE, DEVICES_OF_MANUFACTURER
from api.queries.events import HARDWARE_LICENSE_HISTORY, MANUFACTURER_HISTORY
from api.queries.licenses import HARDWARE_LICENSE, HARDWARE_LICENSES_OF_MANUFACTURER, MANUFACTURER
from api.queries.sql.listings import Listing
from api.queries.vehicles import VEHICLES_OF_MANUFACTURER
from schema.did import did_of
from schema.events import ManufacturerTransferred

if TYPE_CHECKING:
    from api.graphql.types.devices import Device
    from api.graphql.types.vehicles import Vehicle

Devices = Connection[Annotated["Device", strawberry.lazy("api.graphql.types.devices")]]
DeviceFilterBy = Annotated[
    DeviceFilter | None, strawberry.argument(description="Returns only devices that pass this filter.")
]
DeviceOrderBy = Annotated[DeviceOrder | None, strawberry.argument(description="The order of the list.")]


def _dids(context: Context, manufacturers: Sequence[tuple[int, bytes, int]]) -> list[str | None]:
    readers = context.snapshot.readers
    return [
        did_of(chain_id, contract, token_id)
        if readers[chain_id].has_rule_for(ManufacturerTransferred, contract)
        else None
        for chain_id, contract, token_id in manufacturers
    ]


def _devices_of(listing: Listing) -> Callable[..., Any]:
    def query(*, filter_by: DeviceFilterBy = UNSET, order_by: DeviceOrderBy = NEWEST_FIRST) -> ListQuery:
        return ListQuery(listing, DEVICE_ORDERS[(order_by or NEWEST_FIRST).key], to_filter(filter_by))

    return query


@strawberry.type(description="A manufacturer, which may mint device certificates while it is licensed.")
@of(MANUFACTURER)
class Manufacturer(Node):
    id: strawberry.ID = node_id(ManufacturerId.of_token, "chain_id", "contract", "token_id")
    token_id: BigInt = column("The manufacturer id. If manufacturers are NFTs, the token id.")
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    contract: Address = column("The address of the contract that assigns the id.")
    name: str | None = column("The name as the registrar wrote it. Null if it is unknown.", to_text)
    owner: Address | None = column(
        "The licensed account. If manufacturers are NFTs, the owner of the NFT. Null if it is unknown.",
        source="account",
    )
    token_did: str | None = computed(
        "The DID of the manufacturer. Null if manufacturers are not NFTs in this contract.",
        _dids,
        "chain_id",
        "contract",
        "token_id",
        name="tokenDID",
    )
    license: License = present_license(MANUFACTURER, "The Manufacturing License in its present state.")
    hardware_licenses: Connection[Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]] = (
        many(
            "The Hardware Device Licenses of the manufacturer, in the order in which they were first granted.",
            HARDWARE_LICENSES_OF_MANUFACTURER,
        )
    )
    devices: Devices = many(
        "The devices that the manufacturer minted, newest mint first by default.",
        _devices_of(DEVICES_OF_MANUFACTURER),
    )
    vehicles: Connection[Annotated["Vehicle", strawberry.lazy("api.graphql.types.vehicles")]] = many(
        "The vehicles of the manufacturer, in the order of the token.", VEHICLES_OF_MANUFACTURER
    )
    authorized_users: Connection[Authorization] = many(
        "The grants on the manufacturer, in the order in which they were granted.", authorized_users(MANUFACTURER)
    )
    history: Connection[LifecycleEvent] = many(
        "The events of the manufacturer, of its license and of its hardware licenses, oldest first.",
        MANUFACTURER_HISTORY,
    )


@strawberry.type(description="A Hardware Device License: the permission to mint certificates for one device model.")
@of(HARDWARE_LICENSE)
class HardwareLicense(Node):
    id: strawberry.ID = node_id(HardwareLicenseId.of_token, "chain_id", "contract", "token_id")
    hardware_license_id: BigInt = column("The number of the hardware license in its contract.", source="token_id")
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    contract: Address = column("The address of the contract that assigns the id.")
    model: str | None = column("The licensed model. Null if it is unknown.", to_text)
    hardware_revision: str | None = column("The licensed hardware revision. Null if it is unknown.", to_text)
    manufacturer: Manufacturer | None = one(
        "The manufacturer that holds the hardware license. Null if the contract does not state it.",
        MANUFACTURER,
        "manufacturer_id",
    )
    license: License = present_license(HARDWARE_LICENSE, "The license in its present state.")
    devices: Devices = many(
        "The devices that were minted under the hardware license, newest mint first by default.",
        _devices_of(DEVICES_OF_HARDWARE_LICENSE),
    )
    history: Connection[LifecycleEvent] = many(
        "The grants and revocations of the hardware license, oldest first.", HARDWARE_LICENSE_HISTORY
    )
