"""The stop of a server: it finishes what it answers, and clients of subscriptions resume elsewhere without a loss."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from api.credentials.keys import new_key
from scripts.processes import Child
from tests.support.api.live import EVENTS, Stream, acknowledged, streamed
from tests.support.api.server import post, with_one_device
from tests.support.haproxy import balancer
from tests.support.index.history import CHAIN_ID, CONTRACT, History, log
from tests.support.postgres import plain_url
from tests.support.processes import free_ports, until

MINTED = log("CertificateMinted", 7, "0x" + "bb" * 20, 1, 10, "SN-7", "356938035643809", 1_600_000_000, "1.0.0")
DEVICES = "{ devices { totalCount nodes { tokenId } } }"


Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, which end with the test."""
    children: list[Child] = []

    def start(url: str, port: int, *options: str, **settings: str) -> Child:
        common = {"DATABASE_URL": url, "PORT": str(port), "CACHE_BYTES": "0", "POLL_STALE_SECONDS": "1000000000"}
        environment = os.environ | common | settings
        child = Child([sys.executable, "-m", "api", *options], environment=environment)
        children.append(child)
        until(lambda: "serving http" in child.last_output, "the port", child)
        return child

    yield start
    for child in children:
        child.kill()


def stop(child: Child) -> None:
    os.kill(child.pid, signal.SIGTERM)


def has_ended(child: Child) -> bool:
    return child.exit_status is not None


async def read_events(stream: Stream) -> None:
    """Reads to the event that says that a stream is complete. Raises StopAsyncIteration if none does."""
    while (await stream.event())[0] != "complete":
        pass


def ready(port: int) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code


async def test_a_server_that_stops_closes_subscriptions_with_the_cursor_from_which_they_resume(
    sqlite_url: str, start: Start
) -> None:
    history = History(sqlite_url)
    history.block(MINTED)
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    child = start(sqlite_url, port)

    async def reset() -> None:
        history.block(log("FactoryReset", 7, "0x" + "aa" * 20, 1_600_000_000, 1))

    async with acknowledged(address) as client, streamed(address, EVENTS) as stream:
        await client.subscribe("new", EVENTS)
        await client.begin("from here")
        for id in ("new", "from here"):
            await client.begun(id, reset)
        for id in ("new", "from here"):
            while (await client.next(id))["event"]["block"]["number"] != str(history.number):
                pass
        stop(child)
        ping = await client.receive()
        assert ping["type"] == "ping"
        cursors = ping["payload"]["resume"]
        assert cursors.keys() == {"new", "from here"}
        assert await client.close_code() == (1001, "The server stops. Connect again, and resume with the last cursor.")
        with pytest.raises(StopAsyncIteration):  # no event says that the stream is complete
            await read_events(stream)
    await asyncio.to_thread(until, lambda: has_ended(child), "the end")
    await reset()
    last = history.number
    history.close()
    start(sqlite_url, port)
    async with acknowledged(address) as client:
        for id, cursor in cursors.items():
            await client.subscribe(id, EVENTS, after=cursor)
            message = await client.next(id)
            assert (message["event"]["kind"], message["event"]["block"]["number"]) == ("FACTORY_RESET", str(last))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_stops_is_not_ready_first_and_finishes_its_answers(
    postgres_url: str, workers: str, start: Start
) -> None:
    with_one_device(postgres_url)
    [port] = free_ports(1)
    child = start(postgres_url, port, "--workers", workers, DRAIN_SECONDS="300")
    until(lambda: ready(port) in (200, 503), "the first worker", child)
    url = f"http://127.0.0.1:{port}/graphql"
    with psycopg.connect(plain_url(postgres_url)) as other, ThreadPoolExecutor(1) as thread:
        other.execute("LOCK TABLE device")
        answer = thread.submit(post, url, {"query": DEVICES})
        until(lambda: is_waiting(postgres_url), "the request")
        stop(child)
        until(
            lambda: "The server is stopping." in httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).text,
            "not ready",
        )
        other.rollback()
        assert answer.result().json()["data"]["devices"]["totalCount"] == 1
        last = post(url, {"query": DEVICES})
        assert (last.status_code, last.headers["connection"]) == (200, "close")
    stop(child)  # a second signal ends the drain
    until(lambda: has_ended(child), "the end")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_twice_ends_a_server_without_a_traceback(sqlite_url: str, workers: str, start: Start) -> None:
    with_one_device(sqlite_url)
    [port] = free_ports(1)
    child = start(sqlite_url, port, "--workers", workers, DRAIN_SECONDS="300")
    until(lambda: ready(port) in (200, 503), "the first worker", child)
    os.kill(child.pid, signal.SIGINT)
    until(
        lambda: "The server is stopping." in httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).text,
        "the drain",
    )
    os.kill(child.pid, signal.SIGINT)
    until(lambda: has_ended(child), "the end")
    assert "Traceback" not in child.last_output


DID = f"did:erc721:{CHAIN_ID}:0x{CONTRACT.hex()}:7"
TOOL_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_devices", "arguments": {}}}
DOORS: Mapping[str, Any] = {
    "/mcp": TOOL_CALL,
    "/lookup": ["SN-7"],
    "/query": {"query": "{ aftermarketDevices(first: 1) { totalCount } }"},
    f"/device/{DID}/credential": None,
    f"/1.0/identifiers/{DID}": None,
    f"/devices/{DID}/bundle.json": None,
    "/export/devices.csv": None,
    "/epcis/events": None,
    "/reports/licenses": None,
}
"""A request to each door: the body to post, or None to get it."""


@pytest.mark.direct
def test_every_door_finishes_its_answers_and_sends_clients_elsewhere(postgres_url: str, start: Start) -> None:
    with_one_device(postgres_url)
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    child = start(postgres_url, port, DRAIN_SECONDS="60", SIGNING_KEY=new_key(), BASE_URL=address, DIMO_API="on")

    def request(path: str) -> httpx.Response:
        body, accept = DOORS[path], {"accept": "application/json, text/event-stream, */*"}
        if body is None:
            return httpx.get(address + path, headers=accept, timeout=60)
        return httpx.post(address + path, json=body, headers=accept, timeout=60)

    with (
        psycopg.connect(plain_url(postgres_url)) as other,
        ThreadPoolExecutor(len(DOORS)) as threads,
    ):
        other.execute("LOCK TABLE device")
        responses = {path: threads.submit(request, path) for path in DOORS}
        until(lambda: is_waiting(postgres_url, 4), "the requests")
        stop(child)
        until(lambda: "The server is stopping." in httpx.get(f"{address}/readyz", timeout=60).text, "not ready")
        other.rollback()
        for path, response in responses.items():
            assert response.result().status_code == 200, f"{path}: {response.result().text}"
        for path in DOORS:
            last = request(path)
            assert (last.status_code, last.headers["connection"]) == (200, "close"), path
    os.kill(child.pid, signal.SIGINT)  # a second signal ends the drain
    until(lambda: has_ended(child), "the end")


def is_waiting(url: str, statements: int = 1) -> bool:
    """Returns whether at least so many statements wait for a lock."""
    with psycopg.connect(plain_url(url)) as connection:
        return len(connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall()) >= statements


def are_up(proxy: str, count: int) -> bool:
    """Returns whether so many servers are up, by the statistics of the proxy; the last line is of the whole backend."""
    return httpx.get(f"{proxy}/stats;csv", timeout=60).text.count(",UP,") == count + 1


def test_no_request_fails_while_servers_behind_a_proxy_are_restarted_one_after_another(
    sqlite_url: str, start: Start
) -> None:
    with_one_device(sqlite_url)
    ports = free_ports(2)
    children = [start(sqlite_url, port, DRAIN_SECONDS="4") for port in ports]
    statuses: list[int | str] = []
    is_over = threading.Event()

    def load(url: str) -> None:
        with httpx.Client(timeout=60) as client:
            while not is_over.wait(0.02):
                try:
                    statuses.append(client.post(f"{url}/graphql", json={"query": DEVICES}).status_code)
                except httpx.HTTPError as error:
                    statuses.append(repr(error))

    with balancer(ports) as url, ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(load, url)
        try:
            for number, port in enumerate(ports):
                stop(children[number])
                until(partial(has_ended, children[number]), "the end")
                children[number] = start(sqlite_url, port, DRAIN_SECONDS="4")
                until(lambda: are_up(url, len(ports)), "the new server")
        finally:
            is_over.set()
    assert set(statuses) == {200}
    assert len(statuses) > 100
