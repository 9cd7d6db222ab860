"""After an outage of all providers indexing goes on as soon as one responds, however long the next pause would be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, text

from indexer import retry
from indexer.follower import Follower, follow
from indexer.opening import open_chain
from indexer.rpc import endpoint
from indexer.rpc.pool import Pool
from indexer.settings import Settings
from tests.support.chain.fakechain import CERTIFICATE, FakeNode
from tests.support.index.indexing import engine_of
from tests.support.processes import free_ports
from tests.support.rpc import faults
from tests.support.rpc.clock import Clock
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_fake

HOUR = 3_600.0
PATIENCE = 60


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode(finality=2)
    node.mine_blocks(6)
    return node


@pytest.fixture(autouse=True)
def _only_a_probe_wakes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause after a failure is an hour; probes are frequent."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", HOUR)
    monkeypatch.setattr(retry, "LONGEST_PAUSE_SECONDS", HOUR)
    monkeypatch.setattr(endpoint, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(endpoint, "QUICK_TIMEOUT_SECONDS", 0.3)


def hanging(exchange: Exchange) -> bool:
    """No response comes."""
    exchange.delay = HOUR
    return True


def no_such_page(exchange: Exchange) -> bool:
    """A gateway that has no node behind it."""
    exchange.status, exchange.body = 404, b"<html>404 page not found</html>"
    return True


OUTAGES: list[Fault] = [hanging, no_such_page, faults.unavailable, faults.html_with_status_200, faults.truncated_body]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.__name__)
async def test_indexing_goes_on_when_a_provider_responds_again(outage: Fault, node: FakeNode, sqlite_url: str) -> None:
    async with (
        FaultProxy(of_fake(node)) as first,
        FaultProxy(of_fake(node)) as second,
        following(sqlite_url, first, second) as engine,
    ):
        await until(lambda: indexed(engine) == node.head.number)
        for proxy in (first, second):
            proxy.inject(outage)
        node.mine_blocks(2)
        await until(lambda: is_failing(engine))
        second.injections.clear()
        await until(lambda: indexed(engine) == node.head.number)
        assert not is_failing(engine)


async def test_indexing_goes_on_when_a_node_listens_again(node: FakeNode, sqlite_url: str) -> None:
    [port] = free_ports(1)
    async with FaultProxy(of_fake(node), port=port) as proxy, following(sqlite_url, proxy) as engine:
        await until(lambda: indexed(engine) == node.head.number)
        await proxy.__aexit__()
        node.mine_blocks(2)
        await until(lambda: is_failing(engine))
        async with FaultProxy(of_fake(node), port=port):
            await until(lambda: indexed(engine) == node.head.number)
        await proxy.__aenter__()


async def test_the_start_goes_on_when_a_provider_responds(node: FakeNode, sqlite_url: str) -> None:
    stopping = asyncio.Event()
    async with FaultProxy(of_fake(node)) as proxy:
        proxy.inject(faults.unavailable)
        running = asyncio.create_task(follow(settings(sqlite_url, proxy), stopping))
        with engine_of(sqlite_url) as engine:
            await until(lambda: len(proxy.calls) > 3)
            proxy.injections.clear()
            await until(lambda: indexed(engine) == node.head.number)
        stopping.set()
        await running


async def test_a_provider_that_responds_and_fails_otherwise_is_not_asked_more_often(node: FakeNode) -> None:
    clock = Clock()
    async with FaultProxy(of_fake(node)) as proxy:
        proxy.inject(faults.archive_on_fire)
        providers = Pool([proxy.url], clock=clock, sleep=clock.sleep)
        pauses = [await providers.pause(30) for _ in range(3)]
        await providers.close()
        assert pauses == [True, False, False]
        assert proxy.calls == ["eth_blockNumber"] * 3
        assert clock.slept == pytest.approx([endpoint.PROBE_SECONDS, 30, 30])


@pytest.mark.parametrize("fault", [faults.rate_limited_with_retry_after, faults.invalid_key], ids=lambda f: f.__name__)
async def test_a_provider_that_said_when_to_come_back_or_refused_the_key_is_not_probed(
    fault: Fault, node: FakeNode
) -> None:
    clock = Clock()

    def long(exchange: Exchange) -> bool:
        struck = bool(fault(exchange))
        exchange.headers["Retry-After"] = "600"
        return struck

    async with FaultProxy(of_fake(node)) as proxy:
        providers = Pool([proxy.url], clock=clock, sleep=clock.sleep)
        proxy.inject(long)
        with pytest.raises(Exception, match="HTTP"):
            await providers.call("eth_blockNumber", [], str)
        proxy.calls.clear()
        for _ in range(2):
            await providers.pause(30)
        await providers.close()
        assert proxy.calls == []
        assert clock.slept[-1] == pytest.approx(30)


async def test_a_pause_ends_at_the_first_probe_that_is_answered(node: FakeNode) -> None:
    clock = Clock()
    async with FaultProxy(of_fake(node)) as proxy:
        down = proxy.inject(faults.unavailable, times=4)
        providers = Pool([proxy.url], clock=clock, sleep=clock.sleep)
        assert await providers.pause(30)
        await providers.close()
        assert (down.struck, len(clock.slept)) == (4, 4)


# Helpers


def settings(database_url: str, *proxies: FaultProxy) -> Settings:
    urls = tuple(proxy.url for proxy in proxies)
    contracts = (("certificate", CERTIFICATE),)
    return Settings(database_url=database_url, rpc_urls=urls, contracts=contracts, poll_interval=0.05, verify=False)


@asynccontextmanager
async def following(database_url: str, *proxies: FaultProxy) -> AsyncIterator[Engine]:
    opened = await open_chain(settings(database_url, *proxies))
    follower = Follower(opened, 0.05, verify=False, keep_proofs=False)
    running = asyncio.create_task(follower.run())
    try:
        yield opened.engine
        assert not running.done(), running.result()
    finally:
        follower.stop()
        await running
        await opened.pool.close()
        opened.engine.dispose()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # what is waited for is in a database
            await asyncio.sleep(0.02)


def indexed(engine: Engine) -> int | None:
    with engine.begin() as connection:
        number: int | None = connection.execute(text("SELECT indexed_number FROM chain")).scalar()
    return number


def is_failing(engine: Engine) -> bool:
    with engine.begin() as connection:
        return connection.execute(text("SELECT failing_since FROM chain")).scalar() is not None
