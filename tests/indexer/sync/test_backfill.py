"""Backfill of final blocks: what is fetched ahead, what is dropped, and how ranges grow and shrink."""

import asyncio
import itertools
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.errors import TryAgain
from indexer.rpc.errors import RpcError
from indexer.rpc.gather import gather
from indexer.sync.backfill import EVENTS_A_STEP, MOST_EVENTS_A_STEP, SLOW_SECONDS, Pace
from indexer.sync.step import Indexed, UpToDate
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.chain.histories import random_block
from tests.support.index.indexing import Indexer, engine_of


@pytest.fixture(scope="module")
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def node() -> FakeNode:
    """Forty final blocks, each with an event."""
    node = FakeNode(finality=0)
    for number in range(40):
        node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=number))
    return node


def small_steps() -> Pace:
    return Pace(blocks=4, most=4, side_by_side=2)


async def settled() -> None:
    """Waits until everything in flight has ended."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_the_next_ranges_are_there_when_a_step_begins(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node, pace=small_steps())
    await indexer.step()
    await settled()
    requests = node.calls.count("eth_getLogs")
    assert requests == 4  # two ranges of the step, two ahead
    node.before_call = refuse_logs
    outcome = await indexer.step()
    assert isinstance(outcome, Indexed)
    assert (outcome.first, outcome.last) == (8, 15)


async def test_only_one_batch_is_fetched_ahead(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node, pace=small_steps())
    for steps in (1, 2, 3):
        await indexer.step()
        await settled()
        assert node.calls.count("eth_getLogs") == 2 * steps + 2


async def test_what_failed_ahead_fails_the_step_that_needs_it_and_is_fetched_again(
    engine: Engine, node: FakeNode, sqlite_url: str
) -> None:
    indexer = Indexer(engine, node, pace=small_steps())

    def refuse_the_third(method: str) -> None:
        node.calls.append(method)
        if method == "eth_getLogs" and node.calls.count("eth_getLogs") == 3:
            refuse_logs(method)

    node.before_call = refuse_the_third
    await indexer.step()
    await settled()
    with pytest.raises(TryAgain, match="not now"):
        await indexer.step()
    await indexer.catch_up()
    assert indexer.rows("event") == await clean_events(sqlite_url, node)


async def test_a_failed_step_drops_what_was_fetched_ahead(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node, pace=small_steps())
    await indexer.step()
    await settled()
    node.before_call = refuse_everything
    with pytest.raises(TryAgain):
        await indexer.step()
    node.before_call = refuse_logs
    with pytest.raises(TryAgain):
        await indexer.step()


async def test_a_branch_switch_after_the_fetch_ahead_is_noticed(
    engine: Engine, node: FakeNode, sqlite_url: str
) -> None:
    indexer = Indexer(engine, node, pace=small_steps())
    await indexer.step()
    await settled()
    node.reorg(30, *[[emitted("Transfer", to=b"\x0b" * 20, tokenId=number)] for number in range(30)])
    with pytest.raises(TryAgain, match="Block 15 changed while its range was read"):
        await indexer.step()
    await indexer.catch_up()
    assert indexer.rows("event") == await clean_events(sqlite_url, node)


def refuse_logs(method: str) -> None:
    if method == "eth_getLogs":
        refuse_everything(method)


def refuse_everything(method: str) -> None:
    raise RpcError("http://fake", method, "not now, rate limit", code=-32005)


async def clean_events(url: str, node: FakeNode) -> list[dict[str, Any]]:
    """Returns the events of a clean run of the same chain, in another database."""
    node.before_call = node.calls.append
    with engine_of(url) as clean:
        indexer = Indexer(clean, node)
        await indexer.catch_up()
        return indexer.rows("event")


def test_ranges_grow_while_they_are_thin_and_quick_and_stop_at_the_most() -> None:
    pace = Pace(blocks=1_000, most=3_000)
    for expected in (2_000, 3_000, 3_000):
        pace.fetched(pace.blocks * 4, 10, 0.1)
        assert pace.blocks == expected


def test_ranges_do_not_grow_where_the_chain_ended_first() -> None:
    pace = Pace(blocks=1_000)
    pace.fetched(999, 10, 0.1)
    assert pace.blocks == 1_000


def test_steps_shrink_when_answers_are_slow_or_bad_but_never_to_nothing() -> None:
    pace = Pace(blocks=16)
    pace.fetched(64, 10, SLOW_SECONDS + 1)
    assert (pace.blocks, pace.followed) == (8, 64)
    for expected in ((2, 16), (1, 4), (1, 1), (1, 1)):
        pace.failed()
        assert (pace.blocks, pace.followed) == expected
    for expected_followed in (2, 4, 8, 16, 32, 64, 64):
        pace.followed_on()
        assert pace.followed == expected_followed


@pytest.mark.parametrize("finality", [4, 400])
async def test_a_node_that_fails_now_and_then_for_ever_is_read_in_smaller_steps(engine: Engine, finality: int) -> None:
    node = FakeNode(finality=finality)
    for seed in range(200):
        random_block(seed).mine(node)
    indexer = Indexer(engine, node)
    calls = itertools.count(1)

    def fail_now_and_then(_method: str) -> None:
        if next(calls) % 50 == 0:
            raise TryAgain("not now")

    node.before_call = fail_now_and_then
    failures = 0
    while True:
        try:
            if isinstance(await indexer.step(), UpToDate):
                break
        except TryAgain:
            failures += 1
            assert failures < 100
    assert failures > 2


def test_ranges_shrink_to_what_a_step_can_hold() -> None:
    pace = Pace(blocks=1_000, side_by_side=4)
    pace.fetched(4_000, EVENTS_A_STEP * 10, 0.1)
    assert pace.blocks == 100


def test_steps_grow_with_a_backfill_up_to_a_limit() -> None:
    pace = Pace(side_by_side=4)
    steps = list[int]()
    while sum(steps) < 10_000_000:
        blocks = pace.blocks * pace.side_by_side
        steps.append(blocks * 25)
        pace.fetched(blocks, steps[-1], 0.1)
    assert max(steps[:100]) <= EVENTS_A_STEP
    assert EVENTS_A_STEP < max(steps) <= MOST_EVENTS_A_STEP
    pace.fetched(blocks, MOST_EVENTS_A_STEP * 2, 0.1)
    assert pace.blocks == blocks // pace.side_by_side // 2


async def test_when_one_task_fails_the_others_end_before_the_failure_is_raised() -> None:
    ended: list[str] = []

    async def last() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("last")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise TryAgain("no")

    with pytest.raises(TryAgain, match="no"):
        await gather(last(), fails(), last())
    assert ended == ["last", "last"]


def test_the_first_batch_of_a_chain_that_is_full_of_events_is_no_bigger_than_others() -> None:
    pace = Pace()
    assert pace.blocks * pace.side_by_side * 25 <= EVENTS_A_STEP
