"""The cost of a request: computed before any SQL, and returned with the answer."""

import re
from typing import Any

import pytest
from graphql import get_introspection_query, parse, validate

from api.graphql.limits import operations_named, price
from tests.support.api.asking import SCHEMA, Api
from tests.support.fleet import Fleet
from tests.support.index.fleet import did


def cost_of(query: str, **variables: Any) -> int:
    document = parse(query)
    assert validate(SCHEMA._schema, document) == []
    (operation,) = operations_named(document, None)
    return price(SCHEMA._schema, document, operation, variables).cost


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ("{ __typename }", 0),
        ("{ device(by: {tokenId: 1}) { tokenId owner } }", 1),
        ("{ device(by: {tokenId: 1}) { imei { value } manufacturer { name license { status } } } }", 4),
        ("{ devices { nodes { tokenId } } }", 21),
        ("{ devices(first: 0) { totalCount } }", 11),
        ("{ devices(first: 50) { totalCount pageInfo { endCursor } edges { cursor node { tokenId } } } }", 61),
        ("{ devices(last: 10) { nodes { firmware { version } } } }", 21),
        ("{ devices(first: 10) { nodes { history(first: 5) { totalCount nodes { kind } } } } }", 1 + 10 + 10 * 16),
        ("{ nodes(ids: [1, 2, 3]) { id } }", 3),
        ("{ a: device(by: {tokenId: 1}) { id } b: device(by: {tokenId: 2}) { id } }", 2),
        ("{ devices(first: 4) { ...C } } fragment C on DeviceConnection { totalCount nodes { ...D } } "
         "fragment D on Device { firmware { version } }", 1 + 4 + 10 + 4),
        ("{ node(id: 1) { ... on Device { manufacturer { name } } ... on Manufacturer { license { uri } } } }", 3),
    ],
)  # fmt: skip
def test_the_cost_is_the_rows_that_are_promised(query: str, cost: int) -> None:
    assert cost_of(query) == cost


def test_pages_by_variables_are_priced_by_their_values() -> None:
    query = "query Q($n: Int = 7) { devices(first: $n) { nodes { tokenId } } }"
    assert cost_of(query) == 8
    assert cost_of(query, n=100) == 101
    assert cost_of("query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["a", "b"]) == 2


def test_fragments_that_double_are_priced_in_no_time() -> None:
    parts = [f"fragment F{i} on Device {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60)]
    query = (
        "{ device(by: {tokenId: 1}) { ...F0 } } " + " ".join(parts) + " fragment F60 on Device { firmware { version } }"
    )
    assert cost_of(query) == 1 + 2**60


async def test_a_request_beyond_the_cost_is_refused_before_any_sql(api: Api) -> None:
    page = (
        "devices(first: 100) { nodes { history(first: 100) { nodes { device { "
        "authorizedUsers(first: 100) { totalCount } } } } } }"
    )
    statements = len(api.statements)
    error = await api.refusal("{ " + " ".join(f"a{number}: {page}" for number in range(12)) + " }")
    assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"
    assert error["extensions"]["cost"]["maximumAvailable"] == 10_000
    assert error["extensions"]["cost"]["requestedQueryCost"] > 10_000_000
    assert "smaller pages" in error["message"]
    device_statements = [statement for statement in api.statements[statements:] if re.search("device", statement)]
    assert device_statements == []


async def test_too_many_aliases_are_refused(api: Api) -> None:
    error = await api.refusal(
        "{ " + " ".join(f"a{i}: device(by: {{tokenId: {i}}}) {{ id }}" for i in range(101)) + " }"
    )
    assert (error["extensions"]["code"], "101 aliases" in error["message"]) == ("MAX_COST_EXCEEDED", True)
    hundred = await api.ask("{ " + " ".join(f"a{i}: device(by: {{tokenId: {i}}}) {{ id }}" for i in range(100)) + " }")
    assert len(hundred) == 100


async def test_too_deep_a_query_is_refused(api: Api) -> None:
    query = (
        "{ device(by: {tokenId: 1}) "
        + "{ manufacturer { devices(first: 1) { nodes " * 4
        + "{ id }"
        + "} } }" * 4
        + " }"
    )
    error = await api.refusal(query)
    assert error["extensions"]["code"] == "MAX_DEPTH_EXCEEDED"
    assert "at most 12" in error["message"]


async def test_too_long_a_document_is_refused(api: Api) -> None:
    error = await api.refusal("{ __typename " + "__typename " * 10_001 + "}")
    assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


async def test_the_whole_schema_may_be_requested(api: Api) -> None:
    assert (await api.ask(get_introspection_query()))["__schema"]["types"]


async def test_an_answer_shows_its_cost(api: Api, fleet: Fleet) -> None:
    answer = await api.answer(
        "query Q($did: String!) { device(by: {tokenDID: $did}) { history(first: 3) { totalCount nodes { kind } } } }",
        did=did(fleet, 26),
    )
    cost = answer["extensions"]["cost"]
    assert (cost["requestedQueryCost"], cost["maximumAvailable"]) == (1 + 1 + 3 + 10, 10_000)
    assert 4 <= cost["actualQueryCost"] <= 15


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "devices(first: 1) { nodes { id } } " * 51 + "}",
        "{ " + "... { __typename } " * 51 + "}",
        "{ devices { nodes { " + "...F " * 51 + "} } } fragment F on Device { id }",
        "{ ... { " + "__typename " * 30 + "} " + "__typename " * 30 + "}",
    ],
)
async def test_what_validation_would_compare_each_with_each_is_refused_before_it(api: Api, query: str) -> None:
    error = await api.refusal(query)
    assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"
    assert "at most 50" in error["message"]
