"""Automatic persisted queries: a document is sent once, and then its hash."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from api.answering.persisted import ENTRY_BYTES, PersistedQueries, PersistedQueryNotFound
from api.graphql.request import GraphQLRequest
from api.settings import Settings
from tests.support.api.live import acknowledged
from tests.support.api.server import CLIENT, GRAPHQL_RESPONSE, JSON, code, post, serving, with_one_device

QUERY = "query Device($id: BigInt!) { device(by: {tokenId: $id}) { serialNumber } }"
ANSWER = {"device": {"serialNumber": "SN-7"}}


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return with_one_device(f"sqlite:///{tmp_path_factory.mktemp('persisted') / 'a.db'}")


@pytest.fixture
def address(database_url: str) -> Iterator[str]:
    """A server that has no document yet."""
    with serving(Settings(database_url=database_url)) as address:
        yield address


def hash_of(query: str) -> str:
    return sha256(query.encode()).hexdigest()


def named(query: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": hash_of(query)}}


def by_get(address: str, *, query: str | None = None, **headers: str) -> httpx.Response:
    parameters = {"variables": json.dumps({"id": "7"}), "extensions": json.dumps(named(QUERY))}
    return CLIENT.get(f"{address}/graphql", params=parameters | ({"query": query} if query else {}), headers=headers)


def by_post(address: str, *, query: str | None = None, **headers: str) -> httpx.Response:
    body = {"variables": {"id": "7"}, "extensions": named(QUERY)} | ({"query": query} if query else {})
    return post(f"{address}/graphql", body, **headers)


@pytest.mark.parametrize("send", [by_get, by_post])
@pytest.mark.parametrize("register", [by_get, by_post])
def test_a_document_is_sent_once_and_then_named_by_its_hash(address: str, send: Any, register: Any) -> None:
    unknown = send(address)
    assert code(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert "data" not in unknown.json()
    assert register(address, query=QUERY).json()["data"] == ANSWER
    assert send(address).json()["data"] == ANSWER


@pytest.mark.parametrize(("accept", "status"), [(GRAPHQL_RESPONSE, 400), (JSON, 200), ("*/*", 200)])
def test_an_unknown_hash_has_a_status_by_its_media_type_and_is_not_cached(
    address: str, accept: str, status: int
) -> None:
    unknown = by_get(address, accept=accept)
    assert unknown.status_code == status
    assert code(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    assert "etag" not in unknown.headers
    assert unknown.headers["cache-control"] == "no-store"


def test_a_hash_of_another_query_is_refused_and_nothing_is_kept(address: str) -> None:
    refused = by_post(address, query=QUERY + " ")
    assert (refused.status_code, code(refused)) == (400, "BAD_USER_INPUT")
    assert hash_of(QUERY) in refused.json()["errors"][0]["message"]
    assert hash_of(QUERY + " ") in refused.json()["errors"][0]["message"]
    assert code(by_post(address)) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [],
        {},
        {"version": 1},
        {"version": 2, "sha256Hash": "ab" * 32},
        {"version": 1, "sha256Hash": "ab" * 31},
        {"version": 1, "sha256Hash": "xy" * 32},
        {"version": 1, "sha256Hash": None},
        {"sha256Hash": "ab" * 32},
    ],
)
def test_an_invalid_persisted_query_is_refused_with_an_example(address: str, wrong: Any) -> None:
    refused = post(f"{address}/graphql", {"query": "{ __typename }", "extensions": {"persistedQuery": wrong}})
    assert (refused.status_code, code(refused)) == (400, "BAD_USER_INPUT")
    assert '"version": 1' in refused.json()["errors"][0]["message"]


def test_the_case_of_a_hash_does_not_matter(address: str) -> None:
    by_post(address, query=QUERY)
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hash_of(QUERY).upper()}}
    answer = post(f"{address}/graphql", {"variables": {"id": "7"}, "extensions": extensions})
    assert answer.json()["data"] == ANSWER


def test_a_hash_by_get_has_an_etag_and_gets_304(address: str) -> None:
    first = by_get(address, query=QUERY)
    again = by_get(address, **{"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == first.headers["cache-control"] == "no-cache"


async def test_an_invalid_persisted_query_ends_its_operation_and_not_the_connection(address: str) -> None:
    payload = {"query": QUERY, "extensions": {"persistedQuery": {"version": 2}}}
    async with acknowledged(address) as socket:
        await socket.send(id="a", type="subscribe", payload=payload)
        refused = await socket.receive("a")
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "BAD_USER_INPUT")
        await socket.send(id="a", type="subscribe", payload={"query": QUERY, "variables": {"id": "7"}})
        assert (await socket.receive("a"))["payload"]["data"] == ANSWER


async def test_websockets_know_the_same_documents(address: str) -> None:
    payload = {"variables": {"id": "7"}, "extensions": named(QUERY)}
    async with acknowledged(address) as socket:
        await socket.send(id="a", type="subscribe", payload=payload)
        refused = await socket.receive("a")
        assert refused["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        await socket.send(id="b", type="subscribe", payload=payload | {"query": QUERY})
        assert (await socket.receive("b"))["payload"]["data"] == ANSWER
    assert by_get(address).json()["data"] == ANSWER


def test_the_least_recently_used_documents_are_dropped_first() -> None:
    documents = [f"{{ a{number:03}: __typename }}" for number in range(100)]
    remembered = PersistedQueries(max_bytes=10 * (ENTRY_BYTES + len(documents[0])))
    for document in documents:
        remembered.resolve(GraphQLRequest(document, hash=hash_of(document)))
        remembered.resolve(GraphQLRequest("", hash=hash_of(documents[0])))
    resolved = []
    for document in documents:
        try:
            resolved.append(remembered.resolve(GraphQLRequest("", hash=hash_of(document))).query)
        except PersistedQueryNotFound:
            continue
    assert resolved == [documents[0], *documents[-9:]]


def test_a_document_larger_than_the_cache_is_executed_and_not_kept() -> None:
    remembered = PersistedQueries(max_bytes=1000)
    document = "{ __typename }" + " " * 1000
    assert remembered.resolve(GraphQLRequest(document, hash=hash_of(document))).query == document
    with pytest.raises(PersistedQueryNotFound):
        remembered.resolve(GraphQLRequest("", hash=hash_of(document)))
