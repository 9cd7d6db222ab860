"""The lease on a chain, and the fence that keeps out a writer that was replaced without knowing it."""

import socket
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.disagreement import Disagreement, HostLogs
from indexer.chain.headers import Heads
from indexer.changes import Changes, OpenRows
from indexer.store import Cause, Checkpoint, Fenced, Store
from indexer.store.checkpoint import KeptBlock, move_checkpoint
from indexer.store.lease import Lease
from indexer.store.verification import VerificationStore
from indexer.sync.interpretation import Interpretation
from indexer.sync.rebuild import rebuild
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import random_block
from tests.support.databases import NewDatabase
from tests.support.index.indexing import Indexer, engine_of


@pytest.fixture
def node() -> FakeNode:
    """Five blocks; the first is final."""
    node = FakeNode(finality=4)
    for seed in range(5):
        random_block(seed).mine(node)
    return node


def chain_row(indexer: Indexer) -> dict[str, Any]:
    return indexer.rows("chain")[0]


# The fence


class Old(NamedTuple):
    """What a writer knows that was replaced in the midst of a step."""

    lease: Lease
    store: Store
    before: Checkpoint
    batch: Batch
    heads: Heads
    levels: VerificationStore
    interpretation: Interpretation


NO_CHANGES = Changes({}, {}, {}, OpenRows())
DIFFERENCE = Disagreement(1, 1, HostLogs("one.example", []), HostLogs("other.example", []))
FENCED: dict[str, Callable[[Old], object]] = {
    "reads the checkpoint": lambda old: old.store.checkpoint(),
    "commits": lambda old: old.store.commit(old.before, old.batch, {}, NO_CHANGES, old.heads),
    "notes heads": lambda old: old.store.note_heads(old.before, old.heads),
    "finishes the backfill": lambda old: old.store.finish_backfill(old.before),
    "rolls back": lambda old: old.store.roll_back(old.before, old.store.origin(), Cause.FORK),
    "rebuilds": lambda old: rebuild(old.store, old.before, old.interpretation),
    "stores a disagreement": lambda old: old.store.note_disagreements([DIFFERENCE]),
    "marks blocks as judged": lambda old: old.levels.record([], through=1),
}
SILENT: dict[str, Callable[[Old], object]] = {
    "notes a failure": lambda old: old.store.note_failure("the node is gone"),
    "notes where heads come from": lambda old: old.store.note_head_source("elsewhere"),
    "beats": lambda old: old.lease.beat(),
    "lets go": lambda old: old.lease.release(),
}


@pytest.mark.parametrize("does", [*FENCED, *SILENT])
async def test_a_writer_that_was_replaced_changes_nothing_though_name_and_checkpoint_are_still_its_own(
    engine: Engine, node: FakeNode, does: str
) -> None:
    indexer = Indexer(engine, node)
    await indexer.step()
    old = await in_the_midst_of_a_step(indexer)
    indexer.lease.release()
    taker = Lease(engine, node.chain_id)
    taker.name = indexer.lease.name
    assert taker.try_acquire() is None
    tables, chain = all_rows(indexer), chain_row(indexer)
    if does in FENCED:
        with pytest.raises(Fenced):
            FENCED[does](old)
    else:
        SILENT[does](old)
    assert (all_rows(indexer), chain_row(indexer)) == (tables, chain)
    assert (chain["writer"], chain["writer_epoch"]) == (indexer.lease.name, old.lease.epoch + 1)


async def in_the_midst_of_a_step(indexer: Indexer) -> Old:
    """Returns what is at hand when the blocks are fetched and nothing is stored yet."""
    before, heads = indexer.store.checkpoint(), await indexer.chain.heads()
    header = await indexer.chain.header(before.number + 1)
    batch = Batch([BlockLogs(header, await indexer.chain.block_logs(header), 0)], header)
    levels = VerificationStore(indexer.engine, indexer.node.chain_id, epoch=indexer.lease.epoch)
    return Old(indexer.lease, indexer.store, before, batch, heads, levels, indexer.interpretation)


async def test_a_second_writer_is_fenced_and_writes_nothing(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.step()
    slow, before = indexer.store, indexer.store.checkpoint()
    indexer.restart()  # another process takes over while the first one is about to commit
    await indexer.catch_up()
    tables, chain = indexer.tables(), chain_row(indexer)
    heads = await indexer.chain.heads()
    header = await indexer.chain.header(2)
    batch = Batch([BlockLogs(header, await indexer.chain.block_logs(header), 0)], header)
    ancestor = slow.origin()
    for write in (
        lambda: slow.checkpoint(),
        lambda: slow.commit(before, batch, {}, NO_CHANGES, heads),
        lambda: slow.note_heads(before, heads),
        lambda: slow.finish_backfill(before),
        lambda: slow.roll_back(before, ancestor, Cause.FORK),
        lambda: rebuild(slow, before, indexer.interpretation),
    ):
        with pytest.raises(Fenced):
            write()
    slow.note_failure("the node is gone")
    assert (indexer.tables(), chain_row(indexer)) == (tables, chain)


async def test_of_two_writers_with_one_epoch_the_slower_is_fenced_by_the_checkpoint(
    engine: Engine, node: FakeNode
) -> None:
    indexer = Indexer(engine, node)
    await indexer.step()
    await indexer.step()
    twin = Store(engine, node.chain_id, indexer.lease.epoch)
    before = twin.checkpoint()
    await indexer.step()
    tables = indexer.tables()
    header = await indexer.chain.header(2)
    with pytest.raises(Fenced, match=f"gone on from block 1 of chain {node.chain_id} or taken over"):
        twin.commit(before, Batch([], header), {}, NO_CHANGES, await indexer.chain.heads())
    with pytest.raises(Fenced):
        twin.note_heads(before, await indexer.chain.heads())
    assert indexer.tables() == tables


def all_rows(indexer: Indexer) -> dict[str, Any]:
    return indexer.tables() | {"disagreement": indexer.rows("disagreement")}


# Leases


async def test_a_lease_is_refused_while_its_holder_lives_and_free_when_it_lets_go(
    engine: Engine, node: FakeNode
) -> None:
    indexer = Indexer(engine, node)
    other = Lease(engine, node.chain_id)
    holder = other.try_acquire()
    assert holder is not None
    assert holder.writer == indexer.lease.name
    indexer.lease.release()
    assert other.try_acquire() is None
    assert other.epoch == indexer.lease.epoch + 1
    indexer.lease.beat()
    indexer.lease.release()  # late: the lease is another's by now
    assert chain_row(indexer)["writer"] == other.name


async def test_a_lease_whose_beat_stands_still_is_taken_over(
    engine: Engine, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("indexer.store.lease.time.monotonic", lambda: clock[0])
    indexer = Indexer(engine, node)
    other = Lease(engine, node.chain_id)
    for _ in range(3):
        indexer.lease.beat()
        assert other.try_acquire() is not None
        clock[0] += 4
    assert other.try_acquire() is not None  # 4 seconds without a beat
    clock[0] += 1
    assert other.try_acquire() is None


def test_a_lease_of_a_process_of_this_machine_that_is_gone_is_free_at_once(engine: Engine, node: FakeNode) -> None:
    machine = Indexer(engine, node).lease.name.split(":")[2].split("-")[0]
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    update = text(f"UPDATE chain SET writer = :writer WHERE chain_id = {node.chain_id}")
    with engine.begin() as connection:
        connection.execute(update, {"writer": f"{socket.gethostname()}:{gone.pid}:{machine}-00"})
    assert Lease(engine, node.chain_id).try_acquire() is None
    for elsewhere in (f"another-host:{gone.pid}:{machine}-00", f"{socket.gethostname()}:{gone.pid}:another-00"):
        with engine.begin() as connection:
            connection.execute(update, {"writer": elsewhere})
        assert Lease(engine, node.chain_id).try_acquire() is not None


async def test_a_writer_in_the_midst_of_a_long_commit_is_not_taken_for_dead(
    engine: Engine, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("indexer.store.lease.time.monotonic", lambda: clock[0])
    indexer = Indexer(engine, node)
    await indexer.step()
    other = Lease(engine, node.chain_id)
    assert other.try_acquire() is not None
    clock[0] += 6
    await indexer.step()  # no beat came through meanwhile, a commit did
    assert other.try_acquire() is not None
    if engine.dialect.name == "postgresql":  # SQLite locks the whole database
        clock[0] += 6
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE chain SET writer_beat = writer_beat WHERE chain_id = {node.chain_id}"))
            assert other.try_acquire() is not None


def test_a_writer_that_vanishes_during_a_commit_blocks_no_other(
    new_postgres_database: NewDatabase, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.checkpoint.VANISHED_SECONDS", 1)
    with engine_of(new_postgres_database()) as engine:
        indexer = Indexer(engine, node)
        before = indexer.store.checkpoint()
        connection = engine.connect()
        move_checkpoint(connection, before, KeptBlock(3, b"3" * 32, 3), (b"", 0))  # and nothing more is heard
        indexer.lease.beat()  # waits for the server to end the transaction
        assert indexer.store.checkpoint().number == before.number
        connection.invalidate()
        connection.close()
