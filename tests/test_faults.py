"""Every fault of a provider, alone: the rows are those of an undisturbed run, or the indexer stops and says why."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from indexer.chain import Chain
from indexer.errors import TryAgain
from indexer.opening import open_store
from indexer.rpc import Pool
from indexer.store.lease import Lease
from indexer.store.watch import WatchedContract, register
from indexer.sync import Ahead, Pace, UpToDate, step
from tests import faultproxy as faults
from tests.chain import Anvil, Factory
from tests.faultproxy import Fault, FaultProxy, Upstream, of_node
from tests.indexing import REFERENCE, engine_of, read_tables

Tables = dict[str, list[dict[str, Any]]]

MINTED = 12
TRIES = 60


@pytest.fixture(scope="module")
def world() -> Iterator[Factory]:
    """A chain with events in its final blocks and above them, some of several logs, and empty blocks in between."""
    with Anvil() as chain:
        factory = Factory(chain)
        for number in range(1, MINTED // 2):
            factory.mint(number=number)
        chain.mine(40)
        for number in range(MINTED // 2, MINTED):
            factory.mint(number=number)
            factory.send("authorizeUser", number - 1, factory.user, "Fleet Ltd", 3, 0)
        chain.mine(20)
        factory.mint(number=MINTED)
        factory.send("transferFrom", factory.owner, factory.user, 1)
        yield factory


@pytest.fixture(scope="module")
def node(world: Factory) -> Upstream:
    return of_node(world.chain.url)


@pytest.fixture(scope="module")
def undisturbed(world: Factory, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    url = f"sqlite:///{tmp_path_factory.mktemp('undisturbed') / 'clean.db'}"
    return asyncio.run(index([world.chain.url], world, url, looks=1))


# A fault that passes


PASSING: Sequence[Fault] = [
    faults.short_log_list,
    faults.empty_log_list,
    faults.logs_of_another_block_hash,
    faults.logs_of_two_hashes,
    faults.duplicated_log_index,
    faults.log_outside_the_range,
    faults.log_outside_the_filter,
    faults.removed_log,
    faults.header_of_another_backend,
    faults.null_block,
    faults.missing_logs_bloom,
    faults.missing_field,
    faults.foreign_bloom,
    faults.head_going_backwards,
    faults.lagging_logs_answered_empty,
    faults.lagging_logs_answered_by_an_error,
    faults.pruned_history_answered_empty,
    faults.pruned_history_answered_by_an_error,
    faults.error_with_status_200,
    faults.too_many_results,
    faults.range_hint_with_status_400,
    faults.range_hint_with_status_429,
    faults.range_suggested,
    faults.unknown_text_for_long_ranges,
    faults.rate_limited,
    faults.rate_limited_with_retry_after,
    faults.unavailable,
    faults.html_with_status_200,
    faults.batch_reply,
    faults.answer_to_another_request,
    faults.invalid_utf8,
    faults.truncated_body,
    faults.truncated_json,
    faults.slow_body,
    faults.hex_with_leading_zeros,
    faults.upper_case_hex,
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.__name__)
async def test_a_fault_that_passes_leaves_no_trace(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        struck = proxy.inject(fault, times=3, pause=1)
        assert await index([proxy.url], world, sqlite_url) == undisturbed
        assert struck.struck


# A fault that lasts, and does no harm


HARMLESS: Sequence[Fault] = [
    faults.missing_logs_bloom,
    faults.hex_with_leading_zeros,
    faults.upper_case_hex,
    faults.too_many_results,
    faults.range_hint_with_status_400,
    faults.range_hint_with_status_429,
    faults.range_suggested,
    faults.unknown_text_for_long_ranges,
]


@pytest.mark.parametrize("fault", HARMLESS, ids=lambda fault: fault.__name__)
async def test_a_provider_that_is_odd_for_ever_can_be_worked_with(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        struck = proxy.inject(fault)
        assert await index([proxy.url], world, sqlite_url) == undisturbed
        assert struck.struck


# A fault that lasts


LASTING: Sequence[tuple[Fault, str]] = [
    (faults.empty_log_list, "A range with block 2 came back empty, though that block holds logs"),
    (faults.logs_of_another_block_hash, "the node answers from two branches"),
    (faults.logs_of_two_hashes, "logs of two blocks of height"),
    (faults.duplicated_log_index, "gave log 0 of block .* twice"),
    (faults.log_outside_the_range, "the node gave one of 1048575"),
    (faults.log_outside_the_filter, "0xabab.*, which was not asked for"),
    (faults.removed_log, "a log that a reorg removed"),
    (faults.header_of_another_backend, "the node switched branches"),
    (faults.null_block, "no latest block"),
    (faults.missing_field, "missing required field `receiptsRoot`"),
    (faults.foreign_bloom, "bloom excludes"),
    (faults.lagging_logs_answered_by_an_error, "block range extends beyond current head block"),
    (faults.pruned_history_answered_by_an_error, "pruned history unavailable"),
    (faults.error_with_status_200, "Internal error"),
    (faults.rate_limited, r"\(HTTP 429\): slow down"),
    (faults.unavailable, "503 Service Temporarily Unavailable"),
    (faults.html_with_status_200, "no JSON-RPC: .*Welcome to nginx"),
    (faults.batch_reply, "no JSON-RPC"),
    (faults.answer_to_another_request, "the answer to another request"),
    (faults.invalid_utf8, "no JSON-RPC"),
    (faults.truncated_body, "did not answer"),
    (faults.truncated_json, "no JSON-RPC"),
    (faults.slow_body, "did not answer .*Timeout"),
    (faults.invalid_key, r"\(HTTP 401\): invalid api key: \*\*\*"),
]


@pytest.mark.parametrize(("fault", "words"), LASTING, ids=lambda part: getattr(part, "__name__", ""))
async def test_a_fault_that_lasts_stops_the_indexer_with_the_reason_and_without_a_row(
    fault: Fault, words: str, world: Factory, node: Upstream, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        pool = patient_pool([proxy.url])
        proxy.inject(fault)
        with pytest.raises(TryAgain, match=words) as caught:
            await index([proxy.url], world, sqlite_url, tries=1, pool=pool)
    assert "a-secret-key" not in str(caught.value)
    with engine_of(sqlite_url) as engine:
        assert read_tables(engine, world.chain.chain_id)["event"] == []


@pytest.mark.parametrize("fault", [fault for fault, _ in LASTING], ids=lambda fault: fault.__name__)
async def test_a_provider_that_fails_for_ever_is_left_for_another(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as bad, FaultProxy(node) as good:
        pool = patient_pool([bad.url, good.url])
        await pool.chain_id(world.chain.chain_id)
        bad.inject(fault)
        assert await index([], world, sqlite_url, pool=pool) == undisturbed


# Helpers


def patient_pool(urls: Sequence[str]) -> Pool:
    """Return a pool whose pauses are short; four tenths of a second is its patience with an answer."""
    return Pool(urls, timeout=0.4, jitter=lambda: 0.02)


async def index(
    urls: Sequence[str],
    world: Factory,
    database_url: str,
    *,
    looks: int = 2,
    quorum: int = 1,
    tries: int = TRIES,
    pool: Pool | None = None,
) -> Tables:
    """Index the chain to its head as it is, and return the tables. Raises the last of `tries` failures."""
    pool = pool or patient_pool(urls)
    contracts = [WatchedContract("certificate", bytes.fromhex(world.contract.address[2:]), 1, True)]
    try:
        with engine_of(database_url) as engine:
            chain_id = world.chain.chain_id
            with engine.begin() as connection:
                register(connection, chain_id, REFERENCE, contracts)
            lease = Lease(engine, chain_id)
            assert lease.try_acquire() is None
            store = open_store(engine, chain_id, REFERENCE, contracts, lease)
            chain = Chain(pool, {contracts[0].address}, finality_depth=64, looks=looks, quorum=quorum)
            pace = Pace(blocks=16, side_by_side=2)
            failures = 0
            while True:
                try:
                    outcome = await step(chain, store, pace)
                except TryAgain:
                    failures += 1
                    if failures >= tries:
                        raise
                    await asyncio.sleep(0.01)
                    continue
                if isinstance(outcome, UpToDate):
                    return read_tables(engine, chain_id)
                assert not isinstance(outcome, Ahead) or failures < tries
    finally:
        await pool.close()
