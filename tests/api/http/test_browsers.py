"""HTTP for browsers and caches: compression, CORS, and no internals in errors."""

import gzip
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.settings import Settings
from tests.support.api.live import BLOCKS, acknowledged
from tests.support.api.server import CLIENT, serving
from tests.support.index.history import History, log
from tests.support.processes import until

SITE = {"origin": "https://fleet.example"}
LARGE = "{ devices(first: 20) { nodes { tokenId tokenDID owner mintedAt manufacturer { name } } } }"
SMALL = "{ devices { totalCount } }"
MAKER = "0x" + "aa" * 20
EXPOSED = {"ETag", "Retry-After", "As-Of", "Content-Location", "Content-Disposition", "Link"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    history = History(sqlite_url)
    history.block(log("ManufacturerLicensed", 1, MAKER, "Acme", "", bytes(32), 0))
    for token in range(1, 21):
        history.block(log("Transfer", "0x" + "00" * 20, MAKER, token))
    history.close()
    return sqlite_url


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url)) as address:
        yield f"{address}/graphql"


def get(url: str, query: str, **headers: str) -> httpx.Response:
    return CLIENT.get(url, params={"query": query}, headers={"accept": "application/json", **headers})


def listed(response: httpx.Response, header: str) -> set[str]:
    return {name.strip() for name in response.headers.get(header, "").split(",") if name.strip()}


# Compression


def test_an_answer_is_compressed_if_the_client_accepts_it_and_has_the_same_content(url: str) -> None:
    plain = get(url, LARGE, **{"accept-encoding": "identity"})
    with CLIENT.stream(
        "GET", url, params={"query": LARGE}, headers={"accept": "application/json", "accept-encoding": "br, gzip"}
    ) as packed:
        raw = b"".join(packed.iter_raw())
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(raw) < len(plain.content) / 2
    assert gzip.decompress(raw) == plain.content
    assert packed.headers["etag"] == plain.headers["etag"]
    for answer in (plain, packed):
        assert {"Accept", "Accept-Encoding"} <= listed(answer, "vary")


def test_a_small_answer_is_not_compressed(url: str) -> None:
    answer = get(url, SMALL, **{"accept-encoding": "gzip"})
    assert answer.json()["data"] == {"devices": {"totalCount": 20}}
    assert "content-encoding" not in answer.headers
    assert "Accept" in listed(answer, "vary")


async def test_a_stream_is_not_held_back_by_compression(url: str) -> None:
    body = {"query": LARGE}
    headers = {"accept": "text/event-stream", "accept-encoding": "gzip"}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", url, json=body, headers=headers) as response,
    ):
        assert "content-encoding" not in response.headers
        assert (await response.aread()).endswith(b"event: complete\ndata:\n\n")


# Pages of other sites


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_may_send_any_header(url: str, method: str) -> None:
    preflight = {"access-control-request-method": method, "access-control-request-headers": "content-type, x-min-block"}
    leave = CLIENT.options(url, headers=SITE | preflight)
    assert leave.status_code == 200
    assert leave.headers["access-control-allow-origin"] == "*"
    assert method in listed(leave, "access-control-allow-methods")
    assert {"content-type", "x-min-block"} <= listed(leave, "access-control-allow-headers")


def test_a_page_of_another_site_may_not_use_other_methods(url: str) -> None:
    refused = CLIENT.options(url, headers=SITE | {"access-control-request-method": "DELETE"})
    assert refused.status_code == 400
    assert "DELETE" not in listed(refused, "access-control-allow-methods")


def test_a_page_of_another_site_reads_answers_and_their_etag(url: str) -> None:
    answer = get(url, SMALL, **SITE)
    again = get(url, SMALL, **SITE, **{"if-none-match": answer.headers["etag"]})
    wrong = CLIENT.post(url, json={"query": "{ nonsense }"}, headers=SITE)
    assert [response.status_code for response in (answer, again)] == [200, 304]
    for response in (answer, again, wrong):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
        assert listed(response, "access-control-expose-headers") == EXPOSED
    assert "access-control-allow-origin" not in get(url, SMALL).headers


def test_a_page_of_another_site_reads_how_long_to_wait(database_url: str) -> None:
    with serving(Settings(database_url=database_url, request_rate="1/minute")) as address:
        answers = [CLIENT.post(f"{address}/graphql", json={"query": SMALL}, headers=SITE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 60
    assert answers[1].headers["access-control-allow-origin"] == "*"
    assert listed(answers[1], "access-control-expose-headers") == EXPOSED


def test_a_page_of_another_site_may_stream(url: str) -> None:
    with CLIENT.stream("POST", url, json={"query": SMALL}, headers=SITE | {"accept": "text/event-stream"}) as stream:
        assert stream.headers["access-control-allow-origin"] == "*"
        assert listed(stream, "vary") >= {"Accept"}


# Our failures

SECRET = "a secret of the server"
OWN = "{ device(by: {tokenId: 1}) { id } }"
INTERNAL = {"code": "INTERNAL_SERVER_ERROR"}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr("api.graphql.roots.lookups._by_numbers", fail)


def extensions_of(answer: Any) -> Any:
    [error] = answer["errors"]
    assert SECRET not in str(answer)
    assert "Traceback" not in str(answer)
    return error["extensions"]


@pytest.mark.usefixtures("broken")
def test_the_response_over_http_hides_a_failure_in_a_field(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answers = [CLIENT.post(url, json={"query": OWN}) for _ in range(3)]  # the later ones by a compiled plan
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["data"] == {"device": None}
        assert extensions_of(answer.json()) == INTERNAL
    assert caplog.text.count(f"ZeroDivisionError: {SECRET}") >= 3


@pytest.mark.usefixtures("broken")
async def test_websockets_and_streams_hide_a_failure_in_a_field(url: str) -> None:
    address = url.removesuffix("/graphql")
    async with acknowledged(address) as client:
        await client.subscribe("1", OWN)
        message = await client.receive("1")
    async with httpx.AsyncClient(timeout=60) as http:
        stream = await http.post(url, json={"query": OWN}, headers={"accept": "text/event-stream"})
    assert message["type"] == "next"
    assert extensions_of(message["payload"]) == INTERNAL
    assert '"code":"INTERNAL_SERVER_ERROR"' in stream.text
    assert SECRET not in stream.text
    assert stream.text.endswith("event: complete\ndata:\n\n")


def test_the_response_hides_a_failure_outside_of_fields(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr("api.http.endpoint.read_request", fail)
    answer = CLIENT.post(url, json={"query": SMALL})
    assert answer.status_code == 500
    assert extensions_of(answer.json()) == INTERNAL
    until(lambda: SECRET in caplog.text, "the log of the failure")  # it follows the answer


def test_a_database_that_fails_during_a_request_is_not_ready(
    url: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert "errors" not in get(url, LARGE).json()
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as writer, writer:
        writer.execute("ALTER TABLE device_key RENAME TO hidden")
        writer.execute("UPDATE chain SET revision = revision + 1")
    for query in (LARGE, LARGE, SMALL):
        answer = get(url, query)
        assert extensions_of(answer.json()) == {"code": "NOT_READY"}
        assert "device_key" not in answer.text
    assert "no such table: device_key" in caplog.text


async def test_a_missing_database_is_not_ready_over_every_transport(tmp_path: Path) -> None:
    (tmp_path / "none.db").write_bytes(b"no database" * 1000)
    with serving(Settings(database_url=f"sqlite:///{tmp_path / 'none.db'}")) as address:
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.post(f"{address}/graphql", json={"query": SMALL}, headers=SITE)
            stream = await http.post(
                f"{address}/graphql", json={"query": SMALL}, headers={"accept": "text/event-stream"}
            )
        async with acknowledged(address) as client:
            await client.subscribe("1", SMALL)
            await client.subscribe("2", BLOCKS)
            messages = [await client.receive("1"), await client.receive("2")]
    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == "*"
    assert extensions_of(answer.json()) == {"code": "NOT_READY"}
    assert '"code":"NOT_READY"' in stream.text
    assert "NOT_READY" in str(messages[0])
    assert "NOT_READY" in str(messages[1])
    for body in (answer.text, stream.text, str(messages)):
        assert "SELECT" not in body
        assert "not a database" not in body


TYPENAME = {"query": "{ __typename }"}


def test_a_client_that_has_the_answer_gets_304(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url)) as url:
        first = CLIENT.get(f"{url}/graphql", params=TYPENAME)
        again = CLIENT.get(
            f"{url}/graphql", params=TYPENAME, headers={"If-None-Match": f'"x", {first.headers["etag"]}'}
        )
        other = CLIENT.get(
            f"{url}/graphql", params={"query": "{ a: __typename }"}, headers={"If-None-Match": first.headers["etag"]}
        )
        wrong = CLIENT.get(f"{url}/graphql", params={"query": "{ nothing }"})
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"] != other.headers["etag"]
    assert "accept" in again.headers["vary"].lower()
    assert "etag" not in wrong.headers
