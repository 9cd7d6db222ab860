"""Verification up to RECEIPTS on both databases, with providers that lie, fail and recover."""

import asyncio
import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from indexer.errors import TryAgain
from indexer.follower import Follower
from indexer.opening import open_chain
from indexer.proof.judge import Contradicted, Verified
from indexer.rpc.errors import NoAnswer
from indexer.store import Fenced
from indexer.store.verification import VerificationStore
from indexer.sync.step import Indexed as IndexedBlocks
from indexer.sync.step import Outcome, UpToDate
from indexer.verification.verifier import VerificationCounts, Verifier
from schema.abi.rlp import decode
from schema.tables.values import block_of, offset_of
from schema.vocabulary import FailureCause, VerificationLevel
from scripts.benchmark.verification import verification
from tests.support.certindex import Certindex
from tests.support.chain.evidence import Nodes, altering, proven_log
from tests.support.chain.factory import Factory, mint_request
from tests.support.index.history import CHAIN_ID, History, log
from tests.support.index.verifying import FINALITY, Indexed, index, indexed, settings_for

pytestmark = pytest.mark.slow

RECEIPTS, RPC = VerificationLevel.RECEIPTS, VerificationLevel.RPC
BLOCK_RECEIPTS = "eth_getBlockReceipts"


def _drop_every_log(receipts: list[dict[str, Any]]) -> None:
    for receipt in receipts:
        receipt["logs"] = []


async def _advance_to_the_end(chain: Indexed, nodes: Nodes) -> int:
    """Returns how many blocks were verified."""
    verifier = chain.verifier(nodes, count=nodes.count)
    verified = 0
    while (counts := await verifier.advance()) is not None:
        verified += counts.verified
    return verified


def test_final_blocks_with_events_are_raised_to_receipts_with_a_proof_for_each(
    factory: Factory, database_url: str
) -> None:
    for number in range(1, 4):
        factory.mint(number=number)
    index(factory, database_url)
    with indexed(factory, database_url) as chain:
        revision = chain.rows("SELECT revision FROM chain")[0][0]
        verified = asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain)))
        levels = chain.level_of_events()
        assert verified == len(levels)
        assert levels == [RECEIPTS] * len(levels)
        assert chain.rows("SELECT revision FROM chain")[0][0] > revision, "caches would keep the old level"
        progress = chain.levels.progress()
        assert progress.judged == progress.final
        assert chain.failures() == []
        _check_every_proof(chain)


def _check_every_proof(chain: Indexed) -> None:
    rows = chain.rows(
        """SELECT position, address, topics, data, rlp, event.transaction_index, nodes, first_log_index, hash
        FROM event
        JOIN block ON block.number = position >> 20
        JOIN verified_header ON verified_header.number = block.number
        JOIN receipt_proof ON receipt_proof.block_number = block.number
            AND receipt_proof.transaction_index = event.transaction_index"""
    )
    assert len(rows) == chain.rows("SELECT count(*) FROM event")[0][0]
    for position, address, topics, data, header, transaction, nodes, first, hash in rows:
        place = offset_of(position) - first
        proven_header, log = proven_log(bytes(header), transaction, _nodes(nodes), place)
        assert (proven_header.hash, proven_header.number) == (bytes(hash), block_of(position))
        assert (log.address, log.topics, log.data) == (bytes(address), bytes(topics), bytes(data))


def _nodes(encoded: bytes) -> list[bytes]:
    nodes = decode(bytes(encoded))
    assert not isinstance(nodes, bytes)
    return [node for node in nodes if isinstance(node, bytes)]


def test_a_log_missing_from_the_database_is_an_alarm_and_takes_the_level_back(
    factory: Factory, database_url: str
) -> None:
    factory.mint()
    index(factory, database_url)
    with indexed(factory, database_url) as chain:
        asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain)))
        position = chain.rows("SELECT max(position) FROM event")[0][0]
        chain.execute("DELETE FROM event WHERE position = :position", position=position)
        number = block_of(position)
        counts = asyncio.run(_verify(chain, Nodes(factory.chain), number, number))
        assert counts == (0, 1)
        assert chain.rows("SELECT level FROM block WHERE number = :number", number=number) == [(RPC,)]
        assert chain.rows("SELECT count(*) FROM receipt_proof WHERE block_number = :number", number=number) == [(0,)]
        ((failed, cause, reason),) = chain.failures()
        assert (failed, cause) == (number, FailureCause.WRONGLY_STORED)
        assert f"log {offset_of(position)} of the block" in reason


async def _verify(chain: Indexed, nodes: Nodes, first: int, last: int) -> tuple[int, int]:
    verified = alarms = 0
    async for _, counts in chain.verifier(nodes, count=nodes.count).verify(first, last):
        verified, alarms = verified + counts.verified, alarms + counts.alarms
    return verified, alarms


def test_what_one_provider_gets_wrong_another_one_mends(factory: Factory, sqlite_url: str) -> None:
    factory.mint()
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        nodes = Nodes(factory.chain, altering(BLOCK_RECEIPTS, _drop_every_log), count=2)
        assert asyncio.run(_advance_to_the_end(chain, nodes)) == len(chain.level_of_events())
        assert chain.failures() == []


def test_a_block_that_every_provider_gets_wrong_is_an_alarm_until_one_returns_the_right_one(
    factory: Factory, sqlite_url: str
) -> None:
    factory.mint()
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        liar = Nodes(factory.chain, altering(BLOCK_RECEIPTS, _drop_every_log))
        assert asyncio.run(_advance_to_the_end(chain, liar)) == 0
        assert RECEIPTS not in chain.level_of_events()
        assert {cause for _, cause, _ in chain.failures()} == {FailureCause.CONTRADICTED}
        assert all("node:8545" in reason for _, _, reason in chain.failures()), "the alarm names who told it"
        progress = chain.levels.progress()
        assert progress.judged == progress.final, "one bad block must not hold up the others"
        assert asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain))) == 0, "it is too early to ask again"
        chain.execute("UPDATE verification_failure SET failed_at = failed_at - 60")
        assert asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain))) == len(chain.level_of_events())
        assert chain.failures() == []


def test_an_alarm_is_retried_after_ever_longer_pauses(factory: Factory, sqlite_url: str) -> None:
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        liar = Nodes(factory.chain, altering(BLOCK_RECEIPTS, _drop_every_log))
        asyncio.run(_advance_to_the_end(chain, liar))
        for seconds in (60, 120, 240):
            chain.execute("UPDATE verification_failure SET failed_at = failed_at - :less", less=seconds - 10)
            assert chain.levels.due_failures(9) == []
            chain.execute("UPDATE verification_failure SET failed_at = failed_at - 10")
            assert len(chain.levels.due_failures(9)) == len(chain.failures())
            asyncio.run(_advance_to_the_end(chain, liar))


def test_blocks_that_cannot_be_verified_are_marked_and_not_requested_again(factory: Factory, sqlite_url: str) -> None:
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:

        def unknown_type(receipts: list[dict[str, Any]]) -> None:
            receipts[0]["type"] = "0x71"

        asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain, altering(BLOCK_RECEIPTS, unknown_type))))
        assert {cause for _, cause, _ in chain.failures()} == {FailureCause.UNKNOWN_FORM}
        assert set(chain.level_of_events()) == {VerificationLevel.BLOOM}, "nothing speaks against what the bloom says"
        chain.execute("UPDATE verification_failure SET failed_at = 0")
        assert chain.levels.due_failures(9) == []


def test_when_no_provider_answers_the_mark_stays(factory: Factory, sqlite_url: str) -> None:
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        before = chain.levels.progress()

        def silent(method: str, answer: Any) -> Any:
            raise NoAnswer("nobody is there")

        verifier = chain.verifier(Nodes(factory.chain, silent))
        for _ in range(9):
            with pytest.raises(TryAgain, match="nobody is there"):
                asyncio.run(verifier.advance())
        assert chain.levels.progress() == before
        assert chain.failures() == []


def test_a_block_whose_receipts_are_gone_holds_up_the_others_only_for_a_while(
    factory: Factory, sqlite_url: str
) -> None:
    factory.mint()
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        gone = chain.levels.blocks(0, 1_000, 9)[1].number

        def pruned(method: str, answer: Any) -> Any:
            if method == "eth_getBlockByHash" and int(answer["number"], 16) == gone:
                return None
            return answer

        verifier = chain.verifier(Nodes(factory.chain, pruned))
        for _ in range(4):
            with pytest.raises(TryAgain, match=f"Block {gone} cannot be verified now"):
                asyncio.run(verifier.advance())
            assert chain.levels.progress().judged == gone - 1
        asyncio.run(verifier.advance())
        assert [(number, cause) for number, cause, _ in chain.failures()] == [(gone, FailureCause.NO_EVIDENCE)]
        progress = chain.levels.progress()
        assert progress.judged == progress.final


def test_a_verdict_on_a_block_that_was_rolled_back_has_no_effect(sqlite_url: str) -> None:
    history = History(sqlite_url)
    number = history.block(log("DeviceProvisioned", 1, 5), finalized=0)
    chain = Indexed(history.engine, CHAIN_ID)
    (block,) = chain.levels.blocks(0, number, 9)
    history.store.roll_back_to(history.store.checkpoint(), number - 1)
    chain.levels.record([(block, Verified(b"\xc0", []))], through=number)
    chain.levels.record([(block, Contradicted("something"))])
    assert chain.rows("SELECT count(*) FROM verified_header") == [(0,)]
    assert chain.failures() == []
    history.close()


def test_a_rollback_takes_back_what_was_verified_above_it(
    factory: Factory, database_url: str, certindex: Certindex
) -> None:
    index(factory, database_url)
    with indexed(factory, database_url) as chain:
        asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain)))
        kept = chain.levels.blocks(0, 1_000, 9)[0].number
    assert certindex("rollback", "--to", str(kept), database_url=database_url).status == 0
    with indexed(factory, database_url) as chain:
        assert chain.levels.progress().judged == kept
        assert chain.rows("SELECT max(number) FROM verified_header") == [(kept,)]
        assert chain.rows("SELECT max(block_number) FROM receipt_proof") == [(kept,)]


def test_a_writer_that_lost_the_chain_marks_nothing(factory: Factory, sqlite_url: str) -> None:
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        epoch = chain.rows("SELECT writer_epoch FROM chain")[0][0]
        with pytest.raises(Fenced):
            VerificationStore(chain.engine, chain.chain_id, epoch=epoch + 1).record([])
        VerificationStore(chain.engine, chain.chain_id, epoch=epoch).record([])


def test_without_keep_proofs_levels_rise_and_nothing_is_stored_beside_the_headers(
    factory: Factory, sqlite_url: str
) -> None:
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        levels = VerificationStore(chain.engine, chain.chain_id, keep_proofs=False)
        verifier = chain.verifier(Nodes(factory.chain), levels=levels)
        while asyncio.run(verifier.advance()) is not None:
            pass
        assert set(chain.level_of_events()) == {RECEIPTS}
        assert chain.rows("SELECT count(*) FROM receipt_proof") == [(0,)]


def test_the_command_verifies_a_range_and_reports_what_failed(
    factory: Factory, sqlite_url: str, certindex: Certindex
) -> None:
    factory.mint()
    index(factory, sqlite_url)
    url = ("--rpc-urls", factory.chain.url)
    done = certindex("verify", *url, database_url=sqlite_url)
    assert done.status == 0, done.err
    assert "unverifiable=0 alarms=0" in done.out
    with indexed(factory, sqlite_url) as chain:
        wrong = chain.levels.blocks(0, 1_000, 9)[-1].number
        chain.execute("UPDATE event SET data = :data WHERE position >> 20 = :number", data=b"\1" * 32, number=wrong)
    done = certindex("verify", "--from", str(wrong), "--to", str(wrong), *url, database_url=sqlite_url)
    assert done.status == 1
    assert f"block {wrong}: WRONGLY_STORED: log 0 is stored with another data than the block's" in done.out
    status = json.loads(certindex("status", "--json", database_url=sqlite_url).out)[0]
    assert (status["alarms"], status["failures"][0]["number"]) == (1, wrong)
    shown = certindex("status", database_url=sqlite_url).out
    assert f"alarm      block {wrong}: log 0 is stored with another data" in shown


def test_the_command_refuses_a_range_that_holds_nothing(
    factory: Factory, sqlite_url: str, certindex: Certindex
) -> None:
    factory.mint()
    index(factory, sqlite_url)
    url = ("--rpc-urls", factory.chain.url)
    with indexed(factory, sqlite_url) as chain:
        final = chain.levels.progress().final
        head = chain.rows("SELECT indexed_number FROM chain")[0][0]
    for options, message in (
        (("--from", "3", "--to", "2"), "--from 3 lies after --to 2."),
        (("--from", str(final + 1)), f"--from {final + 1} lies after block {final}, the last final one."),
        (("--to", str(head + 1)), f"--to {head + 1}: chain 31337 is indexed to block {head}."),
    ):
        done = certindex("verify", *options, *url, database_url=sqlite_url)
        assert (done.status, done.err) == (1, f"certindex: {message}\n")


async def test_a_running_indexer_verifies_behind_its_head(factory: Factory, sqlite_url: str) -> None:
    factory.mint()
    factory.chain.mine(FINALITY)
    opened = await open_chain(settings_for(factory, sqlite_url))
    follower = Follower(opened, 0.1, verify=True, keep_proofs=True)
    running = asyncio.create_task(follower.run())
    chain = Indexed(opened.engine, opened.chain_id)
    try:
        await _judged(chain, running, factory.chain.block_number - FINALITY)
        factory.mint(number=2)
        minted = factory.chain.block_number
        factory.chain.mine(FINALITY)
        await _judged(chain, running, minted)
        assert set(chain.level_of_events()) == {RECEIPTS}
    finally:
        follower.stop()
        await running
        await opened.pool.close()
        opened.engine.dispose()


async def _judged(chain: Indexed, running: "asyncio.Task[None]", number: int) -> None:
    """Waits until the running indexer has judged a block."""
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(chain.levels.progress)).judged < number:
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)


async def test_a_verification_that_breaks_ends_the_indexer_loudly(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.chain.mine(FINALITY)
    opened = await open_chain(settings_for(factory, sqlite_url))

    async def breaks(verifier: Verifier) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Verifier, "advance", breaks)
    with pytest.raises(RuntimeError, match="a defect"):
        await Follower(opened, 0.1, verify=True, keep_proofs=True).run()
    await opened.pool.close()
    opened.engine.dispose()


@pytest.mark.parametrize(("busy", "rest"), [(True, 9 * 0.02), (False, 0)])
async def test_while_there_is_something_to_index_verifying_works_a_tenth_of_the_time(
    factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, busy: bool, rest: float
) -> None:
    factory.chain.mine(FINALITY)
    opened = await open_chain(settings_for(factory, sqlite_url))
    follower = Follower(opened, 60, verify=True, keep_proofs=True)
    rests: list[float] = []

    async def indexes(*_: object) -> Outcome:
        await asyncio.sleep(0.005)
        return IndexedBlocks(1, 1, 0, 0, 9) if busy else UpToDate(9)

    async def works(_: Verifier) -> VerificationCounts:
        return VerificationCounts(seconds=0.02)

    async def rests_for(seconds: float) -> None:
        rests.append(seconds)
        await asyncio.sleep(seconds)

    monkeypatch.setattr("indexer.follower.steps.step", indexes)
    monkeypatch.setattr(Verifier, "advance", works)
    clock = SimpleNamespace(sleep=rests_for, to_thread=asyncio.to_thread)
    monkeypatch.setattr("indexer.follower.verification.asyncio", clock)
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(60):
            while rests[-5:] != [rest] * 5:  # noqa: ASYNC110  # an indexer is busy until its first step has ended
                await asyncio.sleep(0.01)
    finally:
        follower.stop()
        await running
        await opened.pool.close()
        opened.engine.dispose()
    assert set(rests) <= ({rest} if busy else {rest, 9 * 0.02})


def test_ten_thousand_events_are_verified_in_bounded_memory(factory: Factory, sqlite_url: str) -> None:
    for first in range(1, 5_001, 100):
        requests = [mint_request(number=number) for number in range(first, first + 100)]
        factory.send("mintBatch", 1, factory.owner, requests, sender=factory.maker)
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain:
        assert chain.rows("SELECT count(*) FROM event")[0][0] >= 10_000
        tracemalloc.start()
        asyncio.run(_advance_to_the_end(chain, Nodes(factory.chain)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert set(chain.level_of_events()) == {RECEIPTS}
        assert peak < 20_000_000


def test_the_benchmark_measures_what_verification_costs(tmp_path: Path) -> None:
    measured = verification(tmp_path, devices=4)
    assert measured.events > measured.blocks > 0
    assert measured.proof_bytes > 32 * measured.blocks
    assert measured.seconds > 0
