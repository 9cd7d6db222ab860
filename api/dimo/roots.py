"""The root fields. A list has the newest token first, tokens that were burned vanish, and only active grants count."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from api.dimo.absent import (
    CONNECTIONS,
    DCN,
    DEFINITIONS,
    LICENSES,
    NAMES,
    REWARDS,
    STAKES,
    TEMPLATES,
    DeveloperLicense,
    DeviceDefinition,
    Stake,
    Template,
    UserRewards,
    connection,
    dcn,
    dcns,
    developer_license,
    developer_licenses,
    device_definition,
    empty_list,
    no_value,
    rewards,
    stakes,
    template,
)
from api.dimo.types import (
    SACD,
    UNBURNED,
    Account,
    AccountRow,
    AftermarketDevice,
    AftermarketDevicesFilter,
    Connection,
    Manufacturer,
    SyntheticDevice,
    Vehicle,
    devices_filter,
    equal,
    grants_on,
)
from api.dimo.vocabulary import NotFound
from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import pins_at
from api.graphql.inputs.operators import optional
from api.graphql.paging.connections import Connection as Page
from api.graphql.paging.connections import ListQuery, RowList, root_list
from api.graphql.paging.tokens import DeviceId, ManufacturerId, SyntheticDeviceId, VehicleId, read_id
from api.graphql.plan.fields import Ref, arguments_of, computed
from api.graphql.roots.lookups import (
    DEVICE,
    MANUFACTURER,
    SYNTHETIC_DEVICE,
    VEHICLE,
    Lookup,
    find_all,
    pin_of,
    token_did_filter,
)
from api.graphql.types.node import Node
from api.graphql.vocabulary.scalars import Address
from api.queries.devices import DEVICE_ORDERS, DEVICES
from api.queries.licenses import MANUFACTURER_ORDERS, MANUFACTURERS
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.listings import BY_POSITION
from api.queries.sql.pages import PageQuery, Window
from api.queries.vehicles import SYNTHETIC_DEVICE_ORDERS, SYNTHETIC_DEVICES, VEHICLE_ORDERS, VEHICLES

NEWEST = ("TOKEN_ID", True)
BY_NAME = ("NAME", False)
ALL = 1_000
"""Manufacturers: DIMO has some hundred."""


def _unburned(lookup: Lookup, **names: str) -> Lookup:
    """Returns the look-up of the tokens that are not burned. `names`: the fields of other keys of the API."""

    def keyed(field: str) -> Any:
        return lambda value: UNBURNED + equal(**{field: value})

    filters = {key: keyed(field) for key, field in {"token_id": "token_id", **names}.items()}
    return lookup._replace(filters=filters | {"token_did": lambda did: UNBURNED + token_did_filter(did)})


UNBURNED_DEVICE = _unburned(DEVICE, address="held_address", serial="serial_number", imei="imei", dev_eui="dev_eui")
UNBURNED_SYNTHETIC_DEVICE = _unburned(SYNTHETIC_DEVICE, address="address")
UNBURNED_VEHICLE = _unburned(VEHICLE)
ANY_MANUFACTURER = MANUFACTURER._replace(filters={"token_did": token_did_filter})


@strawberry.input(one_of=True)
class AftermarketDeviceBy:
    token_id: int | None = optional("The token id.")
    token_did: str | None = optional("The DID.", "tokenDID")
    address: Address | None = optional("The address of the device itself.")
    serial: str | None = optional("The serial number.")
    imei: str | None = optional("The IMEI.")
    dev_eui: str | None = optional("The DevEUI.", "devEUI")


@strawberry.input(one_of=True)
class SyntheticDeviceBy:
    token_id: int | None = optional("The token id.")
    token_did: str | None = optional("The DID.", "tokenDID")
    address: Address | None = optional("The address of the synthetic device itself.")


@strawberry.input(one_of=True)
class ManufacturerBy:
    name: str | None = optional("The name.")
    token_id: int | None = optional("The token id.")
    slug: str | None = optional("The name in lower case, with hyphens.")
    token_did: str | None = optional("The DID.", "tokenDID")


@strawberry.input(one_of=True)
class AccountBy:
    address: Address | None = optional("The address.")


@strawberry.input
class VehiclesFilter:
    privileged: Address | None = optional("An account that owns the vehicle or has a grant in force on it.")
    owner: Address | None = optional("The owner.")
    make: str | None = optional("The attribute Make.")
    model: str | None = optional("The attribute Model.")
    year: int | None = optional("The attribute Year.")
    manufacturer_token_id: int | None = optional("The manufacturer id.")
    device_definition_id: str | None = optional("The id of the device definition.")
    connection: Address | None = optional("The address of a connection, which is not indexed: no vehicle passes.")


@strawberry.input
class SyntheticDevicesFilter:
    owner: Address | None = optional("The owner of the vehicle.")
    integration_id: int | None = optional("The number of the integration.")


def _vehicles_filter(filter_by: VehiclesFilter | None) -> Filter:
    if not filter_by:
        return UNBURNED
    filter = UNBURNED + equal(
        owner=filter_by.owner,
        manufacturer_id=filter_by.manufacturer_token_id,
        definition_id=filter_by.device_definition_id,
    )
    attributes = {"Make": filter_by.make, "Model": filter_by.model, "Year": filter_by.year}
    filter += tuple(
        ("attribute", (("name", name), ("value", (("eq", str(value)),))))
        for name, value in attributes.items()
        if value is not None and value is not UNSET
    )
    if filter_by.connection is not None and filter_by.connection is not UNSET:
        filter += (("or", ()),)  # nothing passes
    user = filter_by.privileged
    if user is None or user is UNSET:
        return filter
    return (*filter, ("or", (equal(owner=user), (("authorized_user", equal(user=user)),))))


def _vehicles(context: Context, *, filter_by: VehiclesFilter | None = UNSET) -> ListQuery:
    return ListQuery(VEHICLES, VEHICLE_ORDERS[NEWEST], _vehicles_filter(filter_by))


def _devices(context: Context, *, filter_by: AftermarketDevicesFilter | None = UNSET) -> ListQuery:
    return ListQuery(DEVICES, DEVICE_ORDERS[NEWEST], devices_filter(filter_by))


def _synthetic_devices(context: Context, *, filter_by: SyntheticDevicesFilter | None = UNSET) -> ListQuery:
    filter = UNBURNED
    if filter_by:
        filter += equal(connection_id=filter_by.integration_id)
        if owner := equal(owner=filter_by.owner):
            filter += (("vehicle", owner),)
    return ListQuery(SYNTHETIC_DEVICES, SYNTHETIC_DEVICE_ORDERS[NEWEST], filter)


def _manufacturers(context: Context, rows: Sequence[Any]) -> list[Any]:
    query = ListQuery(MANUFACTURERS, MANUFACTURER_ORDERS[BY_NAME])
    return [RowList(query, 0, Window(ALL), pins_at(context, None))]


def _look_up(lookup: Lookup, by_type: type, *, kind: str | None = None) -> Any:
    """Declares a look-up. With a `kind`, a missing object is an error."""

    def batch(context: Context, rows: Sequence[Any], requests: Sequence[Mapping[str, Any]]) -> list[Any]:
        refs = find_all(context, lookup, [(request["by"], None) for request in requests])
        return [_or_error(ref, kind) for ref in refs]

    def arguments(*, by: Any) -> None: ...

    arguments.__annotations__["by"] = by_type
    made = computed("The one with a key.", batch, joint=True)
    made.arguments = arguments_of(arguments)
    return made


def _or_error(ref: Any, kind: str | None) -> Any:
    return NotFound(f"There is no such {kind}.") if ref is None and kind else ref


def _manufacturer(context: Context, rows: Sequence[Any], *, by: ManufacturerBy) -> list[Any]:
    if by.slug is None or by.slug is UNSET:
        return find_all(context, ANY_MANUFACTURER, [(by, None)])
    pins = pins_at(context, None)
    query = PageQuery(MANUFACTURERS, BY_POSITION, Window(ALL), ())
    pages = context.read.pages(query, [key_of(pin) for pin in pins], ("id", "name"))
    refs = (
        Ref(MANUFACTURERS.rows, row[0], pin)
        for page, pin in zip(pages, pins, strict=True)
        for row in page.rows
        if _slug(row[1]) == by.slug
    )
    return [next(refs, None)]


def _slug(name: str | None) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in (name or "").lower()).split()
    return "-".join(words)


def _vehicle(
    context: Context,
    rows: Sequence[Any],
    *,
    token_id: int | None = UNSET,
    token_did: Annotated[str | None, strawberry.argument(name="tokenDID")] = UNSET,
) -> list[Any]:
    by = SimpleNamespace(token_id=token_id, token_did=token_did)
    return [_or_error(ref, "vehicle") for ref in find_all(context, UNBURNED_VEHICLE, [(by, None)])]


def _account(context: Context, rows: Sequence[Any], *, by: AccountBy) -> list[Any]:
    if by.address is None or by.address is UNSET:
        raise BadUserInput("by.address is missing.")
    pins = pins_at(context, None)
    if len(pins) != 1:
        raise BadUserInput("Several networks are indexed here; this endpoint serves one.")
    return [AccountRow(by.address, pins[0], grants_on(None, SACD + equal(grantor=by.address)))]


NODES = (VehicleId, DeviceId, SyntheticDeviceId, ManufacturerId)


def _node(context: Context, rows: Sequence[Any], *, id: strawberry.ID) -> list[Any]:
    token = read_id(id)
    pin = None if token is None or not isinstance(token, NODES) else pin_of(context, token)
    if pin is None or not isinstance(token, NODES):
        return [None]
    of_type = {
        VehicleId: UNBURNED_VEHICLE,
        DeviceId: UNBURNED_DEVICE,
        SyntheticDeviceId: UNBURNED_SYNTHETIC_DEVICE,
        ManufacturerId: ANY_MANUFACTURER,
    }
    did = f"did:erc721:{token.chain_id}:0x{token.contract.hex()}:{token.token_id}"
    return find_all(context, of_type[type(token)], [(SimpleNamespace(token_did=did), None)])


@strawberry.type
class Query:
    node: Node | None = computed("The object with an id.", _node)
    aftermarket_device: AftermarketDevice | None = _look_up(UNBURNED_DEVICE, AftermarketDeviceBy)
    aftermarket_devices: Page[AftermarketDevice] = root_list(
        "The devices, newest token first.", _devices, has_past=False
    )
    connections: Page[Connection] = empty_list(CONNECTIONS)
    connection: Connection | None = computed(CONNECTIONS, connection)
    dcn: DCN | None = no_value(NAMES, dcn)
    dcns: Page[DCN] = empty_list(NAMES, dcns)
    developer_licenses: Page[DeveloperLicense] = empty_list(LICENSES, developer_licenses)
    developer_license: DeveloperLicense | None = computed(LICENSES, developer_license)
    device_definition: DeviceDefinition | None = no_value(DEFINITIONS, device_definition)
    manufacturer: Manufacturer | None = computed("The one with a key.", _manufacturer)
    manufacturers: Page[Manufacturer] = computed("The first 100 manufacturers, by name.", _manufacturers)
    rewards: UserRewards | None = no_value(REWARDS, rewards)
    stakes: Page[Stake] | None = empty_list(STAKES, stakes)
    synthetic_device: SyntheticDevice | None = _look_up(
        UNBURNED_SYNTHETIC_DEVICE, SyntheticDeviceBy, kind="synthetic device"
    )
    synthetic_devices: Page[SyntheticDevice] = root_list(
        "The synthetic devices, newest token first.", _synthetic_devices, has_past=False
    )
    template: Template | None = no_value(TEMPLATES, template)
    templates: Page[Template] = empty_list(TEMPLATES)
    account: Account | None = computed("An account and what it shares.", _account)
    vehicle: Vehicle | None = computed("The vehicle with a token id or a DID.", _vehicle)
    vehicles: Page[Vehicle] = root_list("The vehicles, newest token first.", _vehicles, has_past=False)
