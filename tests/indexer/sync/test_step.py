"""Steps along the chain: what a reorg takes back, what is no reorg, and when indexing stops."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.errors import Stop, TryAgain
from indexer.rpc.errors import RpcError
from indexer.rpc.host import Host
from indexer.store.watch_set import WatchedContract
from indexer.sync.step import Ahead, BackfillFinished, Indexed, Pace, RolledBack, UpToDate
from schema.tables.kinds import DERIVED
from schema.tables.values import OPEN, position
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.databases import NewDatabase
from tests.support.index.indexing import Indexer, engine_of, index_afresh

ALICE, BOB, CAROL = (bytes([byte]) * 20 for byte in (0xA1, 0xB0, 0xCA))


@pytest.fixture
def node() -> FakeNode:
    """Five blocks; the first is final. Token 1 is minted in block 2 and goes to Bob in block 5."""
    node = FakeNode(finality=4)
    node.mine()
    node.mine(*minted(1))
    node.mine()
    node.mine(emitted("FirmwareUpdated", tokenId=1, toVersion="2.0.0"))
    node.mine(emitted("Transfer", **{"from": ALICE}, to=BOB, tokenId=1))
    return node


def minted(token_id: int, to: bytes = ALICE) -> list[Any]:
    mint = emitted("CertificateMinted", tokenId=token_id, device=to, serialNumber=f"SN-{token_id}", manufacturerId=1)
    return [emitted("Transfer", to=to, tokenId=token_id), mint]


def owners(indexer: Indexer) -> dict[int, bytes | None]:
    """Returns the present owners by token id."""
    tokens = {row["id"]: int.from_bytes(row["token_id"], "big") for row in indexer.rows("device")}
    return {tokens[row["device_id"]]: row["owner"] for row in indexer.rows("device_version") if row["valid_to"] == OPEN}


def derived(indexer: Indexer) -> dict[str, list[dict[str, Any]]]:
    return {table: indexer.rows(table) for table in DERIVED}


def chain_row(indexer: Indexer) -> dict[str, Any]:
    return indexer.rows("chain")[0]


# Backfill and following


async def test_final_blocks_come_by_ranges_and_the_newest_one_by_one(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    assert await indexer.catch_up() == [
        Indexed(first=0, last=1, events=0, facts=0, head=5),
        BackfillFinished(number=1),
        Indexed(first=2, last=5, events=4, facts=4, head=5),
        UpToDate(number=5),
    ]
    assert owners(indexer) == {1: BOB}
    assert chain_row(indexer)["backfilled"]


async def test_each_event_is_kept_as_the_chain_gave_it(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    transfer = node.blocks[5].logs[0]
    [row] = [row for row in indexer.rows("event") if row["position"] == position(5, 0)]
    assert (row["address"], row["topics"], row["data"]) == (CERTIFICATE, transfer.topics, transfer.data)
    assert (row["transaction_hash"], row["transaction_index"]) == (transfer.transaction, 0)


async def test_blocks_before_the_start_block_are_not_indexed(engine: Engine, node: FakeNode) -> None:
    contracts = (WatchedContract("certificate", CERTIFICATE, 3, False),)
    indexer = Indexer(engine, node, contracts=contracts)
    assert (await indexer.step(), await indexer.step()) == (BackfillFinished(2), Indexed(3, 5, 2, 2, 5))
    assert [row["position"] for row in indexer.rows("event")] == [position(4, 0), position(5, 0)]


async def test_a_start_block_that_is_not_mined_yet_is_waited_for(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node, contracts=(WatchedContract("certificate", CERTIFICATE, 8, False),))
    assert await indexer.catch_up() == [BackfillFinished(7), Ahead(7, 5)]
    node.mine_blocks(2)
    node.mine(*minted(2))
    await indexer.catch_up()
    assert owners(indexer) == {2: ALICE}


async def test_only_headers_that_a_reorg_may_ask_for_are_kept_of_blocks_without_events(
    engine: Engine, node: FakeNode
) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.mine_blocks(5)
    await indexer.catch_up()
    assert node.finalized_number == 6
    assert [row["number"] for row in indexer.rows("block")] == [2, 4, 5, 6, 7, 8, 9, 10]


async def test_a_range_that_the_node_refuses_is_requested_in_smaller_parts_and_none_is_skipped(
    engine: Engine, node: FakeNode
) -> None:
    class Limited(FakeNode):
        def _queried(self, query: dict[str, Any]) -> Any:
            logs = super()._queried(query)
            if len(logs) > 3:
                refused.append(len(logs))
                raise RpcError("http://fake", "eth_getLogs", "block range is too wide", code=-32600)
            return logs

    refused: list[int] = []
    limited = Limited(finality=0)
    for number in range(40):
        limited.mine(*minted(number))
    indexer = Indexer(engine, limited, pace=Pace(blocks=16, side_by_side=2))
    await indexer.catch_up()
    assert max(refused) == 16
    assert owners(indexer) == dict.fromkeys(range(40), ALICE)


async def test_a_range_whose_last_block_changed_while_it_was_read_is_read_again(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(*minted(1))
    node.mine()
    indexer = Indexer(engine, node)

    def reorg_once(method: str) -> None:
        if method == "eth_getLogs":
            node.before_call = node.calls.append
            node.reorg(2)

    node.before_call = reorg_once
    with pytest.raises(TryAgain, match="Block 2 changed while its range was read"):
        await indexer.step()
    assert indexer.rows("event") == indexer.rows("block") == []
    await indexer.catch_up()
    assert owners(indexer) == {}


async def test_a_range_on_another_branch_than_the_checkpoint_is_not_put_on_top_of_it(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(*minted(1))
    node.mine_blocks(2)
    indexer = Indexer(engine, node, pace=Pace(blocks=1, most=1, side_by_side=2))
    await indexer.catch_up()
    node.mine_blocks(3)
    requests = iter(range(100))

    def reorg_after_the_fork_was_looked_for(_method: str) -> None:
        if next(requests) == 4:
            node.before_call = node.calls.append
            node.reorg(6)

    node.before_call = reorg_after_the_fork_was_looked_for
    with pytest.raises(TryAgain, match="Block 3 changed"):
        await indexer.step()
    with pytest.raises(Stop, match="differs from the indexed one"):
        await indexer.catch_up()


async def test_a_log_of_a_followed_block_is_not_lost_while_the_chain_leaves_that_block_and_returns(
    engine: Engine,
) -> None:
    class WithoutBlooms(FakeNode):
        """Some nodes answer with no logs for the hash of a block that they have left."""

        def _queried(self, query: dict[str, Any]) -> Any:
            try:
                return super()._queried(query)
            except RpcError:
                return []

    node = WithoutBlooms(finality=4)
    node.has_bloom = False
    node.mine_blocks(2)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.mine(*minted(1))
    first = list(node.blocks)

    def reorg_once(method: str) -> None:
        if method == "eth_getLogs":
            node.before_call = node.calls.append
            node.reorg(1)

    node.before_call = reorg_once
    with pytest.raises(TryAgain, match="Block 3 changed while its logs were read"):
        await indexer.step()
    node.switch_to(first)
    await indexer.catch_up()
    assert owners(indexer) == {1: ALICE}


# Reorgs


async def test_a_reorg_takes_back_the_mint_it_orphaned_and_keeps_evidence(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    old = node.blocks[2:]
    node.reorg(4, minted(2, CAROL))
    assert await indexer.catch_up() == [RolledBack(1, 5, 4), Indexed(2, 5, 2, 2, 5), UpToDate(5)]
    assert owners(indexer) == {2: CAROL}
    [reorg] = indexer.rows("reorg")
    assert (reorg["reorg_no"], reorg["cause"]) == (1, "FORK")
    assert (reorg["ancestor_number"], reorg["ancestor_hash"]) == (1, node.blocks[1].hash)
    assert (reorg["old_head_number"], reorg["old_head_hash"]) == (5, old[-1].hash)
    assert [(row["number"], row["hash"]) for row in indexer.rows("orphaned_block")] == [
        (block.number, block.hash) for block in old
    ]
    orphaned = indexer.rows("orphaned_event")
    assert [row["position"] for row in orphaned] == [position(*place) for place in ((2, 0), (2, 1), (4, 0), (5, 0))]
    assert {(row["device_contract"], int.from_bytes(row["device_token_id"], "big")) for row in orphaned} == {
        (CERTIFICATE, 1)
    }


async def test_what_an_orphaned_event_ended_goes_on(engine: Engine, node: FakeNode) -> None:
    node.reorg(1, [emitted("UserAuthorized", tokenId=1, user=CAROL, organization="Depot")])
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = derived(indexer)
    node.mine(
        emitted("UserRevoked", tokenId=1, user=CAROL),
        emitted("Transfer", **{"from": ALICE}, to=BOB, tokenId=1),
        emitted("CertificateCorrected", tokenId=1, attribute="colour", value="red"),
        emitted("ManufacturerLicensed", manufacturerId=1, name="Acme"),
        emitted("EndOfLifeRecorded", tokenId=1, process=3),
    )
    await indexer.catch_up()
    assert indexer.rows("authorization")[0]["ended_at"] is not None
    node.reorg(1)
    await indexer.step()
    assert derived(indexer) == before


async def test_a_lagging_node_is_no_reorg(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before, ours = indexer.tables(), list(node.blocks)
    node.switch_to(ours[:4])
    assert await indexer.step() == Ahead(5, 3)
    assert indexer.tables() == before
    assert indexer.rows("reorg") == []
    assert chain_row(indexer)["head_number"] == 3
    node.switch_to(ours)
    node.mine(*minted(2))
    assert await indexer.step() == Indexed(6, 6, 2, 2, 6)


async def test_a_shorter_branch_is_a_reorg(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.reorg(3, minted(2), same_length=False)
    assert node.head.number == 3
    assert await indexer.catch_up() == [RolledBack(2, 5, 2), Indexed(3, 3, 2, 2, 3), UpToDate(3)]
    assert owners(indexer) == {1: ALICE, 2: ALICE}


async def test_a_shorter_branch_that_is_gone_at_the_second_look_is_no_reorg(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    ours = list(node.blocks)
    node.reorg(3, [], same_length=False)
    requests = iter(range(100))

    def return_to_ours(_method: str) -> None:
        if next(requests) == 3:
            node.switch_to(ours[:4])

    node.before_call = return_to_ours
    assert await indexer.step() == Ahead(5, 3)
    assert indexer.rows("reorg") == []


async def test_a_reorg_of_exactly_the_checkpoint_block(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.reorg(1, [emitted("Transfer", **{"from": ALICE}, to=CAROL, tokenId=1)])
    assert await indexer.catch_up() == [RolledBack(4, 5, 1), Indexed(5, 5, 1, 1, 5), UpToDate(5)]
    assert owners(indexer) == {1: CAROL}


async def test_two_reorgs_in_a_row_leave_two_pieces_of_evidence(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.reorg(2, [], [emitted("Transfer", **{"from": ALICE}, to=CAROL, tokenId=1)])
    assert await indexer.step() == RolledBack(3, 5, 2)
    node.reorg(3, [emitted("Transfer", **{"from": ALICE}, to=CAROL, tokenId=1)])
    assert await indexer.catch_up() == [RolledBack(2, 3, 0), Indexed(3, 5, 1, 1, 5), UpToDate(5)]
    assert owners(indexer) == {1: CAROL}
    assert [row["reorg_no"] for row in indexer.rows("reorg")] == [1, 2]


async def test_a_chain_that_returns_to_its_first_branch_gives_the_first_rows_again(
    engine: Engine, node: FakeNode
) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    first, first_branch = indexer.tables(), list(node.blocks)
    node.reorg(3, minted(2), minted(3))
    await indexer.catch_up()
    assert indexer.tables() != first
    node.switch_to(first_branch)
    await indexer.catch_up()
    assert indexer.tables() == first
    assert [row["ancestor_number"] for row in indexer.rows("reorg")] == [2, 2]


async def test_a_reorg_across_a_restart(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    indexer.lease.release()
    node.reorg(4, minted(2))
    node.mine_blocks(20)
    node.finalized_number = 1
    indexer.begin_life()
    assert await indexer.step() == RolledBack(1, 5, 4)
    indexer.restart()
    await indexer.catch_up()
    assert owners(indexer) == {2: ALICE}


async def test_a_reorg_while_a_fork_is_looked_into_is_looked_into_again(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    node.reorg(3)
    requests = iter(range(100))

    def reorg_again(_method: str) -> None:
        if next(requests) == 4:
            node.reorg(4)

    node.before_call = reorg_again
    with pytest.raises(TryAgain, match="changed while a fork was examined"):
        await indexer.step()
    assert indexer.tables() == before
    assert await indexer.step() == RolledBack(1, 5, 4)


async def test_a_reorg_before_anything_is_final_goes_back_to_the_start(engine: Engine) -> None:
    node = FakeNode(finality=64)
    node.mine(*minted(1))
    contracts = (WatchedContract("certificate", CERTIFICATE, 1, True),)
    indexer = Indexer(engine, node, contracts=contracts)
    await indexer.catch_up()
    node.reorg(1, minted(2))
    assert await indexer.catch_up() == [RolledBack(0, 1, 2), Indexed(1, 1, 2, 2, 1), UpToDate(1)]
    assert owners(indexer) == {2: ALICE}


async def test_a_transaction_that_comes_again_in_a_later_block_is_there_once(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    [transfer] = node.blocks[5].logs
    node.reorg(1, [])
    node.mine(transfer)
    await indexer.catch_up()
    rows = [row for row in indexer.rows("event") if row["transaction_hash"] == transfer.transaction]
    assert [row["position"] for row in rows] == [position(6, 0)]
    assert [row["position"] for row in indexer.rows("transfer")] == [position(2, 0), position(6, 0)]
    [orphaned] = indexer.rows("orphaned_event")
    assert (orphaned["position"], orphaned["transaction_hash"]) == (position(5, 0), transfer.transaction)


async def test_the_same_transaction_in_two_blocks_of_one_branch_is_two_events(engine: Engine, node: FakeNode) -> None:
    # no real chain does it; the position tells them apart
    node.mine(replace(node.blocks[5].logs[0], index=3))
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    assert [row["position"] for row in indexer.rows("transfer")][1:] == [position(5, 0), position(6, 3)]


# Deeper than finality, and operators


async def test_a_fork_deeper_than_finality_stops_and_names_the_command(engine: Engine, node: FakeNode) -> None:
    node.mine_blocks(4)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    assert node.finalized_number == 5
    node.reorg(6, minted(2))
    with pytest.raises(Stop) as stopped:
        await indexer.step()
    assert "differs from the indexed one above block 2, but block 5 was final" in str(stopped.value)
    assert "certindex rollback --to 2" in str(stopped.value)
    assert indexer.tables() == before


async def test_a_provider_on_another_branch_is_distrusted_if_a_second_one_has_the_final_block(
    engine: Engine, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine_blocks(4)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before, second = indexer.tables(), FakeNode(chain_id=node.chain_id, finality=node.finality)
    second.switch_to(list(node.blocks))
    node.reorg(6, minted(2))
    first_call, distrusted = node.call, list[str]()

    async def call(method: str, params: Any, result: Any, *, avoid: Sequence[Host] = (), strict: bool = False) -> Any:
        answering = second.call if avoid else first_call
        return await answering(method, params, result, avoid=avoid, strict=strict)

    monkeypatch.setattr(node, "call", call)
    monkeypatch.setattr(node, "distrust", lambda host, reason: distrusted.append(str(reason)))
    with pytest.raises(TryAgain, match="a second provider, which has the indexed one"):
        await indexer.step()
    assert len(distrusted) == 1
    assert indexer.tables() == before


async def test_after_the_command_it_names_the_indexer_goes_on_along_the_new_branch(
    new_database: NewDatabase, node: FakeNode
) -> None:
    node.mine_blocks(4)
    with engine_of(new_database()) as engine, engine_of(new_database()) as other:
        indexer = Indexer(engine, node)
        await indexer.catch_up()
        node.reorg(6, minted(2))
        kept, _ = indexer.store.roll_back_to(indexer.store.checkpoint(), 2)
        assert kept.number == 2
        await indexer.catch_up()
        assert owners(indexer) == {1: ALICE, 2: ALICE}
        fresh = Indexer(other, node)
        await fresh.catch_up()
        assert indexer.tables() == fresh.tables()


async def test_an_operators_rollback_deletes_and_leaves_no_evidence(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    kept, undone = indexer.store.roll_back_to(indexer.store.checkpoint(), 3)
    assert (kept.number, undone.blocks, undone.events) == (3, 2, 2)
    assert owners(indexer) == {1: ALICE}
    for table in ("reorg", "orphaned_block", "orphaned_event"):
        assert indexer.rows(table) == []
    assert await indexer.catch_up() == [Indexed(4, 5, 2, 2, 5), UpToDate(5)]
    assert indexer.tables() == before


async def test_a_rollback_goes_to_the_last_block_that_is_kept_at_or_below(engine: Engine, node: FakeNode) -> None:
    node.mine_blocks(20)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    kept, _ = indexer.store.roll_back_to(indexer.store.checkpoint(), 15)
    assert kept.number == 5
    await indexer.catch_up()
    assert indexer.tables() == before
    kept, undone = indexer.store.roll_back_to(indexer.store.checkpoint(), 1)
    assert (kept.number, undone.events) == (-1, 4)
    await indexer.catch_up()
    assert indexer.tables() == before


# What is told


async def test_the_revision_grows_with_every_answer_that_may_change_and_with_no_other(
    engine: Engine, node: FakeNode
) -> None:
    indexer = Indexer(engine, node)
    revisions = [chain_row(indexer)["revision"]]

    async def grows_in_a_step() -> bool:
        await indexer.step()
        revisions.append(chain_row(indexer)["revision"])
        return bool(revisions[-1] > revisions[-2])

    assert [await grows_in_a_step() for _ in range(5)] == [True, True, True, False, False]
    node.reorg(1)
    assert [await grows_in_a_step() for _ in range(3)] == [True, True, False]
    node.finalized_number += 1
    assert [await grows_in_a_step() for _ in range(2)] == [True, False]
    indexer.rebuild()
    assert chain_row(indexer)["revision"] > revisions[-1]


async def test_safe_and_finalized_never_go_down(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    node.finalized_number = 0
    node.mine()
    node.finalized_number = 0
    await indexer.catch_up()
    row = chain_row(indexer)
    assert (row["safe_number"], row["finalized_number"], row["finalized_hash"]) == (1, 1, node.blocks[1].hash)


async def test_a_failure_is_reported_from_its_beginning_until_a_step_succeeds(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    indexer.store.note_failure("first")
    since = chain_row(indexer)["failing_since"]
    indexer.store.note_failure("the node said \0 and \ud800")
    row = chain_row(indexer)
    assert since is not None
    assert row["failing_since"] == since
    assert row["last_error"].startswith("the node said \N{REPLACEMENT CHARACTER} and ")
    await indexer.step()
    assert (chain_row(indexer)["failing_since"], chain_row(indexer)["last_error"]) == (None, None)


async def test_two_chains_in_one_database_do_not_touch_each_other(engine: Engine, node: FakeNode) -> None:
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    neighbour = FakeNode(finality=2)
    neighbour.mine(*minted(1, CAROL))
    neighbour.mine_blocks(3)
    other = Indexer(engine, neighbour)
    await other.catch_up()
    neighbour.reorg(1, minted(2))
    await other.catch_up()
    other.rebuild()
    other.store.roll_back_to(other.store.checkpoint(), 0)
    assert indexer.tables() == before
    assert other.rows("event") == []


def test_a_fresh_index_of_one_chain_is_the_same_on_every_run(new_database: NewDatabase, node: FakeNode) -> None:
    with engine_of(new_database()) as first, engine_of(new_database()) as second:
        assert index_afresh(first, node, pace=Pace(blocks=1)) == index_afresh(second, node)
