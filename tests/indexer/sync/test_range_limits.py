"""A provider that refuses wide queries for logs, whatever its words: its limit is found, kept and indexed with."""

from collections.abc import Callable

import pytest

from indexer.chain.chain import Chain
from indexer.commands.sync import sync
from indexer.errors import TryAgain
from indexer.rpc import endpoint
from indexer.rpc.host import Host
from indexer.rpc.pool import Pool
from indexer.settings import Settings
from indexer.sync.backfill import Pace
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.databases import Databases
from tests.support.index.indexing import Indexer, Tables, engine_of, index_afresh, read_tables
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_fake

BLOCKS = 3_000
LIMIT = 40
TAKEN = BLOCKS // LIMIT
"""The queries that the chain takes, with ranges as long as the provider allows."""


@pytest.fixture(scope="module")
def node() -> FakeNode:
    node = FakeNode(finality=0)
    for number in range(BLOCKS):
        node.mine(*([emitted("Transfer", to=b"\x0a" * 20, tokenId=number)] if number % 97 == 0 else []))
    return node


@pytest.fixture(scope="module")
def tables(node: FakeNode, databases: Databases) -> Tables:
    """The tables of a clean run."""
    with engine_of(databases.new("sqlite")) as engine:
        return index_afresh(engine, node)


def refused(message: str, *, code: int = -32000, status: int = 200) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.refuse(message, code=code, status=status)


def page(status: int, body: bytes) -> Callable[[Exchange], None]:
    def spoil(exchange: Exchange) -> None:
        exchange.status, exchange.body = status, body

    return spoil


def slow(exchange: Exchange) -> None:
    exchange.delay = 1.0


def truncated(exchange: Exchange) -> None:
    exchange.truncated = True


REFUSALS: dict[str, Callable[[Exchange], None]] = {
    "Besu": refused("exceeds maximum RPC range", code=-32005),
    "limit exceeded": refused("limit exceeded", code=-32005),
    "a bare code": refused("", code=-32005),
    "block range is too wide": refused("block range is too wide"),
    "a limit that is named": refused(f"query block range exceeds server limit, limit {LIMIT}"),
    "too many results": refused("query returned more than 10000 results", code=-32005),
    "response too large": refused("response too large", code=-32003),
    "an unknown text": refused("the moon is in the wrong house"),
    "an internal error": refused("Internal error", code=-32603, status=500),
    "HTTP 413": page(413, b"<html><title>413 Request Entity Too Large</title></html>"),
    "HTTP 502": page(502, b"<html><title>502 Bad Gateway</title></html>"),
    "HTTP 503": page(503, b"<html><title>503 Service Temporarily Unavailable</title></html>"),
    "HTTP 504": page(504, b"<html><title>504 Gateway Time-out</title></html>"),
    "a timeout of the node": refused("request timed out", code=-32002),
    "no response in time": slow,
    "a response that breaks off": truncated,
}


def wider_than(blocks: int, spoil: Callable[[Exchange], None]) -> Fault:
    def strike(exchange: Exchange) -> bool:
        if exchange.range is None or exchange.range[1] - exchange.range[0] < blocks:
            return False
        spoil(exchange)
        return True

    return strike


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_limit_of_blocks_is_found_and_kept_without_a_failure(
    refusal: str,
    node: FakeNode,
    tables: Tables,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if refusal == "no response in time":
        monkeypatch.setattr(endpoint, "WIDE_TIMEOUT_SECONDS", 0.5)
    async with FaultProxy(of_fake(node)) as proxy:
        injection = proxy.inject(wider_than(LIMIT, REFUSALS[refusal]))
        assert await sync(settings(sqlite_url, proxy)) == 0
    assert injection.struck
    assert "again in" not in caplog.text, "no step failed"
    assert proxy.calls.count("eth_getLogs") - injection.struck <= TAKEN * 2
    assert injection.struck <= 60
    assert_complete(sqlite_url, node, tables)


async def test_the_range_grows_again_when_the_limit_is_lifted(node: FakeNode, tables: Tables, sqlite_url: str) -> None:
    widths = []

    def measure(exchange: Exchange) -> bool:
        if exchange.range is not None:
            widths.append(exchange.range[1] - exchange.range[0] + 1)
        return False

    async with FaultProxy(of_fake(node)) as proxy:
        proxy.inject(wider_than(LIMIT, REFUSALS["HTTP 504"]), times=12)
        proxy.inject(measure)
        assert await sync(settings(sqlite_url, proxy)) == 0
    assert min(widths) <= LIMIT
    assert max(widths[-8:]) > LIMIT
    assert_complete(sqlite_url, node, tables)


@pytest.mark.parametrize("refusal", ["HTTP 504", "limit exceeded", "block range is too wide"])
async def test_of_two_providers_the_one_without_a_limit_gets_the_wide_queries(
    refusal: str,
    node: FakeNode,
    tables: Tables,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also if the other one is always the quicker."""
    async with FaultProxy(of_fake(node)) as narrow, FaultProxy(of_fake(node)) as wide:
        monkeypatch.setattr(Host, "score", lambda host, _: host.endpoint.url == wide.url)
        injection = narrow.inject(wider_than(LIMIT, REFUSALS[refusal]))
        assert await sync(settings(sqlite_url, narrow, wide)) == 0
    assert injection.struck <= 12
    assert wide.calls.count("eth_getLogs") < TAKEN
    assert "again in" not in caplog.text
    assert_complete(sqlite_url, node, tables)


@pytest.mark.parametrize("refusal", ["HTTP 504", "limit exceeded", "an unknown text", "a response that breaks off"])
async def test_a_provider_that_refuses_every_range_gets_few_requests_and_its_words_are_shown(
    refusal: str, node: FakeNode, sqlite_url: str
) -> None:
    with engine_of(sqlite_url) as engine:
        indexer = Indexer(engine, node, pace=Pace(side_by_side=1))
        async with FaultProxy(of_fake(node)) as proxy:
            injection = proxy.inject(wider_than(0, REFUSALS[refusal]))
            pool = Pool([proxy.url], jitter=lambda: 0.01)
            indexer.chain = Chain(pool, {CERTIFICATE}, finality_depth=0)
            with pytest.raises(TryAgain, match=r"answered eth_getLogs with an error|did not answer eth_getLogs"):
                await indexer.step()
            await pool.close()
            assert 0 < injection.struck < 60
            assert not pool.hosts[0].span.is_known, "it is no limit of blocks"


def settings(database_url: str, *proxies: FaultProxy) -> Settings:
    urls = tuple(proxy.url for proxy in proxies)
    return Settings(database_url=database_url, rpc_urls=urls, contracts=(("certificate", CERTIFICATE),), looks=1)


def assert_complete(url: str, node: FakeNode, tables: Tables) -> None:
    with engine_of(url) as engine:
        assert read_tables(engine, node.chain_id) == tables
    assert len(tables["event"]) == BLOCKS // 97 + 1
