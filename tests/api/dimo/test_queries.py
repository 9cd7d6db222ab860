"""The calls of DIMO's own clients, answered by /query."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from schema.program.settings import read_settings
from tests.support.dimo.logs import ALICE, BOB, DEVICES, UNIT, index
from tests.support.dimo.vehicles import CAROL, CHAIN_ID, LINK, RUPTELA, VEHICLES, vehicle_chain
from tests.support.index.indexing import engine_of

Json = dict[str, Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('query') / 'dimo.db'}"
    with engine_of(url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
    return url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[TestClient]:
    with TestClient(
        create_app(read_settings(Settings, None, {"DATABASE_URL": url, "EXPLORER": "off", "MAX_SECONDS": "40"}))
    ) as client:
        yield client


class Service:
    """Asks each query twice: the compiled executor must return what graphql-core returns."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def answer(self, query: str, **variables: Any) -> Json:
        first, second = (
            self._client.post("/query", json={"query": query + comment, "variables": variables}).json()
            for comment in ("", " # again")
        )
        third = self._client.post("/query", json={"query": query, "variables": {**variables, "unused": 1}}).json()
        assert first["data"] == second["data"] == third["data"]
        assert "MAX_COST" not in str(first)
        answer: Json = first
        return answer

    def data(self, query: str, **variables: Any) -> Json:
        answer = self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: Json = answer["data"]
        return data


@pytest.fixture
def service(client: TestClient) -> Service:
    return Service(client)


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


VEHICLE = """
query ($tokenId: Int, $did: String) {
  vehicle(tokenId: $tokenId, tokenDID: $did) {
    id tokenId tokenDID owner mintedAt name imageURI image dataURI
    manufacturer { tokenId name owner mintedAt tableId }
    aftermarketDevice { tokenId serial imei devEUI hardwareRevision address owner beneficiary pairedAt claimedAt name }
    syntheticDevice { tokenId address integrationId mintedAt connection { name tokenId } vehicle { tokenId } }
    definition { id make model year }
    privileges(first: 10) { totalCount nodes { id user setAt expiresAt } pageInfo { hasNextPage } }
    sacds(first: 10) { edges { cursor node { grantee permissions source createdAt expiresAt template { cid } } } }
    dcn { node } earnings { totalTokens } stake { tokenId } storageNode { label }
  }
}
"""


def test_a_vehicle_has_what_the_chain_has(service: Service) -> None:
    vehicle = service.data(VEHICLE, tokenId=1)["vehicle"]
    assert vehicle["owner"].lower() == hex_of(ALICE)
    assert (vehicle["tokenId"], vehicle["name"], vehicle["imageURI"]) == (1, "Vehicle 1", "")
    assert vehicle["definition"] == {"id": "ford_focus_2020", "make": "Ford", "model": None, "year": 2020}
    assert vehicle["manufacturer"]["name"] == "Maker 1"
    device = vehicle["aftermarketDevice"]
    assert (device["tokenId"], device["serial"], device["address"].lower()) == (9, "SN-9", hex_of(UNIT))
    assert device["beneficiary"] == device["owner"]
    synthetic = vehicle["syntheticDevice"]
    assert (synthetic["tokenId"], synthetic["integrationId"]) == (2, 0)
    assert synthetic["connection"] == {"name": "Ruptela", "tokenId": str(RUPTELA)}
    assert synthetic["vehicle"] == {"tokenId": 1}
    assert [(node["id"], node["user"].lower()) for node in vehicle["privileges"]["nodes"]] == [(3, hex_of(BOB))]
    [sacd] = [edge["node"] for edge in vehicle["sacds"]["edges"]]
    assert (sacd["grantee"].lower(), sacd["permissions"], sacd["source"]) == (hex_of(CAROL), "0xc", "ipfs://agreement")
    assert sacd["template"] is None
    assert [vehicle[name] for name in ("dcn", "earnings", "stake", "storageNode")] == [None] * 4
    did = f"did:erc721:{CHAIN_ID}:{hex_of(VEHICLES)}:1"
    assert service.data(VEHICLE, did=did)["vehicle"]["id"] == vehicle["id"]
    assert service.data("query ($id: ID!) { node(id: $id) { id __typename } }", id=vehicle["id"])["node"] == {
        "id": vehicle["id"],
        "__typename": "Vehicle",
    }


def test_a_missing_or_burned_vehicle_is_null_with_an_error_and_other_look_ups_are_null(service: Service) -> None:
    for token in (3, 99):
        answer = service.answer("query ($id: Int) { vehicle(tokenId: $id) { tokenId } }", id=token)
        assert answer["data"] == {"vehicle": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]
    for token in (1, 99):
        answer = service.answer("query ($id: Int!) { syntheticDevice(by: {tokenId: $id}) { tokenId } }", id=token)
        assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == ({"syntheticDevice": None}, "NOT_FOUND")
    missing = service.data(
        '{ aftermarketDevice(by: {serial: "none"}) { tokenId } manufacturer(by: {name: "x"}) { id } }'
    )
    assert missing == {"aftermarketDevice": None, "manufacturer": None}


@pytest.mark.parametrize(
    ("filter", "tokens"),
    [
        ({}, [2, 1]),
        ({"owner": hex_of(ALICE)}, [1]),
        ({"privileged": hex_of(CAROL)}, [1]),
        ({"privileged": hex_of(BOB)}, [2, 1]),
        ({"make": "Kia"}, [2]),
        ({"manufacturerTokenId": 1}, [1]),
        ({"deviceDefinitionId": "kia_ev6_2022"}, [2]),
        ({"connection": hex_of(BOB)}, []),
        ({"owner": hex_of(ALICE), "year": 2020}, []),
    ],
)
def test_vehicles_are_listed_newest_token_first(service: Service, filter: Json, tokens: list[int]) -> None:
    query = "query ($f: VehiclesFilter) { vehicles(first: 10, filterBy: $f) { totalCount nodes { tokenId } } }"
    page = service.data(query, f=filter)["vehicles"]
    assert [node["tokenId"] for node in page["nodes"]] == tokens
    assert page["totalCount"] == len(tokens)


def test_pages_follow_each_other_in_both_directions(service: Service) -> None:
    query = """
    query ($first: Int, $after: String, $last: Int, $before: String) {
      vehicles(first: $first, after: $after, last: $last, before: $before) {
        nodes { tokenId } pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
      }
    }
    """
    first = service.data(query, first=1)["vehicles"]
    assert (first["nodes"], first["pageInfo"]["hasNextPage"]) == ([{"tokenId": 2}], True)
    second = service.data(query, first=1, after=first["pageInfo"]["endCursor"])["vehicles"]
    assert second["nodes"] == [{"tokenId": 1}]
    back = service.data(query, last=1, before=second["pageInfo"]["startCursor"])["vehicles"]
    assert back["nodes"] == [{"tokenId": 2}]


def test_devices_manufacturers_and_accounts(service: Service) -> None:
    query = """
    query ($address: Address!, $alice: Address!, $owner: Address!) {
      aftermarketDevice(by: {address: $address}) { tokenId tokenDID vehicle { tokenId } manufacturer { name } }
      aftermarketDevices(first: 10, filterBy: {beneficiary: $owner}) { nodes { tokenId } }
      manufacturers {
        nodes { name aftermarketDevices(first: 5) { nodes { tokenId } } deviceDefinitions { totalCount } }
      }
      manufacturer(by: {slug: "maker-2"}) { tokenId }
      account(by: {address: $alice}) { address sacds { nodes { grantee } } }
      syntheticDevices(first: 5, filterBy: {owner: $alice}) { nodes { tokenId } }
      vehicle(tokenId: 1) { sacd(grantee: $owner) { permissions } }
    }
    """
    factory = "0x" + "fa" * 20
    data = service.data(query, address=hex_of(UNIT), alice=hex_of(ALICE), owner=factory)
    assert data["aftermarketDevice"]["vehicle"] == {"tokenId": 1}
    assert data["aftermarketDevice"]["tokenDID"].lower() == f"did:erc721:{CHAIN_ID}:{hex_of(DEVICES)}:9"
    assert [node["tokenId"] for node in data["aftermarketDevices"]["nodes"]] == [9, 8]
    assert [maker["name"] for maker in data["manufacturers"]["nodes"]] == ["Maker 1", "Maker 2"]
    assert data["manufacturers"]["nodes"][0]["aftermarketDevices"]["nodes"] == [{"tokenId": 8}, {"tokenId": 9}]
    assert data["manufacturer"] == {"tokenId": 2}
    assert [node["grantee"].lower() for node in data["account"]["sacds"]["nodes"]] == [hex_of(BOB)]
    assert data["syntheticDevices"]["nodes"] == [{"tokenId": 2}]
    assert data["vehicle"]["sacd"] is None


def test_what_no_watched_contract_carries_is_empty_and_says_why(service: Service) -> None:
    query = """
    {
      dcns(first: 5) { totalCount nodes { name } } stakes(first: 5) { edges { node { tokenId } } }
      rewards(user: "0x%s") { totalTokens } deviceDefinition(by: {id: "ford_focus_2020"}) { model }
      templates { totalCount } developerLicenses { totalCount } connections { totalCount }
    }
    """
    answer = service.answer(query % ("aa" * 20))
    assert "errors" not in answer
    assert answer["data"]["dcns"] == {"totalCount": 0, "nodes": []}
    assert (answer["data"]["rewards"], answer["data"]["deviceDefinition"]) == (None, None)
    reasons = answer["extensions"]["notIndexed"]
    assert reasons.keys() == answer["data"].keys()
    missing = service.answer('{ developerLicense(by: {tokenId: 1}) { alias } connection(by: {name: "x"}) { name } }')
    assert [error["extensions"]["code"] for error in missing["errors"]] == ["NOT_FOUND"] * 2


def test_a_token_id_beyond_an_int_and_other_methods_are_refused(client: TestClient, service: Service) -> None:
    answer = service._client.post("/query", json={"query": "{ vehicle(tokenId: 4294967296) { tokenId } }"}).json()
    assert "non 32-bit" in answer["errors"][0]["message"]
    assert client.get("/query").status_code == 405
    with pytest.raises(KeyError):
        answer["data"]


def test_a_database_of_another_profile_has_no_such_endpoint(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}", "EXPLORER": "off"}
    with engine_of(environ["DATABASE_URL"]):
        pass
    for mode, status in (("auto", 404), ("off", 404)):
        with TestClient(create_app(read_settings(Settings, None, {**environ, "DIMO_API": mode}))) as client:
            assert client.post("/query", json={"query": "{ __typename }"}).status_code == status
    assert LINK != UNIT


def test_documents_of_clients_are_not_executed_beside_trusted_documents(url: str, tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({"name": "{ __typename }"}))
    environ = {"DATABASE_URL": url, "EXPLORER": "off", "TRUSTED_DOCUMENTS": str(manifest)}
    with TestClient(create_app(read_settings(Settings, None, environ))) as client:
        assert client.post("/query", json={"query": "{ __typename }"}).status_code == 404
        assert client.post("/graphql", json={"documentId": "name"}).json()["data"] == {"__typename": "Query"}


def test_requests_errors_and_the_cache_are_in_the_metrics(url: str) -> None:
    app = create_app(read_settings(Settings, None, {"DATABASE_URL": url, "EXPLORER": "off", "MAX_SECONDS": "40"}))
    with TestClient(app) as client:
        for query in ["{ vehicles { totalCount } }"] * 2 + ["{ vehicle(tokenId: 99) { tokenId } }"]:
            client.post("/query", json={"query": query})
        client.post("/graphql", json={"query": "{ nothing }"})
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in app.state.metrics.collect()
        for sample in family.samples
    }
    assert samples["certindex_api_requests_total", "dimo", "200"] == 3
    assert samples["certindex_api_errors_total", "NOT_FOUND"] == 1
    assert samples["certindex_api_errors_total", "GRAPHQL_VALIDATION_FAILED"] == 1
    assert samples["certindex_api_cache_total", "hit"] == 1
