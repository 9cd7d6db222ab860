"""A filter whose variable has no value is refused: it would match every row."""

from collections.abc import Iterator
from contextlib import closing
from itertools import product
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type

from api.settings import Settings
from tests.support.api.asking import SCHEMA, Api, Json
from tests.support.api.feeding import Moving, minted
from tests.support.api.live import acknowledged
from tests.support.api.server import serving
from tests.support.databases import NewDatabase

TYPES = SCHEMA._schema.type_map
FIELDS = {
    "Query.devices": "devices(filterBy: $filter) { totalCount }",
    "Query.manufacturers": "manufacturers(filterBy: $filter) { totalCount }",
    "Query.hardwareLicenses": "hardwareLicenses(filterBy: $filter) { totalCount }",
    "Query.authorizations": "authorizations(filterBy: $filter) { totalCount }",
    "Query.lifecycleEvents": "lifecycleEvents(filterBy: $filter) { totalCount }",
    "Query.orphanedEvents": "orphanedEvents(filterBy: $filter) { totalCount }",
    "Query.deviceStatistics": "deviceStatistics(groupBy: [MODEL], filterBy: $filter) { count }",
    "Query.failureStatistics": "failureStatistics(filterBy: $filter) { count }",
    "Query.changes": "changes(filterBy: $filter) { endCursor }",
    "Manufacturer.devices": "manufacturers(first: 1) { nodes { devices(filterBy: $filter) { totalCount } } }",
    "HardwareLicense.devices": "hardwareLicenses(first: 1) { nodes { devices(filterBy: $filter) { totalCount } } }",
    "Device.authorizedUsers": "devices(first: 1) { nodes { authorizedUsers(filterBy: $filter) { totalCount } } }",
    "Manufacturer.authorizedUsers": (
        "manufacturers(first: 1) { nodes { authorizedUsers(filterBy: $filter) { totalCount } } }"
    ),
    "Query.vehicles": "vehicles(filterBy: $filter) { totalCount }",
    "Query.syntheticDevices": "syntheticDevices(filterBy: $filter) { totalCount }",
    "Query.vehicleStatistics": "vehicleStatistics(groupBy: [DEFINITION], filterBy: $filter) { count }",
    "Device.history": "devices(first: 1) { nodes { history(filterBy: $filter) { totalCount } } }",
}


REQUIRED = {"FactoryResetsSince": {"since": "2020-01-01T00:00:00Z"}, "AttributeFilter": {"name": "Make"}}


def input_of(place: str) -> GraphQLInputObjectType:
    """Returns the type of `filterBy` of a field, such as `Query.devices`."""
    owner, _, name = place.partition(".")
    type_ = TYPES[owner]
    assert isinstance(type_, GraphQLObjectType)
    filter = get_named_type(type_.fields[name].args["filterBy"].type)
    assert isinstance(filter, GraphQLInputObjectType)
    return filter


def empty_comparisons(filter: GraphQLInputObjectType, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Json]]:
    """Yields each path to a comparison in a filter, and the filter in which that comparison has no operator.

    `above`: the filters around it. A vehicle's filter has that of its synthetic device, which has that of its vehicle.
    """
    for name, field in filter.fields.items():
        type_ = get_named_type(field.type)
        if name in ("and", "or", "not") or not isinstance(type_, GraphQLInputObjectType) or type_.name in above:
            continue
        if "eq" in type_.fields:
            yield name, {name: {}}
            continue
        required = REQUIRED.get(type_.name, {})
        for path, inside in empty_comparisons(type_, (*above, filter.name)):
            yield f"{name}.{path}", {name: {**required, **inside}}


def test_every_filter_is_tried() -> None:
    filtered = {
        f"{name}.{field}"
        for name, type_ in TYPES.items()
        if isinstance(type_, GraphQLObjectType)
        for field, definition in type_.fields.items()
        if "filterBy" in definition.args
    }
    absent = product(("Vehicle", "SyntheticDevice", "Account"), ("authorizedUsers", "history"))  # from the fleet
    assert filtered == {*FIELDS, *map(".".join, absent), "Subscription.lifecycleEvents"}
    paths = [path for path, _ in empty_comparisons(input_of("Query.lifecycleEvents"))]
    assert {"kind", "flag", "device.firmware.imageHash", "device.factoryResetsSince.count"} <= set(paths)


@pytest.mark.parametrize("place", FIELDS)
async def test_a_comparison_without_an_operator_is_refused_in_every_filter(api: Api, place: str) -> None:
    filter = input_of(place)
    query = f"query ($filter: {filter.name}) {{ {FIELDS[place]} }}"
    path, empty = "", dict[str, Any]()
    for path, empty in empty_comparisons(filter):
        await assert_refused(api, query, empty, f"filterBy.{path} names no operator")
    if "and" in filter.fields:
        await assert_refused(api, query, {"and": [empty]}, f"filterBy.and[0].{path} names no operator")
        await assert_refused(api, query, {"not": {"or": [empty]}}, f"filterBy.not.or[0].{path} names no operator")
        await assert_refused(api, query, {"or": [{}]}, "filterBy.or[0] names no condition")


async def assert_refused(api: Api, query: str, filter: Json, message: str) -> None:
    error = await api.refusal(query, filter=filter)
    assert error["message"] == f"{message}: is a variable missing?"
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "query ($v: Address) { devices(filterBy: {owner: {eq: $v}}) { totalCount } }",
            "filterBy.owner names no operator",
        ),
        (
            "query ($v: [Address!]) { devices(filterBy: {tokenId: {gt: 1}, owner: {in: $v}}) { totalCount } }",
            "filterBy.owner names no operator",
        ),
        (
            "query ($v: String) { devices(filterBy: {or: [{imei: {eq: $v}}, {devEUI: {eq: $v}}]}) { totalCount } }",
            "filterBy.or[0].imei names no operator",
        ),
        (
            "query ($v: String) { devices(filterBy: {or: [{anyKey: $v}]}) { totalCount } }",
            "filterBy.or[0] names no condition",
        ),
        (
            "query ($v: DeviceFilter) { devices(filterBy: {and: [{not: $v}]}) { totalCount } }",
            "filterBy.and[0] names no condition",
        ),
        ("{ devices(filterBy: {not: {}}) { totalCount } }", "filterBy.not names no condition"),
        ("{ devices(filterBy: {not: {owner: null}}) { totalCount } }", "filterBy.not names no condition"),
        ("{ devices(filterBy: {firmware: {}}) { totalCount } }", "filterBy.firmware names no condition"),
        (
            "query ($v: String) { lifecycleEvents(filterBy: {device: {anyKey: $v}}) { totalCount } }",
            "filterBy.device names no condition",
        ),
        (
            "query ($v: Address) { devices(filterBy: {authorizedUser: {user: {eq: $v}}}) { totalCount } }",
            "filterBy.authorizedUser.user names no operator",
        ),
    ],
)
async def test_a_variable_that_is_missing_is_refused(api: Api, query: str, message: str) -> None:
    error = await api.refusal(query)
    assert error["message"] == f"{message}: is a variable missing?"
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("filter", ["{}", "null", "{owner: null}", "{and: []}", "{and: $missing}", "$all"])
async def test_no_filter_at_all_lists_everything(api: Api, filter: str) -> None:
    declared = {"{and: $missing}": "query ($missing: [DeviceFilter!]) ", "$all": "query ($all: DeviceFilter) "}
    everything = await api.ask("{ devices { totalCount } }")
    assert await api.ask(f"{declared.get(filter, '')}{{ devices(filterBy: {filter}) {{ totalCount }} }}") == everything


async def test_an_authorized_user_without_conditions_is_any_user(api: Api) -> None:
    selection = "{ totalCount nodes { authorizedUsers { totalCount } } }"
    devices = (await api.ask(f"{{ devices(first: 100, filterBy: {{authorizedUser: {{}}}}) {selection} }}"))["devices"]
    everything = (await api.ask("{ devices { totalCount } }"))["devices"]
    assert 0 < devices["totalCount"] < everything["totalCount"]
    assert all(node["authorizedUsers"]["totalCount"] for node in devices["nodes"])


async def test_a_subscription_refuses_a_comparison_without_an_operator(new_database: NewDatabase) -> None:
    query = "subscription ($kind: LifecycleEventKind) { lifecycleEvents(filterBy: {kind: {eq: $kind}}) { cursor } }"
    with closing(Moving(new_database())) as moving, serving(Settings(database_url=moving.url)) as address:
        await moving.mine(*minted(1))
        async with acknowledged(address) as socket:
            await socket.subscribe("forgotten", query)
            message: Any = await socket.receive("forgotten")
    error = (message["payload"] if message["type"] == "error" else message["payload"]["errors"])[0]
    assert error["message"] == "filterBy.kind names no operator: is a variable missing?"
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
