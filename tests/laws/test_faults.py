"""Each fault of a provider by itself: the rows equal those of a clean run, or the indexer stops with the reason."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from indexer.chain.chain import Chain
from indexer.chain.wire import Header, WrongAnswer
from indexer.commands.sync import sync
from indexer.errors import Stop, TryAgain
from indexer.rpc.pool import Pool
from indexer.settings import Settings
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, register
from indexer.sync.interpretation import interpret
from indexer.sync.step import Ahead, Pace, UpToDate, step
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.factory import Anvil, Factory
from tests.support.index.indexing import REFERENCE, engine_of, read_tables
from tests.support.rpc import faults
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, Upstream, of_node
from tests.support.rpc.faults import HARMLESS, LASTING, PASSING

pytestmark = pytest.mark.slow

Tables = dict[str, list[dict[str, Any]]]

DOCUMENT = REPOSITORY / "docs" / "how-it-works" / "faults.md"
MINTED = 12
TIMEOUT = 30.0
"""How long a response may take, in seconds: the machine may be busy."""
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


@pytest.fixture(autouse=True)
def impatience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits no longer than `slow_body` takes, if that is the fault."""
    if "fault" in request.fixturenames and request.node.callspec.params["fault"] is faults.slow_body:
        monkeypatch.setattr("tests.laws.test_faults.TIMEOUT", 2.0)


# A fault that passes


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.__name__)
async def test_a_fault_that_passes_leaves_no_trace(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        struck = proxy.inject(fault, times=3, pause=1)
        assert await index([proxy.url], world, sqlite_url) == undisturbed
        assert struck.struck


# A fault that lasts, and does no harm


@pytest.mark.parametrize("fault", HARMLESS, ids=lambda fault: fault.__name__)
async def test_a_provider_that_is_odd_for_ever_can_be_worked_with(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        struck = proxy.inject(fault)
        assert await index([proxy.url], world, sqlite_url) == undisturbed
        assert struck.struck


@pytest.mark.parametrize("fault", [faults.foreign_bloom, faults.full_bloom], ids=lambda fault: fault.__name__)
async def test_wrong_blooms_change_no_row_if_blooms_are_not_trusted(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        struck = proxy.inject(fault)
        assert await index([proxy.url], world, sqlite_url, trust_bloom=False) == undisturbed
        assert struck.struck


# A fault that lasts


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
    assert "RPC_URLS" in str(caught.value) or not isinstance(caught.value, WrongAnswer), "no way out is named"
    with engine_of(sqlite_url) as engine:
        assert read_tables(engine, world.chain.chain_id)["event"] == []


@pytest.mark.parametrize("fault", [fault for fault, _ in LASTING], ids=lambda fault: fault.__name__)
async def test_a_provider_that_fails_for_ever_is_left_for_another(
    fault: Fault, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as bad, FaultProxy(node) as good:
        pool = patient_pool([bad.url, good.url])
        await pool.check_chain(world.chain.chain_id)
        bad.inject(fault)
        assert await index([], world, sqlite_url, pool=pool) == undisturbed


async def test_a_header_that_contradicts_its_logs_is_requested_from_another_provider_even_a_slow_one(
    world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async def late(exchange: Exchange) -> bool:
        await asyncio.sleep(0.05)
        return False

    async with FaultProxy(node) as bad, FaultProxy(node) as good:
        pool = patient_pool([bad.url, good.url])
        await pool.check_chain(world.chain.chain_id)
        bad.inject(faults.foreign_bloom)
        good.inject(late)
        assert await index([], world, sqlite_url, tries=4, pool=pool) == undisturbed


# A block too big for any answer


def block_too_big(number: int) -> Fault:
    """Returns the fault that every query for logs with this block in it is too big, even of the block alone."""

    def refuse(exchange: Exchange) -> bool:
        blocks = exchange.range or (0, 0)
        by_hash = exchange.query.get("blockHash") if exchange.method == "eth_getLogs" else None
        if not blocks[0] <= number <= blocks[1] and by_hash is None:
            return False
        exchange.refuse("query returned more than 10000 results", code=-32005)
        return True

    return refuse


@pytest.mark.parametrize("also", [None, faults.no_block_receipts, faults.odd_receipts, faults.short_receipts])
async def test_a_block_too_big_for_any_answer_is_read_by_its_receipts(
    also: Fault | None, world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as proxy:
        proxy.inject(block_too_big(6))
        if also is not None:
            proxy.inject(also, times=1)
        assert await index([proxy.url], world, sqlite_url) == undisturbed
        assert "eth_getBlockReceipts" in proxy.calls
        assert ("eth_getTransactionReceipt" in proxy.calls) == (also in (faults.no_block_receipts, faults.odd_receipts))


def fails(method: str) -> Fault:
    """Returns the fault that a gateway in front of the node fails."""

    def fail(exchange: Exchange) -> bool:
        if exchange.method != method:
            return False
        exchange.status, exchange.body = 502, b"bad gateway"
        return True

    return fail


@asynccontextmanager
async def beside_wrong_headers(
    world: Factory, node: Upstream
) -> AsyncIterator[tuple[Chain, Header, FaultProxy, FaultProxy]]:
    """Yields the header of an empty block as a provider of full blooms returns it, which is first in a pool of two."""
    async with FaultProxy(node) as bad, FaultProxy(node) as good, AsyncExitStack() as stack:
        pool = patient_pool([bad.url, good.url])
        stack.push_async_callback(pool.close)
        await pool.check_chain(world.chain.chain_id)
        pool.hosts[1].latency = 60.0  # the pool chooses the quicker one
        chain = Chain(pool, {bytes.fromhex(world.contract.address[2:]): 1}, finality_depth=64)
        bad.inject(faults.full_bloom)
        (header,) = await chain.headers([MINTED])
        assert header.host is pool.hosts[0]
        yield chain, header, bad, good
        assert [host.away is None for host in pool.hosts] == [False, True]


async def test_a_provider_that_fails_for_a_moment_is_not_distrusted_for_the_header_of_another(
    world: Factory, node: Upstream
) -> None:
    async with beside_wrong_headers(world, node) as (chain, header, bad, good):
        bad.inject(faults.no_block_receipts)
        for proxy in (bad, good):
            proxy.inject(block_too_big(MINTED))
        failing = good.inject(fails("eth_getBlockByNumber"), times=1)
        assert await chain.block_logs(header) == []
        assert failing.struck == 1


async def test_a_provider_without_logs_is_not_distrusted_for_the_header_of_another(
    world: Factory, node: Upstream
) -> None:
    async with beside_wrong_headers(world, node) as (chain, header, bad, _):
        bad.inject(fails("eth_getLogs"))
        await chain.check_history(header)


async def test_receipts_that_are_never_whole_stop_the_indexer(world: Factory, node: Upstream, sqlite_url: str) -> None:
    async with FaultProxy(node) as proxy:
        proxy.inject(block_too_big(6))
        proxy.inject(faults.short_receipts)
        with pytest.raises(TryAgain, match="receipts of block 6 do not make up its bloom"):
            await index([proxy.url], world, sqlite_url, tries=1)


# Networks and quorum


async def test_a_provider_of_another_network_is_refused_with_both_ids(node: Upstream) -> None:
    async with FaultProxy(node) as bad, FaultProxy(node) as good:
        bad.inject(faults.wrong_chain_id)
        for expected in (None, 31337):
            pool = patient_pool([good.url, bad.url])
            with pytest.raises(Stop, match="is a node of chain 5, not of chain 31337"):
                await pool.check_chain(expected)
            await pool.close()


async def test_a_provider_that_returns_on_another_network_gets_no_requests(
    world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as bad, FaultProxy(node) as good:
        down = bad.inject(faults.unavailable, times=1)
        bad.inject(faults.wrong_chain_id)
        pool = patient_pool([bad.url, good.url])
        assert await pool.check_chain(None) == 31337
        assert down.struck == 1
        assert await index([], world, sqlite_url, pool=pool) == undisturbed
        assert set(bad.calls) == {"eth_chainId"}


async def test_with_a_quorum_ranges_are_requested_from_different_hosts(
    world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as first, FaultProxy(node) as second:
        pool = patient_pool([first.url, second.url])
        assert await index([], world, sqlite_url, pool=pool, looks=1, quorum=2) == undisturbed
        assert first.calls.count("eth_getLogs") == second.calls.count("eth_getLogs") > 0


@pytest.mark.parametrize("fault", [faults.short_log_list, faults.empty_log_list, faults.rate_limited])
async def test_without_a_quorum_nothing_is_stored(
    fault: Fault, world: Factory, node: Upstream, sqlite_url: str
) -> None:
    async with FaultProxy(node) as first, FaultProxy(node) as second:
        second.inject(fault)
        pool = patient_pool([first.url, second.url])
        with pytest.raises(TryAgain, match=r"Two answers differ on the logs|further provider|HTTP 429"):
            await index([], world, sqlite_url, pool=pool, quorum=2, tries=1)
    with engine_of(sqlite_url) as engine:
        assert read_tables(engine, world.chain.chain_id)["event"] == []


async def test_a_host_with_a_narrow_limit_still_counts_for_the_quorum(
    world: Factory, node: Upstream, undisturbed: Tables, sqlite_url: str
) -> None:
    async with FaultProxy(node) as wide, FaultProxy(node) as narrow:
        narrow.inject(faults.range_hint_with_status_400)
        pool = patient_pool([wide.url, narrow.url])
        assert await index([], world, sqlite_url, pool=pool, quorum=2) == undisturbed


# All at once


async def test_with_one_response_in_twenty_corrupted_the_database_is_that_of_a_clean_run(
    world: Factory, node: Upstream, undisturbed: Tables, database_url: str
) -> None:
    passing = [fault for fault in PASSING if fault is not faults.slow_body]
    # each of these spoils the first response; how many a host sends depends on its latency
    async with FaultProxy(node, seed=31) as first, FaultProxy(node, seed=43) as second:
        struck = [proxy.inject_one_of(passing, share=0.05) for proxy in (first, second)]
        assert await index([first.url, second.url], world, database_url) == undisturbed
        assert min(injection.struck for injection in struck) > 0


async def test_certindex_sync_with_one_response_in_twenty_corrupted_ends_with_the_rows_of_a_clean_run(
    world: Factory, node: Upstream, undisturbed: Tables, database_url: str
) -> None:
    passing = [fault for fault in PASSING if fault is not faults.slow_body]
    async with FaultProxy(node, seed=3) as first, FaultProxy(node, seed=4) as second:
        struck = [proxy.inject_one_of(passing, share=0.05) for proxy in (first, second)]
        address = bytes.fromhex(world.contract.address[2:])
        settings = Settings(
            rpc_urls=(first.url, second.url),
            database_url=database_url,
            contracts=(("certificate", address),),
            start_block=1,
        )
        assert await sync(settings) == 0
        assert sum(injection.struck for injection in struck) > 0
    with engine_of(database_url) as engine:
        assert read_tables(engine, world.chain.chain_id) == undisturbed


# The document


def test_the_document_lists_every_fault_and_its_tests() -> None:
    assert fault_table() in DOCUMENT.read_text(), f"put this into {DOCUMENT.name}:\n{fault_table()}"


def test_every_test_and_fault_that_the_document_names_is_there() -> None:
    text = DOCUMENT.read_text()
    begin, end = text.index("| fault | tested by |"), text.index("## The faults of a provider")
    _, _, *rows = [line for line in text[begin:end].splitlines() if line]
    _, _, *more = text[text.index("| fault | what the API does | tested by |") :].splitlines()
    injected = {fault.__name__ for fault in (*PASSING, *HARMLESS, *(fault for fault, _ in LASTING))}
    for row in (*rows, *more):
        places = re.findall("`([^`]+)`", row.split("|")[-2])
        assert places, f"no test is named: {row}"
        for file, _, test in (place.rpartition("::") for place in places):
            exists = f"def {test}(" in (REPOSITORY / file).read_text() if file else test in injected
            exists = exists or (REPOSITORY / test).is_file()
            assert exists, f"{test} is not there: {row}"


def fault_table() -> str:
    """Returns the Markdown table of docs/how-it-works/faults.md: what each fault is, and where it is injected."""
    lasting = {fault for fault, _ in LASTING}
    groups: Sequence[tuple[str, Collection[Fault]]] = (
        ("passes", PASSING),
        ("lasts, harmless", HARMLESS),
        ("lasts, stop", lasting),
        ("lasts, beside another provider", lasting),
    )
    lines = ["| fault | what the provider does | injected |", "| --- | --- | --- |"]
    for fault in sorted({*PASSING, *HARMLESS, *lasting}, key=lambda fault: fault.__name__):
        where = "; ".join(name for name, group in groups if fault in group)
        lines.append(f"| `{fault.__name__}` | {fault.__doc__} | {where} |")
    return "\n".join(lines)


# Helpers


def patient_pool(urls: Sequence[str]) -> Pool:
    """Returns a pool whose pauses are short."""
    return Pool(urls, timeout=TIMEOUT, jitter=lambda: 0.02)


async def index(
    urls: Sequence[str],
    world: Factory,
    database_url: str,
    *,
    looks: int = 2,
    quorum: int = 1,
    trust_bloom: bool = True,
    tries: int = TRIES,
    pool: Pool | None = None,
) -> Tables:
    """Indexes the chain to its head as it is, and returns the tables. Raises the last of `tries` failures."""
    pool = pool or patient_pool(urls)
    contracts = [WatchedContract("certificate", bytes.fromhex(world.contract.address[2:]), 1, True)]
    try:
        with engine_of(database_url) as engine:
            chain_id = world.chain.chain_id
            with engine.begin() as connection:
                register(connection, chain_id, REFERENCE, contracts)
            lease = Lease(engine, chain_id)
            assert lease.try_acquire() is None
            store, interpretation = Store(engine, chain_id, lease.epoch), interpret(REFERENCE, contracts)
            chain = Chain(
                pool,
                {contracts[0].address},
                finality_depth=64,
                trust_bloom=trust_bloom,
                answers=looks,
                quorum=quorum,
            )
            pace = Pace(blocks=16, side_by_side=2)
            failures = 0
            while True:
                try:
                    outcome = await step(chain, store, interpretation, pace)
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
