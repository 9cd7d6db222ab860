"""GraphQL over HTTP: statuses, media types, and malformed requests."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.settings import Settings
from tests.support.api.server import CLIENT, GRAPHQL_RESPONSE, JSON, code, post, serving, with_one_device
from tests.support.databases import NewDatabase
from tests.support.index.history import History

QUERY = '{ device(by: {tokenId: "7"}) { serialNumber } }'


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """These requests do not depend on the database: one server suffices."""
    database_url = with_one_device(f"sqlite:///{tmp_path_factory.mktemp('http') / 'a.db'}")
    with serving(Settings(database_url=database_url)) as address:
        yield f"{address}/graphql"


def test_a_query_is_answered_by_post_and_by_get(new_database: NewDatabase) -> None:
    with serving(Settings(database_url=with_one_device(new_database()))) as address:
        url = f"{address}/graphql"
        for answer in (post(url, {"query": QUERY}), CLIENT.get(url, params={"query": QUERY})):
            assert answer.status_code == 200
            assert answer.json()["data"] == {"device": {"serialNumber": "SN-7"}}
            assert answer.headers["vary"].startswith("Accept")


def test_many_requests_at_once_are_all_answered(new_database: NewDatabase) -> None:
    async def ask_all(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.get(url, params={"query": QUERY}) for _ in range(60)))

    with serving(Settings(database_url=with_one_device(new_database()))) as address:
        answers = asyncio.run(ask_all(f"{address}/graphql"))
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_variables_keep_whole_numbers_of_any_size(url: str, method: str) -> None:
    query = "query ($id: BigInt!) { device(by: {tokenId: $id}) { tokenId } }"
    number = 2**256 - 1
    if method == "POST":
        answer = post(url, {"query": query, "variables": {"id": number}})
    else:
        answer = CLIENT.get(url, params={"query": query, "variables": json.dumps({"id": number})})
    assert answer.json()["data"] == {"device": None}
    assert answer.status_code == 200


def test_one_of_several_operations_is_picked_by_its_name(url: str) -> None:
    query = "query A { _meta { version } } query B { device(by: {tokenId: 7}) { tokenId } }"
    assert post(url, {"query": query, "operationName": "B"}).json()["data"] == {"device": {"tokenId": "7"}}
    unnamed = post(url, {"query": query})
    assert unnamed.status_code == 400
    assert "data" not in unnamed.json()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/graphql-response+json, */*", GRAPHQL_RESPONSE),
        ("application/json, application/graphql-response+json;q=0.9", JSON),
        ("application/graphql-response+json; charset=utf-8, application/json; charset=utf-8", GRAPHQL_RESPONSE),
        ("text/plain, application/json;q=0.1", JSON),
        ("application/json;q=0, */*", GRAPHQL_RESPONSE),
    ],
)
def test_the_media_type_is_the_one_that_accept_prefers(url: str, accept: str, content_type: str) -> None:
    answer = post(url, {"query": QUERY}, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{content_type}; charset=utf-8"


def test_a_request_without_accept_is_answered(url: str) -> None:
    with httpx.Client(timeout=60) as client:
        request = client.build_request("POST", url, json={"query": QUERY})
        del request.headers["accept"]
        answer = client.send(request)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{JSON}; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["text/plain", "image/*", "application/json;q=0", "application/graphql-response+json;q=x"]
)
def test_an_accept_header_without_a_match_is_406(url: str, accept: str) -> None:
    answer = post(url, {"query": QUERY}, accept=accept)
    assert answer.status_code == 406
    assert GRAPHQL_RESPONSE in answer.json()["errors"][0]["message"]


UNKNOWN_HASH = {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}
OTHER_VERSION = {"persistedQuery": {"version": 2, "sha256Hash": "ab" * 32}}
TOO_DEEP = "{ device(by: {tokenId: 7}) " + "{ manufacturer { devices { nodes " * 4 + "{ id }" + "}}}" * 4 + "}"
REFUSED: list[tuple[Any, str]] = [
    ({"query": "# nothing"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
    ({"query": "query ($x: Nope) { _meta { version } }"}, "GRAPHQL_VALIDATION_FAILED"),
    ({"query": "fragment Version on Meta { version }"}, "BAD_REQUEST"),
    ({"query": "mutation { mint }"}, "BAD_REQUEST"),
    ({"query": "query A { _meta { version } } query B { _meta { version } }"}, "BAD_REQUEST"),
    ({"query": QUERY, "operationName": "C"}, "BAD_REQUEST"),
    ({"query": "subscription { blockIndexed { number } }"}, "BAD_REQUEST"),
    ({"query": "query ($id: BigInt!) { device(by: {tokenId: $id}) { tokenId } }"}, "BAD_USER_INPUT"),
    ({"query": "{ devices(first: 100) { nodes { history(first: 100) { nodes { id } } } } }"}, "MAX_COST_EXCEEDED"),
    ({"query": TOO_DEEP}, "MAX_DEPTH_EXCEEDED"),
    ({"documentId": "unknown"}, "PERSISTED_QUERY_NOT_FOUND"),
    ({"extensions": UNKNOWN_HASH}, "PERSISTED_QUERY_NOT_FOUND"),
    ({"query": QUERY, "extensions": UNKNOWN_HASH}, "BAD_USER_INPUT"),
    ({"query": QUERY, "extensions": OTHER_VERSION}, "BAD_USER_INPUT"),
]
"""GraphQL requests that are refused, each with its code."""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("body", "expected"), REFUSED)
def test_a_refused_query_has_no_data_and_a_status_by_its_media_type(
    url: str, body: Any, expected: str, method: str
) -> None:
    for accept in (GRAPHQL_RESPONSE, JSON, "*/*", "application/*", "application/json;q=0.5", "", None):
        answer = CLIENT.send(_request(url, method, body, accept))
        media_type = GRAPHQL_RESPONSE if accept == GRAPHQL_RESPONSE else JSON
        assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert answer.status_code == (400 if media_type == GRAPHQL_RESPONSE else 200)
        assert "data" not in answer.json()
        assert code(answer) == expected
        assert answer.headers["cache-control"] == "no-store"


def _request(url: str, method: str, body: Any, accept: str | None) -> httpx.Request:
    """Returns a request with this Accept header, None for none."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    shape: Any = {"params": texts} if method == "GET" else {"json": body}
    request = CLIENT.build_request(method, url, **shape)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    return request


@pytest.mark.parametrize("accept", [GRAPHQL_RESPONSE, JSON, "*/*"])
def test_a_wrong_header_is_refused_as_a_wrong_argument_is(url: str, accept: str) -> None:
    answer = post(url, {"query": QUERY}, accept=accept, **{"x-min-block": "seven"})
    assert (answer.status_code, code(answer)) == (400 if accept == GRAPHQL_RESPONSE else 200, "BAD_USER_INPUT")


def test_a_variable_of_a_wrong_type_is_400(url: str) -> None:
    query = "query ($id: BigInt!) { device(by: {tokenId: $id}) { tokenId } }"
    for variables in ({"id": "seven"}, {"id": 1.5}, {"id": None}, {}, None):
        answer = post(url, {"query": query, "variables": variables})
        assert answer.status_code == 400
        assert code(answer) == "BAD_USER_INPUT"


NESTED = b"[" * 3000 + b"]" * 3000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5",
        b"null",
        b"true",
        b'"x"',
        b"[]",
        b"{",
        b"{}",
        b"not json",
        b'{"query": ""}',
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": "{ _meta { version } }", "variables": []}',
        b'{"query": "{ _meta { version } }", "variables": "{}"}',
        b'{"query": "{ _meta { version } }", "operationName": 1}',
        b'{"query": "{ _meta { version } }", "extensions": 1}',
        b'{"query": "{ _meta { version } }", "variables": {"x": NaN}}',
        b'{"query": "\xff\xfe"}',
        b'{"query": "{ \\ud800 }"}',
        b'{"query": "{ _meta { version } }", "variables": {"x": "\\udfff"}}',
        b'{"query": "{ _meta { version } }", "variables": {"x": ' + b"9" * 5000 + b"}}",
        NESTED,
        b'{"query": "{ _meta { version } }", "variables": {"x": ' + NESTED + b"}}",
        b'{"query": "{ _meta { version } }", "variables": {"x": ' + b"[" * 80 + b"]" * 80 + b"}}",
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        "\ufeff{}".encode("utf-16"),
    ],
)
def test_a_body_that_is_not_a_graphql_request_is_400(url: str, body: bytes) -> None:
    for accept in (GRAPHQL_RESPONSE, JSON):
        answer = post(url, body, accept=accept)
        assert answer.status_code == 400
        assert code(answer) == "BAD_REQUEST"
        assert answer.headers["content-type"].startswith(accept)
    assert post(url, {"query": QUERY}).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/graphql", "multipart/form-data", "application/json; charset=latin-1"],
)
def test_a_body_of_another_type_is_415(url: str, content_type: str) -> None:
    answer = post(url, {"query": QUERY}, **{"content-type": content_type})
    assert answer.status_code == 415
    assert code(answer) == "BAD_REQUEST"


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON; charset=UTF-8"])
def test_a_content_type_may_name_utf_8(url: str, content_type: str) -> None:
    assert post(url, {"query": QUERY}, **{"content-type": content_type}).status_code == 200


def test_a_compressed_body_is_415(url: str) -> None:
    assert post(url, {"query": QUERY}, **{"content-encoding": "gzip"}).status_code == 415


def test_a_body_that_is_too_large_is_413_with_or_without_content_length(url: str) -> None:
    body = json.dumps({"query": QUERY + " " * 1_000_001}).encode()
    assert post(url, body).status_code == 413
    chunks = (body[start : start + 65536] for start in range(0, len(body), 65536))
    answer = CLIENT.post(url, content=chunks, headers={"content-type": JSON})
    assert answer.status_code == 413
    assert code(answer) == "BAD_REQUEST"


def test_a_client_that_disconnects_during_its_request_disturbs_no_other(url: str) -> None:
    host, port = httpx.URL(url).host, httpx.URL(url).port
    with socket.create_connection((host, port or 0)) as connection:
        connection.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
    assert post(url, {"query": QUERY}).status_code == 200


@pytest.mark.parametrize(
    "parameters",
    [{}, {"query": QUERY, "variables": "{"}, {"query": QUERY, "variables": "5"}, {"query": QUERY, "extensions": "[]"}],
)
def test_a_url_that_is_not_a_graphql_request_is_400(url: str, parameters: dict[str, str]) -> None:
    answer = CLIENT.get(url, params=parameters)
    assert answer.status_code == 400
    assert code(answer) == "BAD_REQUEST"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405_with_the_allowed_methods(url: str, method: str) -> None:
    answer = CLIENT.request(method, url)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


def test_head_is_get_without_a_body(url: str) -> None:
    answer = CLIENT.head(url, params={"query": QUERY})
    assert answer.status_code == 200
    assert answer.content == b""


def test_any_page_may_read(url: str) -> None:
    preflight = {
        "origin": "https://fleet.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-min-block",
    }
    allowed = httpx.options(url, headers=preflight)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "x-min-block" in allowed.headers["access-control-allow-headers"]
    answer = post(url, {"query": QUERY}, origin="https://fleet.example")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_introspection_can_be_switched_off(sqlite_url: str) -> None:
    History(sqlite_url).close()
    query = {"query": "{ __schema { queryType { name } } }"}
    with serving(Settings(database_url=sqlite_url)) as address:
        assert post(f"{address}/graphql", query).json()["data"]["__schema"]["queryType"]["name"] == "Query"
    with serving(Settings(database_url=sqlite_url, introspection=False)) as address:
        refused = post(f"{address}/graphql", query)
        assert refused.status_code == 400
        assert code(refused) == "GRAPHQL_VALIDATION_FAILED"
        assert CLIENT.get(f"{address}/schema.graphql").status_code == 200
