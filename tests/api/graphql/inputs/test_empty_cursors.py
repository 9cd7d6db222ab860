"""An empty cursor counts as absent, in every list: clients keep "" where they have no cursor yet."""

from contextlib import closing

import pytest
from graphql import GraphQLObjectType

from api.settings import Settings
from tests.support.api.asking import SCHEMA, Api
from tests.support.api.feeding import Moving, minted, updated
from tests.support.api.live import acknowledged
from tests.support.api.server import serving
from tests.support.databases import NewDatabase

PARENTS = {
    "Query": "FIELD",
    "Device": "devices(first: 3) { nodes { FIELD } }",
    "EndOfLife": "devices(first: 3) { nodes { endOfLife { FIELD } } }",
    "Manufacturer": "manufacturers(first: 3) { nodes { FIELD } }",
    "HardwareLicense": "hardwareLicenses(first: 3) { nodes { FIELD } }",
    "Vehicle": "vehicles(first: 3) { nodes { FIELD } }",
    "SyntheticDevice": "syntheticDevices(first: 3) { nodes { FIELD } }",
    "Account": f'account(by: {{address: "0x{0:040x}"}}) {{ FIELD }}',
    "IndexedTransaction": 'transaction(hash: "HASH") { FIELD }',
}
"""How an object of a type is come by that has a list."""

LISTS = [
    (type_.name, name, argument)
    for type_ in SCHEMA._schema.type_map.values()
    if isinstance(type_, GraphQLObjectType) and type_.name != "Subscription"
    for name, field in type_.fields.items()
    for argument in ("after", "before")
    if argument in field.args
]


@pytest.mark.parametrize(("parent", "name", "argument"), LISTS)
async def test_an_empty_cursor_counts_as_absent(api: Api, parent: str, name: str, argument: str) -> None:
    events = await api.ask("{ lifecycleEvents(first: 1) { nodes { transactionHash } } }")
    page = (
        "endCursor hasMore"
        if name == "changes"
        else "pageInfo { hasNextPage hasPreviousPage } totalCount edges { cursor }"
    )
    size = "last" if argument == "before" else "first"
    place = PARENTS[parent].replace("HASH", events["lifecycleEvents"]["nodes"][0]["transactionHash"])
    query = "query %s { " + place.replace("FIELD", f"{name}({size}: 2%s) {{ {page} }}") + " }"
    absent = await api.ask(query % ("All", ""))
    assert await api.ask(query % ("All", f', {argument}: ""')) == absent
    by_variable = query % ("All($value: String)", f", {argument}: $value")
    assert await api.ask(by_variable, value="") == absent


async def test_a_subscription_with_an_empty_cursor_starts_now(new_database: NewDatabase) -> None:
    query = """subscription { lifecycleEvents(after: "") { event { kind } } }"""
    with closing(Moving(new_database())) as moving:
        await moving.mine(*minted(1))
        with serving(Settings(database_url=moving.url)) as address:
            async with acknowledged(address) as socket:
                await socket.subscribe("a", query)
                await socket.begun("a", lambda: moving.mine(updated(1)))
                assert await socket.next("a") == {"event": {"kind": "FIRMWARE_UPDATED"}}
