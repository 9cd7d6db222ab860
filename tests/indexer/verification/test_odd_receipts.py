"""What a provider refuses, and receipts and headers of an odd shape, over HTTP: verification and indexing go on."""

import shutil
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import make_url

from indexer.commands.sync import sync
from indexer.errors import TryAgain
from indexer.rpc.pool import Pool
from indexer.verification.verifier import PATIENCE
from schema.vocabulary import FailureCause, VerificationLevel
from tests.support.chain.devchain import Anvil
from tests.support.chain.factory import Factory
from tests.support.databases import Databases
from tests.support.index.verifying import FINALITY, Indexed, index, indexed, settings_for
from tests.support.rpc import faults
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_node

pytestmark = pytest.mark.slow

BLOCK, SINGLE = "eth_getBlockReceipts", "eth_getTransactionReceipt"
RECEIPTS = VerificationLevel.RECEIPTS
ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a null among them": lambda receipt: None,
    "a type of null": lambda receipt: receipt | {"type": None},
    "a status that is a number": lambda receipt: receipt | {"status": 1},
    "a status that is true": lambda receipt: receipt | {"status": True},
    "a status that is no number": lambda receipt: receipt | {"status": "success"},
    "neither status nor root": lambda receipt: {key: item for key, item in receipt.items() if key != "status"},
    "no gas used": lambda receipt: {key: item for key, item in receipt.items() if key != "cumulativeGasUsed"},
    "no hash": lambda receipt: {key: item for key, item in receipt.items() if key != "transactionHash"},
    "an index that is a number": lambda receipt: receipt | {"transactionIndex": 0},
    "a log that is null": lambda receipt: receipt | {"logs": [None]},
    "logs that are a text": lambda receipt: receipt | {"logs": "0x"},
    "topics that are numbers": lambda receipt: receipt | {"logs": [log | {"topics": [1]} for log in receipt["logs"]]},
    "a text": lambda receipt: "0x",
    "a list": lambda receipt: [receipt],
}


def odd(change: Callable[[dict[str, Any]], Any], methods: Collection[str], block: str | None = None) -> Fault:
    """The last receipt is odd: of every block, or of one."""

    def spoil(exchange: Exchange) -> bool:
        receipts = exchange.result if exchange.method == BLOCK else [exchange.result]
        if exchange.method not in methods or not receipts or block not in (None, receipts[0]["blockNumber"]):
            return False
        receipts = [*receipts[:-1], change(receipts[-1])]
        exchange.result = receipts if exchange.method == BLOCK else receipts[-1]
        return True

    return spoil


@asynccontextmanager
async def providers(factory: Factory, *faults: Fault, good: int = 0) -> AsyncIterator[tuple[Pool, list[FaultProxy]]]:
    """Yields a provider with these faults, and `good` others."""
    proxies = [FaultProxy(of_node(factory.chain.url)) for _ in range(1 + good)]
    for fault in faults:
        proxies[0].inject(fault)
    for proxy in proxies:
        await proxy.__aenter__()
    pool = Pool([proxy.url for proxy in proxies], jitter=lambda: 0.02)
    try:
        yield pool, proxies
    finally:
        await pool.close()
        for proxy in proxies:
            await proxy.__aexit__()


async def verify_all(chain: Indexed, pool: Pool) -> int:
    """Verify to the end; return how many times it had to wait."""
    verifier = chain.verifier(pool, count=len(pool.hosts))
    waits = 0
    while waits < 10 * PATIENCE:
        try:
            if await verifier.advance() is None:
                break
        except TryAgain:
            waits += 1
    progress = chain.levels.progress()
    assert progress.judged == progress.final
    return waits


@pytest.fixture(scope="module")
def minted(databases: Databases) -> Iterator[tuple[Factory, str]]:
    """A chain of its own with three devices, and the URL of its index."""
    with Anvil() as chain:
        factory, url = Factory(chain), databases.new("sqlite")
        for number in range(1, 4):
            factory.mint(number=number)
        thread = threading.Thread(target=index, args=(factory, url))  # it runs a loop of its own
        thread.start()
        thread.join()
        yield factory, url


@pytest.fixture
def lived(minted: tuple[Factory, str], sqlite_url: str) -> Iterator[Factory]:
    """The reference contract with three devices, which the database has; every test begins at the same block."""
    factory, url = minted
    shutil.copy(str(make_url(url).database), str(make_url(sqlite_url).database))
    untouched = factory.chain.snapshot()
    yield factory
    factory.chain.revert(untouched)


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
async def test_receipts_of_odd_shape_are_asked_one_by_one(
    change: Callable[[dict[str, Any]], Any], lived: Factory, sqlite_url: str
) -> None:
    async with providers(lived, odd(change, [BLOCK])) as (pool, [proxy]):
        with indexed(lived, sqlite_url) as chain:
            assert await verify_all(chain, pool) == 0
            assert set(chain.level_of_events()) == {RECEIPTS}
            assert chain.failures() == []
        assert SINGLE in proxy.calls
        assert (pool.hosts[0].failure_rate, pool.hosts[0].away) == (0.0, None)


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
async def test_receipts_of_odd_shape_are_asked_of_another_host(
    change: Callable[[dict[str, Any]], Any], lived: Factory, sqlite_url: str
) -> None:
    async with providers(lived, odd(change, [BLOCK, SINGLE]), good=1) as (pool, _):
        with indexed(lived, sqlite_url) as chain:
            await verify_all(chain, pool)
            assert set(chain.level_of_events()) == {RECEIPTS}
            assert chain.failures() == []


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
async def test_a_block_whose_receipts_stay_odd_is_noted_and_the_others_are_verified(
    change: Callable[[dict[str, Any]], Any], lived: Factory, sqlite_url: str
) -> None:
    with indexed(lived, sqlite_url) as chain:
        number = chain.levels.blocks(0, 1_000, 9)[1].number
        async with providers(lived, odd(change, [BLOCK, SINGLE], hex(number))) as (pool, _):
            assert await verify_all(chain, pool) < PATIENCE
            assert [number for number, _, _ in chain.failures()] == [number]
            assert {cause for _, cause, _ in chain.failures()} <= {FailureCause.NO_EVIDENCE, FailureCause.CONTRADICTED}
            levels = chain.level_of_events()
            assert levels.count(RECEIPTS) == len(levels) - 1


@pytest.mark.parametrize("result", ["0x", {}, 5, True, [[]]])
async def test_what_is_no_list_of_receipts_is_noted_too(result: Any, lived: Factory, sqlite_url: str) -> None:
    def spoil(exchange: Exchange) -> bool:
        if exchange.method not in (BLOCK, SINGLE):
            return False
        exchange.result = result
        return True

    async with providers(lived, spoil) as (pool, _):
        with indexed(lived, sqlite_url) as chain:
            await verify_all(chain, pool)
            assert {cause for _, cause, _ in chain.failures()} == {FailureCause.NO_EVIDENCE}


REFUSALS = [
    ("Forbidden", -32000, 403),
    ("eth_getBlockReceipts is not available on your plan", -32600, 200),
    ("Invalid request", -32600, 400),
    ("Method not found", -32601, 200),
    ("Unauthorized", -32000, 401),
    ("Internal error", -32603, 200),
    ("header not found", -32000, 200),
    ("response is too big", -32008, 200),
    ("missing trie node", -32000, 500),
]


HISTORY = ("header not found", "missing trie node")
"""Refusals that speak of one block: those of other blocks are requested together."""


def refused(message: str, code: int, status: int, block: str | None = None) -> Fault:
    def refuse(exchange: Exchange) -> bool:
        if exchange.method != BLOCK or block not in (None, exchange.params[0]):
            return False
        exchange.refuse(message, code=code, status=status)
        return True

    return refuse


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[0])
@pytest.mark.parametrize("away", [False, True])
async def test_a_host_that_refuses_block_receipts_is_asked_for_single_ones_and_indexed_from(
    refusal: tuple[str, int, int], away: bool, lived: Factory, sqlite_url: str
) -> None:
    """Also beside a host that is down."""
    async with providers(lived, refused(*refusal), good=int(away)) as (pool, [proxy, *others]):
        await pool.check_chain(None)
        await pool.call("eth_getBlockByNumber", ["0x1", False], dict[str, Any])
        for other in others:
            other.inject(faults.unavailable)
        with indexed(lived, sqlite_url) as chain:
            assert await verify_all(chain, pool) == 0
            assert set(chain.level_of_events()) == {RECEIPTS}
            assert chain.failures() == []
        host = pool.hosts[0]
        assert (host.away, host.exclusion("eth_getLogs", range(1, 2))) == (None, None), "indexing goes on"
        assert host.failure_rate == 0.0
        if refusal[0] not in HISTORY:
            assert proxy.calls.count(BLOCK) <= 4, "the method is set aside"


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[0])
async def test_block_receipts_refused_for_one_block_are_asked_one_by_one_for_that_block(
    refusal: tuple[str, int, int], lived: Factory, sqlite_url: str
) -> None:
    with indexed(lived, sqlite_url) as chain:
        number = chain.levels.blocks(0, 1_000, 9)[1].number
        async with providers(lived, refused(*refusal, block=hex(number))) as (pool, _):
            assert await verify_all(chain, pool) == 0
            assert set(chain.level_of_events()) == {RECEIPTS}
            assert (pool.hosts[0].away, pool.hosts[0].failure_rate) == (None, 0.0)


async def test_a_host_that_refuses_to_tell_its_head_is_indexed_from(factory: Factory) -> None:
    def refuse(exchange: Exchange) -> bool:
        if exchange.method != "eth_blockNumber":
            return False
        exchange.refuse("Forbidden", status=403)
        return True

    async with providers(factory, refuse, good=1) as (pool, [proxy, _]):
        await pool.check_chain(None)
        for _ in range(4):
            await pool.call("eth_getBlockByNumber", ["latest", False], dict[str, Any])
            pool._heads_read_at -= 100
        assert proxy.calls.count("eth_blockNumber") == 1
        assert (pool.hosts[0].away, pool.hosts[0].failure_rate) == (None, 0.0)


async def test_a_host_that_refuses_logs_serves_everything_else(factory: Factory, sqlite_url: str) -> None:
    """A plan without eth_getLogs: another host is asked for logs, and this one stays in use."""
    for number in range(1, 4):
        factory.mint(number=number)
    factory.chain.mine(FINALITY)

    refusing: list[FaultProxy] = []

    def whoever_is_requested_first(proxy: FaultProxy) -> Fault:
        """The pool chooses the quicker host, which may be either."""

        def refuse(exchange: Exchange) -> bool:
            if exchange.method != "eth_getLogs" or refusing[:1] not in ([], [proxy]):
                return False
            refusing[:] = [proxy]
            exchange.refuse("eth_getLogs is not available on your plan", status=403)
            return True

        return refuse

    async with providers(factory, good=1) as (_, proxies):
        for proxy in proxies:
            proxy.inject(whoever_is_requested_first(proxy))
        urls = tuple(proxy.url for proxy in proxies)
        assert await sync(settings_for(factory, sqlite_url, rpc_urls=urls, looks=2)) == 0
        calls = {proxy in refusing: proxy.calls.count("eth_getLogs") for proxy in proxies}
        assert 1 <= calls[True] <= 4, "the method is set aside"
        assert calls[False] > 1
    with indexed(factory, sqlite_url) as chain:
        assert chain.rows("SELECT count(*) FROM device") == [(3,)]
    refusing.clear()
    async with providers(factory, good=1) as (pool, proxies):
        for proxy in proxies:
            proxy.inject(whoever_is_requested_first(proxy))
        query = [{"fromBlock": "0x1", "toBlock": "0x2", "address": factory.contract.address}]
        await pool.check_chain(None)
        for _ in range(5):
            await pool.call("eth_getLogs", query, list[dict[str, Any]])
            await pool.call("eth_getBlockByNumber", ["0x1", False], dict[str, Any])
        [proxy] = refusing
        [host] = [host for host in pool.hosts if host.endpoint.url == proxy.url]
        assert proxy.calls.count("eth_getLogs") == 1
        assert (host.away, host.failure_rate, host.exclusion("eth_getBlockByNumber", range(1, 2))) == (None, 0.0, None)
        assert host.exclusion("eth_getLogs", range(1, 2)) is not None


# Headers of an odd shape

HEADER = "eth_getBlockByHash"
ODD_HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a text": lambda header: "0x",
    "a list": lambda header: [header],
    "transactions of null": lambda header: header | {"transactions": None},
    "transactions that are numbers": lambda header: header | {"transactions": [1]},
    "whole transactions": lambda header: header | {"transactions": [{"hash": each} for each in header["transactions"]]},
    "a hash that is too short": lambda header: header | {"transactions": ["0x00"]},
    "a number of null": lambda header: header | {"number": None},
    "no number": lambda header: {key: item for key, item in header.items() if key != "number"},
    "no receipts root": lambda header: {key: item for key, item in header.items() if key != "receiptsRoot"},
    "a receipts root that is a number": lambda header: header | {"receiptsRoot": 5},
    "a bloom of null": lambda header: header | {"logsBloom": None},
    "a time that is no number": lambda header: header | {"timestamp": "now"},
}


def odd_header(change: Callable[[dict[str, Any]], Any], block: str | None = None) -> Fault:
    """The header is odd: of every block, or of one."""

    def spoil(exchange: Exchange) -> bool:
        if exchange.method != HEADER or block not in (None, exchange.result["number"]):
            return False
        exchange.result = change(exchange.result)
        return True

    return spoil


@pytest.mark.parametrize("change", ODD_HEADERS.values(), ids=ODD_HEADERS)
async def test_headers_of_odd_shape_are_asked_of_another_host(
    change: Callable[[dict[str, Any]], Any], lived: Factory, sqlite_url: str
) -> None:
    async with providers(lived, odd_header(change), good=1) as (pool, _):
        with indexed(lived, sqlite_url) as chain:
            await verify_all(chain, pool)
            assert set(chain.level_of_events()) == {RECEIPTS}
            assert chain.failures() == []


@pytest.mark.parametrize("change", ODD_HEADERS.values(), ids=ODD_HEADERS)
async def test_a_block_whose_header_stays_odd_is_noted_and_the_others_are_verified(
    change: Callable[[dict[str, Any]], Any], lived: Factory, sqlite_url: str
) -> None:
    with indexed(lived, sqlite_url) as chain:
        number = chain.levels.blocks(0, 1_000, 9)[1].number
        async with providers(lived, odd_header(change, hex(number))) as (pool, _):
            assert await verify_all(chain, pool) <= PATIENCE
            assert [number for number, _, _ in chain.failures()] == [number]
            assert {cause for _, cause, _ in chain.failures()} <= {
                FailureCause.NO_EVIDENCE,
                FailureCause.CONTRADICTED,
                FailureCause.UNKNOWN_FORM,
            }
            levels = chain.level_of_events()
            assert levels.count(RECEIPTS) == len(levels) - 1
