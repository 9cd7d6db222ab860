"""`certindex run --serve`: the API answers from the start, with or without a node."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from indexer.commands.sync import sync
from scripts.processes import Child
from tests.support.chain.factory import Factory
from tests.support.index.verifying import settings_for
from tests.support.processes import free_ports, until
from tests.support.rpc.faultproxy import FaultProxy, of_node
from tests.support.rpc.faults import unavailable, wrong_chain_id

pytestmark = pytest.mark.slow

KEY = "a-secret-key"
FAILURE = {"query": "{ _meta { chains { failingSince lastError } } }"}
COUNT = {"query": "{ devices { totalCount } }"}


class Service:
    """The command in a process of its own."""

    def __init__(self, child: Child, address: str) -> None:
        self.child = child
        self.address = address

    def ask(self, path: str, **options: Any) -> httpx.Response | None:
        """Returns a response; None if nothing listens yet."""
        try:
            return httpx.request("POST" if options else "GET", self.address + path, timeout=30, **options)
        except httpx.TransportError:
            return None

    def reasons(self) -> list[str]:
        answer = self.ask("/readyz")
        return [] if answer is None else list(answer.json()["reasons"])

    def devices(self) -> int:
        answer = self.ask("/graphql", json=COUNT)
        return -1 if answer is None or "data" not in answer.json() else answer.json()["data"]["devices"]["totalCount"]

    def failure(self) -> str:
        """Returns since when and why indexing fails; empty if it does not."""
        answer = self.ask("/graphql", json=FAILURE)
        assert answer is not None
        [chain] = answer.json()["data"]["_meta"]["chains"]
        return f"{chain['failingSince']}: {chain['lastError']}" if chain["failingSince"] else ""

    async def until(self, condition: Callable[[], Any], *, ends: bool = False) -> None:
        await asyncio.to_thread(until, condition, "the service", *(() if ends else (self.child,)))


@contextmanager
def service(factory: Factory, database_url: str, rpc_url: str, **environment: str) -> Iterator[Service]:
    [port] = free_ports(1)
    settings = {
        "DATABASE_URL": database_url,
        "RPC_URLS": rpc_url,
        "CONTRACTS": f"certificate={factory.contract.address}",
        "POLL_INTERVAL": "0.1",
        "PORT": str(port),
    }
    command = [sys.executable, "-m", "indexer", "run", "--serve"]
    child = Child(command, environment=os.environ | settings | environment)
    try:
        yield Service(child, f"http://127.0.0.1:{port}")
    finally:
        child.stop()
    assert "Traceback" not in child.last_output


async def test_what_is_indexed_is_answered_before_the_node_answers(factory: Factory, sqlite_url: str) -> None:
    factory.mint()
    await sync(settings_for(factory, sqlite_url))
    factory.mint(number=2)
    async with FaultProxy(of_node(factory.chain.url)) as proxy:
        proxy.inject(unavailable)
        with service(factory, sqlite_url, proxy.url, POLL_STALE_SECONDS="1") as running:
            await running.until(lambda: running.devices() == 1)
            await running.until(lambda: any("a provider last answered" in reason for reason in running.reasons()))
            assert "503 Service Temporarily Unavailable" in running.failure()
            assert KEY not in running.failure()
            proxy.injections.clear()
            await running.until(lambda: running.devices() == 2)
            await running.until(lambda: not running.failure())
            await running.until(lambda: (answer := running.ask("/readyz")) and answer.status_code == 200)


async def test_an_empty_database_says_why_it_is_not_ready_while_the_node_is_waited_for(
    factory: Factory, sqlite_url: str
) -> None:
    async with FaultProxy(of_node(factory.chain.url)) as proxy:
        proxy.inject(unavailable)
        with service(factory, sqlite_url, proxy.url) as running:
            await running.until(lambda: any("holds no chain yet" in reason for reason in running.reasons()))
            await asyncio.to_thread(running.child.stop)  # the provider takes the last connections meanwhile
            assert running.child.exit_status == 0, running.child.last_output


async def test_a_start_that_is_refused_ends_the_service_too(factory: Factory, sqlite_url: str) -> None:
    await sync(settings_for(factory, sqlite_url))
    async with FaultProxy(of_node(factory.chain.url)) as proxy:
        proxy.inject(wrong_chain_id)
        with service(factory, sqlite_url, proxy.url, CHAIN_ID="31337") as running:
            await running.until(lambda: running.child.exit_status is not None, ends=True)
            assert running.child.exit_status == 1
            assert "is a node of chain 5, not of chain 31337" in running.child.last_output


async def test_a_port_that_is_taken_is_reported_with_the_remedy(factory: Factory, sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with service(factory, sqlite_url, factory.chain.url, PORT=port) as refused:
            await refused.until(lambda: refused.child.exit_status is not None, ends=True)
            assert refused.child.exit_status == 2
            assert f"certindex: HOST=127.0.0.1 PORT={port} cannot be listened on" in refused.child.last_output


async def test_the_address_it_serves_is_printed(factory: Factory, sqlite_url: str) -> None:
    with service(factory, sqlite_url, factory.chain.url, PORT="0") as served:
        await served.until(lambda: "INFO serving http://127.0.0.1:" in served.child.last_output)
        address = served.child.last_output.split("serving ")[1].split()[0]
        answer = await asyncio.to_thread(httpx.post, address, json=COUNT, timeout=60)
        assert answer.status_code in (200, 503)


async def test_a_body_that_is_nested_without_end_is_refused_and_indexing_goes_on(
    factory: Factory, sqlite_url: str
) -> None:
    with service(factory, sqlite_url, factory.chain.url) as served:
        await served.until(lambda: served.devices() == 0)
        for nested in (b"[" * 500_000, b'{"variables": ' * 50_000):
            refused = served.ask("/graphql", content=nested, headers={"Content-Type": "application/json"})
            assert refused is not None
            assert refused.status_code == 400
            assert "nested too deep" in refused.text
        factory.mint()
        await served.until(lambda: served.devices() == 1)
