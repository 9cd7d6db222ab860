"""A client that leaves before its response is ready is noticed, and its SQL is ended."""

import asyncio
import json
import socket
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection

from api.settings import Settings
from tests.support.api.feeding import Moving, minted
from tests.support.api.live import acknowledged
from tests.support.api.server import CLIENT, serving
from tests.support.chain.fakechain import CERTIFICATE
from tests.support.databases import run_for_ever
from tests.support.processes import PATIENCE, until

COUNT = "{ devices { totalCount } }"
BODY = json.dumps({"query": COUNT}).encode()
BUNDLE = f"/devices/did:erc721:31337:0x{CERTIFICATE.hex()}:1/bundle.json"


def get(path: str, accept: str = "application/json") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode()


def post(path: str, accept: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


REQUESTS = {
    "POST": post("/graphql"),
    "GET": get("/graphql?query=%7Bdevices%7BtotalCount%7D%7D"),
    "event stream": post("/graphql/stream", "text/event-stream"),
    "event stream by Accept": post("/graphql", "text/event-stream"),
    "bundle": get(BUNDLE),
}


class EndlessSql:
    """A statement in place of the loader of counts and of the bundle. `begun` and `ended` are set by its thread."""

    def __init__(self) -> None:
        self.begun, self.ended = Event(), Event()

    def __call__(self, connection: Connection, *_: Any) -> Any:
        self.begun.set()
        try:
            return run_for_ever(connection)
        finally:
            self.ended.set()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Callable[[], EndlessSql]:
    def patch() -> EndlessSql:
        sql = EndlessSql()
        monkeypatch.setattr("api.reading.read.counts", sql)
        monkeypatch.setattr("api.http.bundle.make_bundle", sql)
        return sql

    return patch


@pytest.fixture
def url_with_a_device(database_url: str) -> str:
    moving = Moving(database_url)
    asyncio.run(moving.mine(*minted(1)))
    moving.close()
    return database_url


def settings_of(url: str) -> Settings:
    return Settings(database_url=url, max_seconds=600, cache_bytes=0, metrics_port=None)


@pytest.mark.parametrize("request_name", REQUESTS)
def test_the_sql_of_a_client_that_leaves_is_ended(
    url_with_a_device: str, endless: Callable[[], EndlessSql], request_name: str
) -> None:
    """Twice: graphql-core answers a query that is new, the compiled executor one that is repeated."""
    with serving(settings_of(url_with_a_device)) as address:
        host, port = address.removeprefix("http://").split(":")
        for _ in range(2):
            sql = endless()
            with socket.create_connection((host, int(port))) as client:
                client.sendall(REQUESTS[request_name])
                assert sql.begun.wait(PATIENCE)
                assert not sql.ended.is_set()
            assert sql.ended.wait(PATIENCE)
        until(lambda: CLIENT.get(f"{address}/healthz").status_code == 200, "the service")


async def test_the_sql_of_a_websocket_that_closes_is_ended(
    url_with_a_device: str, endless: Callable[[], EndlessSql]
) -> None:
    with serving(settings_of(url_with_a_device)) as address:
        for _ in range(2):
            sql = endless()
            async with acknowledged(address) as client:
                await client.subscribe("1", COUNT)
                assert await asyncio.to_thread(sql.begun.wait, PATIENCE)
            assert await asyncio.to_thread(sql.ended.wait, PATIENCE)


def test_a_client_that_leaves_makes_room_for_the_others(
    url_with_a_device: str, endless: Callable[[], EndlessSql], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More clients than snapshots, of which some wait for their turn; then another is answered at once."""
    with serving(settings_of(url_with_a_device)) as address, monkeypatch.context() as patch:
        host, port = address.removeprefix("http://").split(":")
        sql = EndlessSql()
        patch.setattr("api.reading.read.counts", sql)
        clients = [socket.create_connection((host, int(port))) for _ in range(12)]
        for client in clients:
            client.sendall(REQUESTS["POST"])
        assert sql.begun.wait(PATIENCE)
        for client in clients:
            client.close()
        assert sql.ended.wait(PATIENCE)
        patch.undo()
        answer = CLIENT.post(f"{address}/graphql", json={"query": COUNT})
        assert answer.json()["data"] == {"devices": {"totalCount": 1}}
