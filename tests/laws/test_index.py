"""The law of the indexer: after any history, the rows equal those of a fresh index of the final chain."""

import asyncio
import os
from dataclasses import dataclass
from typing import Any, NamedTuple, assert_never

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from indexer.errors import TryAgain
from indexer.sync.step import Pace
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import BLOCKS, Block
from tests.support.index.indexing import Engines, Indexer, index_afresh
from tests.support.index.interruptions import Crash, at_call, at_write, crash

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

FINALITY = 4
EXPLORED = os.environ.get("EXPLORED_EXAMPLES")
"""How many random examples to try instead of the few that are always the same."""

tries = settings(
    max_examples=int(EXPLORED or 30), derandomize=EXPLORED is None, deadline=None, print_blob=True, database=None
)


# What may happen


@dataclass(frozen=True)
class Mine:
    blocks: list[Block]


@dataclass(frozen=True)
class Reorg:
    """Replaces up to `depth` blocks that are not final."""

    depth: int
    blocks: list[Block]


@dataclass(frozen=True)
class Step:
    pass


@dataclass(frozen=True)
class CatchUp:
    pass


@dataclass(frozen=True)
class StepDuringReorg:
    """The chain reorgs before the step's call number `call`."""

    call: int
    reorg: Reorg


@dataclass(frozen=True)
class CrashAtCall:
    """The process dies during a request to the node."""

    call: int


@dataclass(frozen=True)
class CrashAtWrite:
    """The process dies inside a step at a write; a commit is one."""

    write: int


@dataclass(frozen=True)
class Rebuild:
    pass


Change = Mine | Reorg
Work = Step | CatchUp | StepDuringReorg | CrashAtCall | CrashAtWrite | Rebuild


class Turn(NamedTuple):
    """Something happens on the chain, then the indexer works; a turn may begin with a restart."""

    restart: bool
    change: Change
    work: Work


FEW_BLOCKS = st.lists(BLOCKS, min_size=1, max_size=4)
REORGS = st.builds(Reorg, st.integers(1, FINALITY), FEW_BLOCKS)
TURNS = st.builds(
    Turn,
    st.booleans(),
    st.one_of(st.builds(Mine, FEW_BLOCKS), REORGS),
    st.one_of(
        st.builds(CatchUp),
        st.builds(CatchUp),
        st.builds(Step),
        st.builds(StepDuringReorg, st.integers(0, 12), REORGS),
        st.builds(CrashAtCall, st.integers(0, 12)),
        st.builds(CrashAtWrite, st.integers(0, 30)),
        st.builds(Rebuild),
    ),
)


@given(turns=st.lists(TURNS, min_size=3, max_size=12), pace_blocks=st.integers(1, 6), followed=st.integers(1, 4))
@tries
def test_after_any_history_the_rows_are_those_of_the_final_chain(
    engines: Engines, turns: list[Turn], pace_blocks: int, followed: int
) -> None:
    node = FakeNode(finality=FINALITY)
    live = asyncio.run(live_through(engines.live, node, turns, Pace(pace_blocks, side_by_side=2), followed))
    rows = live.tables()
    assert rows == index_afresh(engines.fresh, node)
    live.rebuild()
    assert live.tables() == rows


@given(
    blocks=st.lists(BLOCKS, max_size=14),
    pace_blocks=st.integers(1, 6),
    side_by_side=st.integers(1, 3),
    concurrency=st.integers(1, 8),
)
@tries
def test_backfilled_or_followed_in_parts_of_any_size_with_any_concurrency_the_rows_are_the_same(
    engines: Engines, blocks: list[Block], pace_blocks: int, side_by_side: int, concurrency: int
) -> None:
    node = FakeNode(finality=FINALITY)
    for block in blocks:
        block.mine(node)
    pace = Pace(pace_blocks, most=pace_blocks, side_by_side=side_by_side)
    rows = index_afresh(engines.live, node, pace=pace, concurrency=concurrency)
    assert rows == asyncio.run(follow_from_genesis(engines.fresh, node))


async def live_through(engine: Engine, node: FakeNode, turns: list[Turn], pace: Pace, followed: int) -> Indexer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.sync.backfill.FOLLOWED_BLOCKS", followed)
        patch.setattr("indexer.store.rewriting.EVENTS_A_CHUNK", 3)
        pace.followed = followed
        indexer = Indexer(engine, node, pace=pace)
        for turn in turns:
            if turn.restart:
                indexer.restart()
            change(node, turn.change)
            await work(indexer, turn.work)
        await indexer.catch_up()
        return indexer


async def follow_from_genesis(engine: Engine, node: FakeNode) -> dict[str, list[dict[str, Any]]]:
    """Returns the tables of an index that saw every block of the chain as its newest."""
    growing = FakeNode(chain_id=node.chain_id, finality=FINALITY)
    indexer = Indexer(engine, growing)
    for block in node.blocks:
        growing.switch_to(node.blocks[: block.number + 1])
        growing.finalized_number = max(block.number - FINALITY, 0)
        await indexer.catch_up()
    return indexer.tables()


def change(node: FakeNode, what: Change) -> None:
    if isinstance(what, Reorg):
        depth = min(what.depth, node.head.number - node.finalized_number)
        if depth:
            node.reorg(depth, same_length=False)
    for block in what.blocks:
        block.mine(node)


async def work(indexer: Indexer, what: Work) -> None:
    node = indexer.node
    match what:
        case Step():
            await indexer.step()
        case CatchUp():
            await indexer.catch_up()
        case StepDuringReorg(call, reorg):
            with at_call(node, call, lambda: change(node, reorg)):
                await step_or_try_again(indexer)
        case CrashAtCall(call):
            with at_call(node, call, crash):
                await step_or_crash(indexer)
            indexer.restart()
        case CrashAtWrite(write):
            with at_write(indexer.engine, write, crash):
                await step_or_crash(indexer)
            indexer.restart()
        case Rebuild():
            indexer.rebuild()
        case _:
            assert_never(what)


async def step_or_try_again(indexer: Indexer) -> None:
    try:
        await indexer.step()
    except TryAgain as error:
        note(f"try again: {error}")


async def step_or_crash(indexer: Indexer) -> None:
    try:
        await indexer.step()
    except Crash:
        note("crashed")
