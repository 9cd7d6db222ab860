"""An explicit null counts as absent wherever an argument may be left out."""

from contextlib import closing

import pytest

from api.settings import Settings
from tests.support.api.asking import Api
from tests.support.api.feeding import Moving, minted, updated
from tests.support.api.live import acknowledged
from tests.support.api.server import serving
from tests.support.databases import NewDatabase

HASH = "0x" + "00" * 32
GRANTS = "{ totalCount nodes { user active grantedAt } }"


@pytest.mark.parametrize(
    ("argument", "type", "default", "query"),
    [
        ("scope", "AuthorizationScope", "ACTIVE", "{ authorizations(first: 50%s) " + GRANTS + " }"),
        (
            "scope",
            "AuthorizationScope",
            "ACTIVE",
            "{ devices(first: 30) { nodes { authorizedUsers(first: 9%s) " + GRANTS + " } } }",
        ),
        ("finality", "Finality", "UNSAFE", "{ changes(first: 5%s) { endCursor hasMore messages { cursor } } }"),
        ("orderBy", "DeviceOrder", "{field: MINTED_AT, direction: DESC}", "{ devices(first: 9%s) { nodes { id } } }"),
        (
            "orderBy",
            "ManufacturerOrder",
            "{field: TOKEN_ID, direction: ASC}",
            "{ manufacturers(first: 9%s) { nodes { id } } }",
        ),
        (
            "orderBy",
            "LifecycleEventOrder",
            "{field: POSITION, direction: ASC}",
            "{ lifecycleEvents(first: 9%s) { nodes { id } } }",
        ),
        ("filterBy", "DeviceFilter", "{}", "{ devices(first: 9%s) { totalCount } }"),
        ("first", "Int", "20", "{ devices(after: null%s) { nodes { id } } }"),
        ("activeAt", "DateTime", None, "{ authorizations(first: 50%s) { totalCount } }"),
        ("asOf", "AsOf", None, "{ devices(first: 9%s) { nodes { id } } }"),
        ("after", "String", None, "{ changes(first: 5%s) { endCursor } }"),
        ("last", "Int", None, "{ devices(first: 5%s) { nodes { id } } }"),
        ("chainId", "BigInt", None, '{ transaction(hash: "' + HASH + '"%s) { hash } }'),
    ],
)
async def test_an_argument_that_is_null_counts_as_absent(
    api: Api, argument: str, type: str, default: str | None, query: str
) -> None:
    absent = await api.ask(query % "")
    by_variable = query % f" {argument}: $value"
    assert await api.ask(query % f" {argument}: null") == absent
    assert await api.ask(f"query ($value: {type}) {by_variable}") == absent
    assert await api.ask(f"query ($value: {type}) {by_variable}", value=None) == absent
    if default is not None:
        assert await api.ask(query % f" {argument}: {default}") == absent
        assert await api.ask(f"query ($value: {type} = {default}) {by_variable}") == absent
        assert await api.ask(f"query ($value: {type} = {default}) {by_variable}", value=None) == absent
        assert await api.ask(f"query ($value: {type}! = {default}) {by_variable}") == absent


async def test_a_subscription_whose_finality_is_null_sends_unsafe_events(new_database: NewDatabase) -> None:
    query = "subscription %s { lifecycleEvents(finality: %s) { event { finality } } }"
    with closing(Moving(new_database())) as moving, serving(Settings(database_url=moving.url)) as address:
        await moving.mine(*minted(1))
        async with acknowledged(address) as socket:
            await socket.subscribe("variable", query % ("($value: Finality)", "$value"), value=None)
            await socket.subscribe("literal", query % ("", "null"))
            for id in ("variable", "literal"):
                await socket.begun(id, lambda: moving.mine(updated(1)))
                assert (await socket.next(id))["event"]["finality"] == "UNSAFE"
