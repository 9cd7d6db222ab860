"""The examples of docs/reference/graphql.md: every root field has one, and each is executed and returns something."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, OperationDefinitionNode, parse

from api.settings import Settings
from scripts.documentation.sdl import FENCE, examples
from scripts.documentation.tables import REPOSITORY
from tests.support.api.asking import SCHEMA, Api, Json
from tests.support.api.feeding import Moving, minted
from tests.support.api.live import acknowledged
from tests.support.api.server import serving

TEXT = (REPOSITORY / "docs/reference/graphql.md").read_text()


def operation_of(source: str) -> OperationDefinitionNode:
    (operation,) = parse(source).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def name_of(source: str) -> str:
    name = operation_of(source).name
    assert name is not None
    return name.value


EXAMPLES = {name_of(source): source for source in FENCE.findall(TEXT)}
QUERIES = [name for name, source in EXAMPLES.items() if operation_of(source).operation.value == "query"]

NOT_IN_THE_FLEET = {
    *("SharedByAccount", "OneVehicle", "VehiclesOfOwner", "OneSyntheticDevice", "SyntheticDevices"),
    *("VehiclesByDefinition", "Orphaned"),
}
"""Examples of what the demo does not have: vehicles, grants of accounts, and reorgs."""

SOME = "{ lifecycleEvents(filterBy: {kind: {eq: DEVICE_MINTED}}) { nodes { id transactionHash device { id } } } }"


def test_every_root_field_has_an_example_with_variables() -> None:
    shown = examples(TEXT)
    schema = SCHEMA._schema
    assert schema.query_type is not None
    assert schema.subscription_type is not None
    assert shown.keys() == roots("query", schema.query_type) | roots("subscription", schema.subscription_type)
    assert [name for name, source in EXAMPLES.items() if not operation_of(source).variable_definitions] == []


def roots(keyword: str, type_: GraphQLObjectType) -> set[tuple[str, str]]:
    return {(keyword, field) for field in type_.fields}


@pytest.mark.parametrize("name", QUERIES)
async def test_queries_return_what_the_demo_has(api: Api, name: str) -> None:
    data = await api.ask(EXAMPLES[name], **(await required(api)).get(name, {}))
    assert has_content(data) == (name not in NOT_IN_THE_FLEET), data


async def required(api: Api) -> dict[str, Json]:
    """Returns the values of variables without a default."""
    event, *_ = (await api.ask(SOME))["lifecycleEvents"]["nodes"]
    return {
        "WasMyTransactionIndexed": {"hash": event["transactionHash"]},
        "Refetch": {"id": event["id"]},
        "RefetchMany": {"ids": [event["id"], event["device"]["id"]]},
    }


def has_content(value: Any) -> bool:
    """Returns whether a response has any value besides null, empty lists and what pages have without rows."""
    if isinstance(value, dict):
        return any(has_content(each) for key, each in value.items() if key not in ("pageInfo", "totalCount"))
    if isinstance(value, list):
        return any(map(has_content, value))
    return value is not None


async def test_subscriptions_send_what_is_indexed(sqlite_url: str) -> None:
    chain = Moving(sqlite_url)
    try:
        await chain.mine(*minted(1))
        with serving(Settings(database_url=chain.url)) as address:
            async with acknowledged(address) as socket:
                await socket.subscribe("events", EXAMPLES["Pushed"])
                await socket.subscribe("blocks", EXAMPLES["Blocks"])
                tokens = iter(range(2, 1_000))
                for id in ("events", "blocks"):
                    await socket.begun(id, lambda: chain.mine(*minted(next(tokens))))
                block = chain.node.head.number
                while (await socket.next("blocks", "blockIndexed"))["number"] != str(block):
                    pass
                kinds = {message["event"]["kind"] for message in await socket.some("events", 2)}
                assert kinds == {"DEVICE_MINTED", "DEVICE_TRANSFERRED"}
    finally:
        chain.close()
