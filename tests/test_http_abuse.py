"""Connections that keep the server waiting, or make it keep things: they are cut off, and the next one is answered."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx
import pytest

from api.settings import Settings
from tests.history import History
from tests.server import CLIENT, serving

ASKED = b'{"query": "{ __typename }"}'
HEAD = b"POST /graphql HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(ASKED) + ASKED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('abuse') / 'a.db'}"
    history = History(url)
    history.block()
    history.close()
    with serving(Settings(database_url=url)) as address:
        yield address


@pytest.fixture
def address(server: str) -> Iterator[str]:
    yield server
    assert CLIENT.get(f"{server}/healthz").text == "ok\n"


def send(address: str, *pieces: bytes) -> bytes:
    """Return all that is answered until the server closes the connection."""
    url = httpx.URL(address)
    with closing(socket.create_connection((url.host, url.port), timeout=30)) as connection:
        with suppress(OSError):  # cut off while it sends
            for piece in pieces:
                connection.sendall(piece)
        return heard(connection)


def heard(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            found += piece
    return found


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"GET /", id="address"),
        pytest.param(b"GET / HTTP/1.1\r\nX", id="name of a header"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", id="header"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", id="extension of a chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{    \r\n0\r\nX: ", id="trailer"),
    ],
)
def test_what_has_no_end_is_cut_off(address: str, beginning: bytes) -> None:
    began = time.process_time()
    answer = send(address, beginning, *[b"a" * 50_000] * 100)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), answer
    assert time.process_time() - began < 5, "the server must not read it again and again"


def test_many_headers_are_cut_off(address: str) -> None:
    answer = send(address, b"GET / HTTP/1.1\r\n", *[b"X: a\r\n" * 1000] * 100)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer


@pytest.mark.parametrize("beginning", [b"", b"GET /graph", b"GET / HTTP/1.1\r\nHost: it\r\n"])
def test_a_request_that_does_not_come_is_not_waited_for(
    address: str, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.protocol.HEAD_SECONDS", 0.3)
    assert send(address, beginning).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_bytes_that_begin_no_request_do_not_keep_a_connection(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.protocol.HEAD_SECONDS", 0.3)
    url = httpx.URL(address)
    with closing(socket.create_connection((url.host, url.port), timeout=30)) as connection:
        connection.sendall(WHOLE)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"\r\n")
        assert heard(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_body_that_does_not_come_is_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.requests.BODY_SECONDS", 0.5)
    answer = send(address, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"message":"The body took more than 0.5 s."' in answer


def test_one_connection_asks_often_and_much(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.protocol.HEAD_SECONDS", 1.0)
    large = ASKED + b" " * 900_000
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"5dc\r\n" + b" " * 1500 + b"\r\n" for _ in range(500))
    pieces = [
        WHOLE * 3,
        HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large,
        HEAD + chunked + b"1b\r\n" + ASKED + b"\r\n0\r\n\r\n",
        WHOLE.replace(b"Host: it", b"Connection: close"),
    ]
    assert send(address, *pieces).count(b"HTTP/1.1 200 OK") == 6


def test_a_slow_answer_outlives_the_time_of_a_head(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.protocol.HEAD_SECONDS", 0.2)
    monkeypatch.setattr("api.streams.SILENCE_SECONDS", 0.4)
    asked = {"query": "subscription { blockIndexed { number } }"}
    wanted = {"accept": "text/event-stream"}
    with CLIENT.stream("POST", f"{address}/graphql", json=asked, headers=wanted) as stream:
        comments = stream.iter_raw()
        assert [next(comments) for _ in range(3)] == [b":\n\n"] * 3


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/schema.graphql", "/graphiql/graphiql.js"])
def test_what_is_only_read_cannot_be_written(address: str, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert CLIENT.request(method, address + path).status_code == 405


def test_a_number_beyond_reason_is_refused_in_the_words_of_the_service(address: str) -> None:
    body = b'{"query": "{ __typename }", "variables": {"a": %s}}' % (b"9" * 5000)
    answer = CLIENT.post(f"{address}/graphql", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "sys." not in answer.text
