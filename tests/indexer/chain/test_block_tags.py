"""Nodes without the tags `safe` or `finalized`, over HTTP: what is final then, and what is asked of whom."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import create_engine, text

from indexer.chain.chain import Chain
from indexer.commands.sync import sync
from indexer.rpc.pool import Pool
from indexer.settings import Settings
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.rpc import faults
from tests.support.rpc.clock import Clock
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_fake

BOTH = ("safe", "finalized")
REFUSALS = [
    ("Unknown block", -39001, 200),
    ('block "finalized" not available (head block: 20)', -32000, 200),
    ("unknown block number", -32000, 200),
    ("unknown block tag", -32000, 200),
    ("invalid syntax", -32000, 200),
    ("Incorrect finalized hash", -32001, 200),
    ("Cannot wrap string value", -32603, 200),
    ("finalized block not found", -39001, 200),
    ("hex string without 0x prefix", -32602, 200),
    ("Invalid params", -32602, 400),
    ("Internal error", -32603, 200),
    ("header not found", -32000, 500),
    ("the moon is in the wrong house", -32000, 200),
    ("this is not available on your plan", -32600, 403),
    ("the method is not available", -32601, 200),
]


def refusing_tags(message: str, code: int, status: int, tags: Sequence[str] = BOTH) -> Fault:
    def refuse(exchange: Exchange) -> bool:
        if exchange.asked_tag not in tags:
            return False
        exchange.refuse(message, code=code, status=status)
        return True

    return refuse


WITHOUT_TAGS = refusing_tags("Unknown block", -39001, 200)


def node_of(blocks: int, *, finality: int = 10) -> FakeNode:
    node = FakeNode(finality=finality)
    for number in range(blocks):
        node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=number))
    return node


@asynccontextmanager
async def opened(urls: Sequence[str], clock: Clock) -> AsyncIterator[Pool]:
    pool = Pool(urls, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)
    try:
        yield pool
    finally:
        await pool.close()


async def indexed(proxies: Sequence[FaultProxy], url: str, **changes: int) -> tuple[int, int]:
    """Index to the head with the real command; return what is final, and the number of events."""
    settings = Settings(
        rpc_urls=tuple(proxy.url for proxy in proxies),
        database_url=url,
        contracts=(("certificate", CERTIFICATE),),
        start_block=0,
        **changes,  # type: ignore[arg-type]
    )
    assert await sync(settings) == 0
    engine = create_engine(url)
    with engine.begin() as connection:
        final = connection.execute(text("SELECT finalized_number FROM chain")).scalar_one()
        events = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
    engine.dispose()
    return final, events


@pytest.mark.parametrize(("message", "code", "status"), REFUSALS)
async def test_a_chain_without_tags_is_indexed_and_its_nodes_are_not_asked_for_them_again(
    message: str, code: int, status: int
) -> None:
    node, clock = node_of(80), Clock()
    async with AsyncExitStack() as stack, FaultProxy(of_fake(node)) as proxy:
        refused = proxy.inject(refusing_tags(message, code, status))
        pool = await stack.enter_async_context(opened([proxy.url], clock))
        chain = Chain(pool, {CERTIFICATE}, finality_depth=64)
        final = []
        for _ in range(6):
            node.mine()
            try:
                final.append((await chain.heads()).finalized.number)
            except Exception:  # a refusal that may mean something else is repeated once
                assert not final
        assert final == [node.head.number - 64 - late for late in reversed(range(len(final)))]
        assert len(final) >= 5
        assert refused.struck <= 6, "asked three times at most for each tag"
        [host] = pool.hosts
        assert (host.failure_rate, host.away) == (0.0, None)
        clock.now += 700
        await chain.heads()
        assert refused.struck > 2, "asked again after a while: the node may know it now"


@pytest.mark.parametrize("refusal", REFUSALS[:3])
async def test_certindex_sync_indexes_a_chain_without_tags(refusal: tuple[str, int, int], sqlite_url: str) -> None:
    async with FaultProxy(of_fake(node_of(80))) as proxy:
        proxy.inject(refusing_tags(*refusal))
        assert await indexed([proxy], sqlite_url) == (16, 80)


async def test_the_finality_depth_that_is_set_wins(sqlite_url: str) -> None:
    async with FaultProxy(of_fake(node_of(30))) as proxy:
        asked = proxy.inject(lambda exchange: exchange.asked_tag in BOTH)
        assert await indexed([proxy], sqlite_url, finality_depth=3) == (27, 30)
        assert asked.struck == 0


@pytest.mark.parametrize(("refused", "final", "safe"), [("safe", 20, 20), ("finalized", 14, 20)])
async def test_a_node_may_know_one_tag_only(refused: str, final: int, safe: int) -> None:
    async with AsyncExitStack() as stack, FaultProxy(of_fake(node_of(30))) as proxy:
        proxy.inject(refusing_tags("Unknown block", -39001, 200, [refused]))
        pool = await stack.enter_async_context(opened([proxy.url], Clock()))
        heads = await Chain(pool, {CERTIFICATE}, finality_depth=16).heads()
        assert (heads.finalized.number, heads.safe_number) == (final, safe)


@pytest.mark.parametrize("first", [0, 1])
async def test_a_node_with_tags_beside_one_without_decides_what_is_final(first: int) -> None:
    """Nor does the final block go back to the depth while the node with tags is down or busy."""
    node, clock = node_of(30), Clock()
    async with AsyncExitStack() as stack:
        knowing, plain = [await stack.enter_async_context(FaultProxy(of_fake(node))) for _ in range(2)]
        plain.inject(WITHOUT_TAGS)
        urls = [knowing.url, plain.url] if first == 0 else [plain.url, knowing.url]
        pool = await stack.enter_async_context(opened(urls, clock))
        chain = Chain(pool, {CERTIFICATE}, finality_depth=2)
        for _ in range(5):
            assert (await chain.heads()).finalized.number == node.head.number - 10
            node.mine()
        final = node.head.number - 11
        for fault in (faults.unavailable, faults.rate_limited, faults.truncated_body):
            down = knowing.inject(fault, times=40)
            before = clock.now
            for _ in range(10):
                node.mine()
                heads = await chain.heads()
                assert (heads.latest.number, heads.finalized.number) == (node.head.number, final)
                clock.now += 2
            assert clock.now - before < 40, "the newest block must not wait for the node that is down"
            down.times = 0
            clock.now += 60
            final = node.head.number - 10
            assert (await chain.heads()).finalized.number == final


async def test_a_node_that_is_down_does_not_keep_one_without_tags_from_being_indexed(sqlite_url: str) -> None:
    async with FaultProxy(of_fake(node_of(80))) as down, FaultProxy(of_fake(node_of(80))) as plain:
        down.inject(faults.unavailable)
        plain.inject(WITHOUT_TAGS)
        assert await indexed([down, plain], sqlite_url) == (16, 80)


async def test_a_busy_node_is_not_believed_to_know_no_tags() -> None:
    clock = Clock()
    async with AsyncExitStack() as stack, FaultProxy(of_fake(node_of(30))) as proxy:
        proxy.inject(lambda exchange: exchange.asked_tag in BOTH and faults.rate_limited(exchange), times=6)
        pool = await stack.enter_async_context(opened([proxy.url], clock))
        assert (await Chain(pool, {CERTIFICATE}, finality_depth=2).heads()).finalized.number == 20
