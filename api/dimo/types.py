"""The types that have values: vehicles, devices, synthetic devices, manufacturers, grants and accounts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET

from api.dimo.absent import (
    DCN,
    DEFINITIONS,
    NAMES,
    REWARDS,
    STAKES,
    TEMPLATES,
    AftermarketDeviceEarnings,
    DeviceDefinition,
    Stake,
    StorageNode,
    Template,
    VehicleEarnings,
    device_definitions,
    empty_list,
    no_value,
)
from api.dimo.vocabulary import NotFound, Time, last_second, named, to_hex_number, to_optional_time, to_time
from api.graphql.context import Context
from api.graphql.inputs.operators import optional
from api.graphql.paging.connections import Connection as Page
from api.graphql.paging.connections import ListQuery, many
from api.graphql.paging.tokens import DeviceId, ManufacturerId, SyntheticDeviceId, VehicleId
from api.graphql.plan.fields import At, column, computed, of, one, row_of, value
from api.graphql.types.node import Node, node_id
from api.graphql.types.vehicles import INTEGRATIONS, connection_name
from api.graphql.vocabulary.scalars import Address, BigInt, to_text
from api.queries.authorizations import AUTHORIZATION, grant_list
from api.queries.blocks import blocks
from api.queries.devices import DEVICE, DEVICES_OF_MANUFACTURER
from api.queries.licenses import MANUFACTURER
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.listings import BY_POSITION, both_directions
from api.queries.sql.pages import PageQuery, Window
from api.queries.sql.relations import Relation
from api.queries.vehicles import (
    SYNTHETIC_DEVICE,
    VEHICLE,
    connected_devices,
    paired_devices,
    vehicle_attributes,
)
from schema.did import did_of
from schema.tables.values import block_of

NEWEST_FIRST = both_directions(BY_POSITION)["POSITION", True]
UNBURNED: Filter = (("burned", False),)


def equal(**values: Any) -> Filter:
    """Returns the filter that each field has its value; one without a value is left out."""
    return tuple((name, (("eq", value),)) for name, value in values.items() if value is not None and value is not UNSET)


def deprecated(field: Any, reason: str) -> Any:
    """Declares that a field has a successor."""
    field.deprecation_reason = reason
    return field


def token_did() -> Any:
    return value("The DID.", did_of, "chain_id", "contract", "token_id", name="tokenDID")


# Grants

PRIVILEGE: Filter = (("source", (("starts_with", "privilege"),)),)
SACD: Filter = equal(source="sacd")


@strawberry.type(description="A grant of one privilege on a vehicle.")
@of(AUTHORIZATION)
class Privilege:
    id: int = column("The number of the privilege.", int, source="scope")
    user: Address = column("The user.", source="user_address")
    set_at: Time = column("The time of the grant.", to_time, source="granted_at")
    expires_at: Time = value("The last second of the grant.", last_second, "grant_system", "expires_at")


@strawberry.type(description="A grant of permissions (Service Access Contract Definition).")
@of(AUTHORIZATION)
class Sacd:
    grantee: Address = column("The user.", source="user_address")
    permissions: str = column("The permissions as hex: two bits each.", to_hex_number)
    source: str = column("The URI of the agreement.", lambda uri: uri or "", source="agreement_uri")
    created_at: Time = column("The time of the grant.", to_time, source="granted_at")
    expires_at: Time = value("The first second without access.", last_second, "grant_system", "expires_at")
    template: Template | None = no_value(TEMPLATES)


@strawberry.input
class PrivilegeFilterBy:
    user: Address | None = optional("The user.")
    privilege_id: int | None = optional("The number of the privilege.")


def grants_on(relation: Relation | None, filter: Filter) -> ListQuery:
    """Returns the grants in force, newest first."""
    return ListQuery(grant_list(of=relation, ended=False, active_at=None), NEWEST_FIRST, filter)


def _privileges(*, filter_by: PrivilegeFilterBy | None = UNSET) -> ListQuery:
    if not filter_by:
        return grants_on(VEHICLE, PRIVILEGE)
    number = filter_by.privilege_id
    source = PRIVILEGE if number is None or number is UNSET else equal(source=f"privilege:{number}")
    return grants_on(VEHICLE, source + equal(user=filter_by.user))


def _sacds_on(relation: Relation) -> Callable[[], ListQuery]:
    return lambda: grants_on(relation, SACD)


def _sacd(context: Context, vehicles: Sequence[tuple[Pin, int]], *, grantee: Address) -> list[At | None]:
    listing = grants_on(VEHICLE, SACD + equal(user=grantee))
    query = PageQuery(listing.listing, listing.order, Window(1), listing.filter)
    pages = context.read.pages(query, [key_of(pin, id) for pin, id in vehicles])
    return [
        At(page.rows[0], pin, AUTHORIZATION) if page.rows else None
        for page, (pin, _) in zip(pages, vehicles, strict=True)
    ]


# Connections of vehicles to services


class ConnectionRow(NamedTuple):
    """A connection, or an integration of before 2025, by the number in the mint of a synthetic device."""

    connection_id: int


def _unknown(field: str) -> Any:
    def fail(connection_id: int) -> Any:
        raise NotFound(f"Connection.{field} is not indexed: the contract of connections is not watched.")

    return value("Not indexed.", fail, "connection_id")


@strawberry.type(description="A service that vehicles are connected to. Name and token id alone are indexed.")
class Connection:
    name: str = column(
        "The name: the text of the id. Of an integration: its number.",
        lambda id: connection_name(id) or f"Integration {id}",
        source="connection_id",
    )
    address: Address = _unknown("address")
    owner: Address = _unknown("owner")
    token_id: BigInt = column("The id.", source="connection_id")
    token_did: str = value(
        "Not indexed.", lambda id: _raise("Connection.tokenDID is not indexed."), "connection_id", name="tokenDID"
    )
    minted_at: Time = _unknown("mintedAt")
    sacds: Page[Sacd] = empty_list("Grants on connections are on a contract that is not watched.")


def _raise(message: str) -> Any:
    raise NotFound(message)


# Tokens


@strawberry.type(description="Make, model and year of a vehicle, as far as the chain has them.")
class Definition:
    id: str | None = strawberry.field(description="The id of the device definition.")
    make: str | None = strawberry.field(description="The attribute Make, else the name of the manufacturer.")
    model: str | None = strawberry.field(description="The attribute Model.")
    year: int | None = strawberry.field(description="The attribute Year, else the year in the id.")


class DefinitionRow(NamedTuple):
    id: str | None
    make: str | None
    model: str | None
    year: int | None


def _definitions(context: Context, vehicles: Sequence[tuple[Pin, int, str | None, int | None]]) -> list[Any]:
    named = context.read.each(vehicle_attributes, [key_of(pin, id) for pin, id, *_ in vehicles])
    makers = {(pin, maker) for pin, _, _, maker in vehicles if maker is not None}
    rows = context.read.cells(MANUFACTURER, ("name",), [key_of(pin, maker) for pin, maker in makers])
    names = {key: None if row is None else row[0] for key, row in zip(makers, rows, strict=True)}
    return [
        _definition(definition_id, {row.name: row.value for row in attributes}, names.get((pin, maker or 0)))
        for (pin, _, definition_id, maker), attributes in zip(vehicles, named, strict=True)
    ]


def _definition(id: str | None, attributes: Mapping[str, str], maker: str | None) -> DefinitionRow | None:
    year = attributes.get("Year") or (id or "").rpartition("_")[2]
    known = int(year) if year.isascii() and year.isdigit() and len(year) == 4 else None
    row = DefinitionRow(id or None, attributes.get("Make") or maker, attributes.get("Model"), known)
    return row if any(value is not None for value in row) else None


def _images(context: Context, vehicles: Sequence[tuple[Pin, int]]) -> list[str]:
    named = context.read.each(vehicle_attributes, [key_of(pin, id) for pin, id in vehicles])
    return [next((row.value for row in attributes if row.name == "ImageURI"), "") for attributes in named]


def _first_events(context: Context, manufacturers: Sequence[tuple[Pin, int]]) -> list[Time]:
    first_blocks = context.read.each(blocks, [(pin.chain_id, block_of(id)) for pin, id in manufacturers])
    return [to_time(0 if block is None else block.time) for block in first_blocks]


@strawberry.input
class AftermarketDevicesFilter:
    owner: Address | None = optional("The owner.")
    beneficiary: Address | None = optional("The beneficiary, which is the owner unless another was set.")
    manufacturer_id: int | None = optional("The manufacturer id.")


def devices_filter(filter_by: AftermarketDevicesFilter | None) -> Filter:
    """Returns the filter of the devices that are not burned and pass a filter of the API."""
    if not filter_by:
        return UNBURNED
    beneficiary = filter_by.beneficiary
    filter = UNBURNED + equal(owner=filter_by.owner, manufacturer_id=filter_by.manufacturer_id)
    if beneficiary is None or beneficiary is UNSET:
        return filter
    owner: Filter = (("beneficiary", (("is_null", True),)), *equal(owner=beneficiary))
    return (*filter, ("or", (equal(beneficiary=beneficiary), owner)))


def _devices_of(*, filter_by: AftermarketDevicesFilter | None = UNSET) -> ListQuery:
    return ListQuery(DEVICES_OF_MANUFACTURER, NEWEST_FIRST, devices_filter(filter_by))


@strawberry.type
@of(MANUFACTURER)
class Manufacturer(Node):
    id: strawberry.ID = node_id(ManufacturerId.of_token, "chain_id", "contract", "token_id")
    token_id: int = column("The token id.")
    token_did: str = token_did()
    name: str = column("The name.", lambda name: name or "")
    owner: Address = column("The owner.", source="account")
    table_id: int | None = no_value(DEFINITIONS)
    minted_at: Time = computed("The time of the first event that names it.", _first_events, "pin", "id")
    aftermarket_devices: Page[Annotated["AftermarketDevice", strawberry.lazy("api.dimo.types")]] = many(
        "Its devices, newest first.", _devices_of
    )
    device_definitions: Page[DeviceDefinition] = empty_list(DEFINITIONS, device_definitions)


@strawberry.type
@of(VEHICLE)
class Vehicle(Node):
    id: strawberry.ID = node_id(VehicleId.of_token, "chain_id", "contract", "token_id")
    token_id: int = column("The token id.")
    token_did: str = token_did()
    manufacturer: Manufacturer = one("The manufacturer.", MANUFACTURER, "manufacturer_id")
    owner: Address = column("The owner.")
    minted_at: Time = column("The time of the mint.", to_time)
    aftermarket_device: Annotated["AftermarketDevice", strawberry.lazy("api.dimo.types")] | None = computed(
        "The device that is paired with it.", row_of(DEVICE, paired_devices), "pin", "id"
    )
    privileges: Page[Privilege] = many("The privileges in force, newest first.", _privileges)
    sacds: Page[Sacd] = many("The permissions in force, newest first.", _sacds_on(VEHICLE))
    sacd: Sacd | None = computed("The permissions in force of one user.", _sacd, "pin", "id")
    synthetic_device: Annotated["SyntheticDevice", strawberry.lazy("api.dimo.types")] | None = computed(
        "The synthetic device.", row_of(SYNTHETIC_DEVICE, connected_devices), "pin", "id"
    )
    definition: Definition | None = computed(
        "Make, model and year.", _definitions, "pin", "id", "definition_id", "manufacturer_id"
    )
    dcn: DCN | None = no_value(NAMES)
    name: str = column("Vehicle and its token id.", named("Vehicle"), source="token_id")
    image_uri: str = computed("The attribute ImageURI, else empty.", _images, "pin", "id", name="imageURI")
    image: str = deprecated(computed("The attribute ImageURI, else empty.", _images, "pin", "id"), "Use imageURI.")
    earnings: VehicleEarnings | None = no_value(REWARDS)
    data_uri: str = value("Empty: it is not on the chain.", lambda token_id: "", "token_id", name="dataURI")
    stake: Stake | None = no_value(STAKES)
    storage_node: StorageNode | None = no_value("Storage nodes are in a contract that the profile does not watch.")


@strawberry.type
@of(DEVICE)
class AftermarketDevice(Node):
    id: strawberry.ID = node_id(DeviceId.of_token, "chain_id", "contract", "token_id")
    token_id: int = column("The token id.")
    token_did: str = token_did()
    manufacturer: Manufacturer = one("The manufacturer.", MANUFACTURER, "manufacturer_id")
    address: Address = column("The address of the device itself.")
    owner: Address = column("The owner.")
    serial: str | None = column("The serial number.", to_text, source="serial_number")
    imei: str | None = column("The IMEI.", to_text)
    dev_eui: str | None = column("The DevEUI.", to_text, name="devEUI")
    hardware_revision: str | None = column("The hardware revision.", to_text)
    minted_at: Time = column("The time of the mint.", to_time)
    claimed_at: Time | None = column("The time of the claim.", to_optional_time)
    vehicle: Vehicle | None = one("The vehicle that it is paired with.", VEHICLE, "vehicle_id")
    beneficiary: Address = value(
        "The account that receives the proceeds.", lambda set, owner: set or owner, "beneficiary", "owner"
    )
    name: str = column("Device and its token id.", named("Device"), source="token_id")
    image: str = value("Empty: it is not on the chain.", lambda token_id: "", "token_id")
    earnings: AftermarketDeviceEarnings | None = no_value(REWARDS)
    paired_at: Time | None = column("The time of the pairing.", to_optional_time)


@strawberry.type
@of(SYNTHETIC_DEVICE)
class SyntheticDevice(Node):
    id: strawberry.ID = node_id(SyntheticDeviceId.of_token, "chain_id", "contract", "token_id")
    name: str = column("Synthetic device and its token id.", named("Synthetic device"), source="token_id")
    token_id: int = column("The token id.")
    token_did: str = token_did()
    integration_id: int = deprecated(
        column(
            "The number of the integration, 0 if the mint names a connection.",
            lambda id: 0 if id is None or id >= INTEGRATIONS else id,
            source="connection_id",
        ),
        "Use connection.",
    )
    address: Address = column("The address of the synthetic device itself.")
    minted_at: Time = column("The time of the mint.", to_time)
    vehicle: Vehicle = one("The vehicle.", VEHICLE, "vehicle_id")
    connection: Connection = value("The connection.", lambda id: ConnectionRow(id or 0), "connection_id")


class AccountRow(NamedTuple):
    """An account, whether it ever granted access or not."""

    address: bytes
    pin: Pin
    grants: ListQuery


@strawberry.type
class Account:
    address: Address = strawberry.field(description="The address.")
    sacds: Page[Sacd] = many("The permissions in force that the account gave, newest first.", None, "grants")
