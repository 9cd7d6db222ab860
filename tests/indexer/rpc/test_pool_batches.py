"""Batches of headers save round trips; no result depends on whether a provider supports them."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from indexer.chain.chain import Chain
from indexer.errors import TryAgain
from indexer.rpc.host import BATCH_REQUESTS, REFUSED_SECONDS
from indexer.rpc.pool import Pool
from indexer.rpc.size_limit import LONGEST_PAUSE_SECONDS
from tests.support.chain.fakechain import CERTIFICATE, FakeNode
from tests.support.rpc import faults
from tests.support.rpc.clock import Clock
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_fake

HEIGHTS = range(1, 151)


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode()
    node.mine_blocks(200)
    return node


async def test_headers_come_in_batches(node: FakeNode) -> None:
    async with FaultProxy(of_fake(node)) as proxy:
        assert await heights(proxy) == list(HEIGHTS)
        assert sorted(proxy.batches) == [len(HEIGHTS) % BATCH_REQUESTS, BATCH_REQUESTS, BATCH_REQUESTS]
        assert len(proxy.calls) == len(HEIGHTS)


@pytest.mark.parametrize("taken", [0, 1, 10])
async def test_a_provider_that_refuses_batches_is_asked_for_smaller_ones_and_at_last_one_by_one(
    node: FakeNode, taken: int
) -> None:
    async with FaultProxy(of_fake(node)) as proxy:
        proxy.largest_batch = taken
        pool = Pool([proxy.url])
        for _ in range(4):
            assert await heights(proxy, pool) == list(HEIGHTS)
        proxy.batches.clear()
        assert await heights(proxy, pool) == list(HEIGHTS)
        await pool.close()
        assert all(size <= taken for size in proxy.batches)
        assert bool(proxy.batches) == (taken > 1)


async def test_what_a_provider_refused_long_ago_is_tried_again_and_grows(node: FakeNode) -> None:
    clock = Clock()
    async with FaultProxy(of_fake(node)) as proxy:
        proxy.largest_batch = 0
        pool = Pool([proxy.url], clock=clock, sleep=clock.sleep)
        await heights(proxy, pool)
        await heights(proxy, pool)
        proxy.largest_batch = 1_000
        clock.now += LONGEST_PAUSE_SECONDS
        proxy.batches.clear()
        for _ in range(3):
            await heights(proxy, pool)
        await pool.close()
        assert proxy.batches[:4] == [2, 3, 4, 5]
        assert max(proxy.batches) == BATCH_REQUESTS


@pytest.mark.parametrize(
    ("message", "code", "status", "as_list"),
    [
        ("batch limit 10 exceeded: 64 requests given", -32000, 200, False),  # Erigon
        ("Number of requests in batch exceeds max batch size", -32602, 200, False),  # Besu
        ("batch too large", -32600, 200, True),  # geth
        ("Batch of more than 10 requests are not allowed on free tier", 31, 500, False),  # dRPC
        ("Batch size is too large", -32600, 400, False),  # OnFinality
        ("The batch request was too large, Exceeded max limit of 10", -32010, 200, False),  # jsonrpsee
        ("limit exceeded", -32005, 200, False),
        ("<html>413 Request Entity Too Large</html>", None, 413, False),
    ],
)
async def test_a_batch_that_is_too_large_is_sent_in_smaller_ones(
    node: FakeNode, message: str, code: int | None, status: int, as_list: bool
) -> None:
    def refuse(sizes: list[int]) -> tuple[int, bytes] | None:
        if sizes[-1] <= 10:
            return None
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
        body = message if code is None else json.dumps([error] if as_list else error)
        return status, body.encode()

    async with FaultProxy(of_fake(node)) as proxy:
        proxy.refuse_batch = refuse
        pool = Pool([proxy.url])
        for _ in range(3):
            known = len(proxy.batches)
            assert await heights(proxy, pool) == list(HEIGHTS)
        await pool.close()
        assert len(proxy.calls) == 3 * len(HEIGHTS), "nothing was requested alone or twice"
        assert len([size for size in proxy.batches if size > 10]) <= 7
        assert len([size for size in proxy.batches[known:] if size > 10]) <= 1
        assert max(size for size in proxy.batches if size <= 10) >= 7


@pytest.mark.parametrize(
    "fault",
    [
        faults.null_block,
        faults.missing_field,
        faults.error_with_status_200,
        faults.rate_limited,
        faults.html_with_status_200,
        faults.batch_reply,
        faults.truncated_json,
        faults.invalid_utf8,
        faults.answer_to_another_request,
    ],
)
async def test_what_a_batch_leaves_out_is_asked_alone(node: FakeNode, fault: Fault) -> None:
    clock = Clock()
    async with FaultProxy(of_fake(node)) as proxy:
        proxy.inject(fault, times=1)
        pool = Pool([proxy.url], clock=clock, sleep=clock.sleep)
        assert await heights(proxy, pool) == list(HEIGHTS)
        await pool.close()


async def test_a_header_of_another_height_in_a_batch_is_not_believed(node: FakeNode) -> None:
    def another_height(exchange: Exchange) -> bool:
        exchange.result = exchange.result | {"number": "0x1"}
        return bool(exchange.params[0] == "0x7")

    async with FaultProxy(of_fake(node)) as proxy:
        proxy.inject(another_height, times=1)
        assert await heights(proxy) == list(HEIGHTS)


async def test_a_block_that_is_not_there_is_told_whatever_the_batch(node: FakeNode) -> None:
    async with FaultProxy(of_fake(node)) as proxy:
        chain, pool = watching(proxy)
        with pytest.raises(TryAgain, match="no block 999"):
            await chain.headers([5, 999])
        await pool.close()


async def test_who_gave_a_header_in_a_batch_can_be_distrusted(node: FakeNode) -> None:
    async with FaultProxy(of_fake(node)) as proxy, FaultProxy(of_fake(node)) as other:
        pool = Pool([proxy.url, other.url])
        chain = Chain(pool, {CERTIFICATE}, finality_depth=64)
        headers = await chain.headers(HEIGHTS)
        asked, spared = (proxy, other) if proxy.batches else (other, proxy)
        broken = replace(headers[7], parent_hash=bytes(32))
        with pytest.raises(TryAgain, match="Block 8 is not a child of block 7"):
            chain.check_links([headers[6], broken])
        asked.batches.clear()
        await chain.headers(HEIGHTS)
        await pool.close()
        assert (bool(asked.batches), bool(spared.batches)) == (False, True)


async def heights(proxy: FaultProxy, pool: Pool | None = None) -> list[int]:
    own = Pool([proxy.url]) if pool is None else pool
    chain = Chain(own, {CERTIFICATE}, finality_depth=64)
    async with asyncio.timeout(30):
        headers = await chain.headers(HEIGHTS)
    if pool is None:
        await own.close()
    return [header.number for header in headers]


async def test_a_provider_that_is_away_for_a_moment_still_gets_batches(node: FakeNode) -> None:
    async with FaultProxy(of_fake(node)) as proxy:
        pool = Pool([proxy.url], clock=(clock := Clock()), sleep=clock.sleep)
        proxy.inject(faults.unavailable)
        with pytest.raises(TryAgain):
            await heights(proxy, pool)
        proxy.injections.clear()
        clock.now += REFUSED_SECONDS / 2
        proxy.batches.clear()
        await heights(proxy, pool)
        await pool.close()
        assert max(proxy.batches) == BATCH_REQUESTS


def watching(proxy: FaultProxy) -> tuple[Chain, Pool]:
    pool = Pool([proxy.url])
    return Chain(pool, {CERTIFICATE}, finality_depth=64), pool
