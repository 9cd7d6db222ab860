"""The page for clients of DIMO's identity API names what both schemas have, and its queries have the answers shown."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, parse, validate
from starlette.testclient import TestClient

from api.app import create_app
from api.dimo.schema import build_dimo_schema
from api.graphql.schema import build_schema
from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.server import MAX_SECONDS
from tests.support.dimo.logs import ALICE, index
from tests.support.dimo.vehicles import vehicle_chain
from tests.support.index.indexing import engine_of

PAGE = (REPOSITORY / "docs" / "guides" / "from-dimo-identity-api.md").read_text()
OURS, THEIRS = build_schema()._schema, build_dimo_schema()._schema
EXAMPLES = re.findall(r"```gql\n(.*?)```\s*```graphql\n(.*?)```\s*```json\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)
VARIABLES = {"user": "0x" + ALICE.hex(), "tokenId": 1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    url = f"sqlite:///{tmp_path_factory.mktemp('page') / 'dimo.db'}"
    with engine_of(url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
    with TestClient(create_app(Settings(database_url=url, explorer=False, max_seconds=MAX_SECONDS))) as client:
        yield client


def data(client: TestClient, path: str, query: str) -> Any:
    answer = client.post(path, json={"query": query, "variables": VARIABLES}).json()
    assert "errors" not in answer, answer
    return answer["data"]


def fields_of(schema: GraphQLSchema, name: str) -> set[str]:
    type_ = schema.type_map[name]
    assert isinstance(type_, GraphQLObjectType | GraphQLInputObjectType | GraphQLInterfaceType)
    return set(type_.fields)


def exists(schema: GraphQLSchema, name: str) -> bool:
    type_, _, field = name.rpartition(".")
    return field in fields_of(schema, type_ or "Query")


@pytest.mark.parametrize("number", range(3))
def test_a_query_has_the_answer_that_is_shown(client: TestClient, number: int) -> None:
    theirs, ours, answer = EXAMPLES[number]
    assert data(client, "/graphql", ours) == json.loads(answer)
    [root] = data(client, "/query", theirs).values()
    assert root


def test_there_are_three_queries_and_each_is_valid_for_its_schema() -> None:
    assert len(EXAMPLES) == 3
    for theirs, ours, _ in EXAMPLES:
        assert validate(THEIRS, parse(theirs)) == validate(OURS, parse(ours)) == []


def test_both_names_of_each_row_exist() -> None:
    assert [row for row in ROWS if not (exists(THEIRS, row[0]) and exists(OURS, row[1]))] == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Query", "Query"),
        ("Vehicle", "Vehicle"),
        ("AftermarketDevice", "Device"),
        ("SyntheticDevice", "SyntheticDevice"),
        ("Manufacturer", "Manufacturer"),
        ("Account", "Account"),
        ("Privilege", "Authorization"),
        ("Sacd", "Authorization"),
        ("VehiclesFilter", "VehicleFilter"),
        ("AftermarketDevicesFilter", "DeviceFilter"),
        ("SyntheticDevicesFilter", "SyntheticDeviceFilter"),
    ],
)
def test_every_field_is_in_a_table_or_keeps_its_name_or_is_listed_as_missing(theirs: str, ours: str) -> None:
    listed = {old.rpartition(".")[2] for old, _ in ROWS if (old.rpartition(".")[0] or "Query") == theirs}
    missing = set(re.findall(r"`(\w+)`", PAGE.partition("## What is less here")[2]))
    assert fields_of(THEIRS, theirs) - listed - fields_of(OURS, ours) - missing == set()
