"""A reorg before every single request of an indexer, and a crash at every single write.

After each step all stored blocks are of the branch that the checkpoint is on. At the end all rows equal those of a
fresh index.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from sqlalchemy import Engine

from indexer.errors import TryAgain
from indexer.sync.step import Ahead, Pace, UpToDate
from tests.support.chain.fakechain import FakeBlock, FakeNode
from tests.support.chain.histories import random_block
from tests.support.index.indexing import Indexer, Tables, index_afresh
from tests.support.index.interruptions import Crash, at_call, at_write, crash

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

FINALITY = 3
HEIGHT = 7
MOST_CALLS = 400
OF_THE_CHAIN = {"chain_id", "digest"}
"""What differs between two chains with the same blocks."""


class Branches(NamedTuple):
    """One is seen first, the other from some moment on; they part above the final blocks."""

    first: Sequence[FakeBlock]
    second: Sequence[FakeBlock]
    finalized: int

    @classmethod
    def parting_at(cls, number: int, *, height: int = HEIGHT) -> "Branches":
        node = FakeNode(finality=FINALITY)
        for seed in range(HEIGHT):
            random_block(seed).mine(node)
        first = list(node.blocks)
        node.reorg(HEIGHT + 1 - number, same_length=False)
        for seed in range(100, 100 + height + 1 - number):
            random_block(seed).mine(node)
        return cls(first, list(node.blocks), node.finalized_number)


class Case(NamedTuple):
    branches: Branches
    indexed: int
    """The first branch is indexed up to here before the race begins; -1: nothing."""
    seen: int = 0
    """The branch that the node is on when the race begins; it switches to the other one."""
    followed: int = 64
    """How many blocks one step takes above the final ones."""


CASES = {
    "the first backfill and what follows": Case(Branches.parting_at(5), indexed=-1),
    "following": Case(Branches.parting_at(6), indexed=4),
    "following to a shorter branch": Case(Branches.parting_at(6, height=6), indexed=4),
    "the checkpoint itself goes": Case(Branches.parting_at(5), indexed=6),
    "the checkpoint itself goes, block by block": Case(Branches.parting_at(5), indexed=5, followed=1),
    "a rollback, and back to the first branch": Case(Branches.parting_at(5), indexed=7, seen=1),
}
TAKING_BACK = (
    "following to a shorter branch",
    "the checkpoint itself goes",
    "a rollback, and back to the first branch",
)
"""What is tried on PostgreSQL too, where a life takes several times as long."""


@pytest.mark.parametrize("name", CASES)
async def test_a_branch_switch_before_any_request_leaves_no_row_of_the_branch_that_was_left(
    sqlite_engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await race(sqlite_engine, CASES[name], monkeypatch)


@pytest.mark.parametrize("name", TAKING_BACK)
async def test_on_postgresql_too_a_branch_switch_leaves_no_row_of_the_branch_that_was_left(
    postgres_engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await race(postgres_engine, CASES[name], monkeypatch)


async def race(engine: Engine, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes the chain once for each request before which the node may switch to the other branch."""
    monkeypatch.setattr("indexer.sync.backfill.FOLLOWED_BLOCKS", case.followed)
    expected = await asyncio.to_thread(undisturbed, engine, case)
    for call in range(MOST_CALLS):
        indexer, node = await begun(engine, case)
        with at_call(node, call, lambda: see(node, case, 1 - case.seen)) as switched:  # noqa: B023  # called in this round
            await live(indexer, case)
        if not switched():
            assert call > 5
            return
        await live(indexer, case)  # it may have switched after the last look at the head
        assert without_chain(indexer.tables()) == expected, f"switched before request {call}"
    raise AssertionError("there is no end of requests")


async def test_a_crash_at_any_write_of_a_reorg_and_of_what_follows_leaves_the_end_of_a_step(
    engine: Engine,
) -> None:
    case = CASES["the checkpoint itself goes"]
    expected = await asyncio.to_thread(undisturbed, engine, case)
    for write in range(MOST_CALLS):
        indexer, node = await begun(engine, case)
        see(node, case, 1)
        with at_write(engine, write, crash) as crashed:
            try:
                await live(indexer, case)
            except Crash:
                indexer.restart()
                consistent(indexer, case)
                await live(indexer, case)
        assert without_chain(indexer.tables()) == expected, f"crashed at write {write}"
        if not crashed():
            assert write > 20
            return
    raise AssertionError("there is no end of writes")


async def begun(engine: Engine, case: Case) -> tuple[Indexer, FakeNode]:
    """Returns an indexer in the midst of its life, and its node."""
    node = FakeNode(finality=FINALITY)
    indexer = Indexer(engine, node, pace=Pace(blocks=2, most=2, side_by_side=2))
    if case.indexed >= 0:
        node.switch_to(case.branches.first[: case.indexed + 1])
        node.finalized_number = max(case.indexed - FINALITY, 0)
        await indexer.catch_up()
    see(node, case, case.seen)
    return indexer, node


def see(node: FakeNode, case: Case, branch: int) -> None:
    node.switch_to(case.branches[branch])  # type: ignore[arg-type]  # the first two are branches
    node.finalized_number = case.branches.finalized


async def live(indexer: Indexer, case: Case) -> None:
    """Step until nothing is new; after each step all that is stored is of one branch."""
    for _ in range(100):
        try:
            outcome = await indexer.step()
        except TryAgain:
            outcome = None
        consistent(indexer, case)
        if isinstance(outcome, UpToDate | Ahead):
            return
    raise AssertionError("it never came to an end")


def consistent(indexer: Indexer, case: Case) -> None:
    [chain] = indexer.rows("chain")
    stored = {row["hash"] for row in indexer.rows("block")}
    branches = [{block.hash for block in branch} for branch in (case.branches.first, case.branches.second)]
    mine = [branch for branch in branches if chain["indexed_hash"] in branch]
    assert not stored or any(stored <= branch for branch in mine)


def undisturbed(engine: Engine, case: Case) -> Tables:
    """Returns the tables of an index of the branch that is seen last."""
    node = FakeNode(finality=FINALITY)
    node.switch_to(case.branches[1 - case.seen])  # type: ignore[arg-type]  # the first two are branches
    node.finalized_number = case.branches.finalized
    return without_chain(index_afresh(engine, node))


def without_chain(tables: Tables) -> Tables:
    return {
        name: [{key: value for key, value in row.items() if key not in OF_THE_CHAIN} for row in rows]
        for name, rows in tables.items()
    }
