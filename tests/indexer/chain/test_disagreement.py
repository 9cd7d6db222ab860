"""Providers that return different logs of final blocks: both answers are stored, reported and in the end resolved."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from eth_utils.crypto import keccak
from sqlalchemy import text

from indexer.chain.disagreement import MOST_LOGS, HostLogs, disagreement
from indexer.chain.wire import RawLog
from indexer.commands.sync import sync
from indexer.errors import TryAgain
from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.opening import open_chain
from indexer.settings import Settings
from indexer.store import Fenced, Store, disagreements
from indexer.store.lease import Lease
from indexer.sync.step import Pace, step
from schema.tables.values import position
from tests.support.api.asking import Api
from tests.support.certindex import Certindex
from tests.support.chain.factory import Anvil, Factory
from tests.support.index.indexing import engine_of, read_table
from tests.support.index.verifying import FINALITY, settings_for
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_node
from tests.support.rpc.faults import empty_log_list, short_log_list

META = """{ _meta { chains { disagreements latestDisagreements {
  firstBlock lastBlock answers { host logCount digest } firstSeenAt lastSeenAt resolvedAt } } } }"""
MINTED = 3


@pytest.fixture(scope="module")
def world() -> Iterator[Factory]:
    """Three devices in final blocks."""
    with Anvil() as chain:
        factory = Factory(chain)
        for number in range(MINTED):
            factory.mint(number=number + 1)
        chain.mine(FINALITY)
        yield factory


@asynccontextmanager
async def providers(world: Factory, count: int) -> AsyncIterator[list[FaultProxy]]:
    upstream = of_node(world.chain.url)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FaultProxy(upstream)) for _ in range(count)]


def settings_of(world: Factory, proxies: Sequence[FaultProxy], database_url: str) -> Settings:
    return settings_for(world, database_url, rpc_urls=tuple(proxy.url for proxy in proxies), quorum=2)


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[tuple[Any, Store]]:
    """A life of an indexer: what it works with, and the store that it writes."""
    opened = await open_chain(settings)
    lease = Lease(opened.engine, opened.chain_id)
    try:
        assert lease.try_acquire() is None
        yield opened, opened.store(lease)
    finally:
        lease.release()
        await opened.pool.close()
        opened.engine.dispose()


def rows(database_url: str) -> list[dict[str, Any]]:
    with engine_of(database_url) as engine, engine.begin() as connection:
        found = connection.execute(text("SELECT * FROM disagreement ORDER BY disagreement_no"))
        return [dict(row) for row in found.mappings()]


def host(proxy: FaultProxy) -> str:
    return proxy.url.split("/")[2]


def logs_of(world: Factory) -> list[dict[str, Any]]:
    """Return all logs as the node words them, without what only some nodes tell."""
    told = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "transactionIndex", "logIndex")
    return [{key: log[key] for key in told} for log in world.chain.logs(world.contract.address)]


async def test_a_difference_stops_the_indexer_and_is_kept_with_both_answers(world: Factory, database_url: str) -> None:
    async with providers(world, 2) as (honest, liar):
        liar.inject(short_log_list)
        settings = settings_of(world, (honest, liar), database_url)
        async with opened_store(settings) as (opened, store):
            with pytest.raises(TryAgain, match=f"Two answers differ .*from {host(honest)}") as told:
                await step(opened.chain, store, opened.interpretation, Pace())
            assert store.checkpoint().number == -1
        assert "a-secret-key" not in str(told.value)
        [row] = rows(database_url)
        whole = logs_of(world)
        last = int(whole[-1]["blockNumber"], 16)
        in_block = [log for log in whole if log["blockNumber"] == whole[-1]["blockNumber"]]
        assert (row["first_block"], row["last_block"], row["resolved_at"]) == (last, last, None)
        answers = {
            row["host"]: (row["logs"], row["log_count"], row["digest"]),
            row["other_host"]: (row["other_logs"], row["other_log_count"], row["other_digest"]),
        }
        assert {name: json.loads(logs) for name, (logs, _, _) in answers.items()} == {
            host(honest): in_block,
            host(liar): in_block[:-1],
        }
        for logs, count, digest in answers.values():
            assert (count, bytes(digest)) == (len(json.loads(logs)), keccak(text=logs))


async def test_status_metrics_and_meta_tell_of_it_until_it_is_resolved(
    world: Factory, database_url: str, certindex: Certindex
) -> None:
    async with providers(world, 2) as (honest, liar):
        liar.inject(empty_log_list)
        settings = settings_of(world, (honest, liar), database_url)
        async with opened_store(settings) as (opened, store):
            with pytest.raises(TryAgain):
                await step(opened.chain, store, opened.interpretation, Pace())
            assert metric(opened) == {"open": 1, "resolved": 0}
        told = certindex("status", database_url=database_url).out
        first = int(logs_of(world)[0]["blockNumber"], 16)
        assert f"disagree   on blocks {first}.." in told
        assert f"{host(liar)} gave 0" in told or f"{host(liar)} 0" in told
        [found] = (await meta(database_url))["latestDisagreements"]
        assert {answer["host"]: answer["logCount"] for answer in found["answers"]} == {
            host(honest): str(len(logs_of(world))),
            host(liar): "0",
        }
        assert (found["firstBlock"], found["resolvedAt"]) == (str(first), None)
        liar.injections.clear()
        assert await sync(settings) == 0
        [row] = rows(database_url)
        assert row["resolved_at"] >= row["last_seen_at"] >= row["first_seen_at"]
        async with opened_store(settings) as (opened, _):
            assert metric(opened) == {"open": 0, "resolved": 1}
        told = certindex("status", database_url=database_url).out
        assert "disagreed 1 times" in told
        assert "disagree   on" not in told
        after = await meta(database_url)
        assert after["disagreements"] == "1"
        assert after["latestDisagreements"][0]["resolvedAt"] is not None


def metric(opened: Any) -> dict[str, float]:
    collector = ChainCollector(opened.engine, opened.chain_id, opened.pool, Counters())
    [family] = [family for family in collector.collect() if family.name == "certindex_disagreements"]
    return {sample.labels["state"]: sample.value for sample in family.samples}


async def meta(database_url: str) -> dict[str, Any]:
    api = Api(database_url)
    found: dict[str, Any] = (await api.ask(META))["_meta"]["chains"][0]
    api.engine.dispose()
    return found


async def test_one_liar_among_three_is_outvoted_and_named(world: Factory, database_url: str) -> None:
    liars: list[FaultProxy] = []

    def whoever_is_asked_first(proxy: FaultProxy) -> Fault:
        def lie(exchange: Exchange) -> bool:
            if not liars and exchange.range and exchange.result:
                liars.append(proxy)
            return proxy in liars and short_log_list(exchange)

        return lie

    async with providers(world, 3) as proxies:
        for proxy in proxies:
            proxy.inject(whoever_is_asked_first(proxy))
        await sync(settings_of(world, proxies, database_url))
    with engine_of(database_url) as engine:
        assert len(read_table(engine, 31337, "event")) == len(logs_of(world))
    [row] = rows(database_url)
    assert host(liars[0]) in (row["host"], row["other_host"])
    assert row["resolved_at"] is not None


async def test_one_host_that_contradicts_itself_is_no_disagreement(world: Factory, sqlite_url: str) -> None:
    async with providers(world, 1) as (proxy,):
        struck = proxy.inject(short_log_list, times=1)
        settings = settings_for(world, sqlite_url, rpc_urls=(proxy.url,), looks=2)
        assert await sync(settings) == 0
        assert struck.struck == 1
    assert rows(sqlite_url) == []


async def test_a_writer_that_was_replaced_notes_no_disagreement(world: Factory, database_url: str) -> None:
    async with opened_store(settings_for(world, database_url)) as (opened, store):
        with opened.engine.begin() as connection:
            connection.execute(text("UPDATE chain SET writer_epoch = writer_epoch + 1"))
        with pytest.raises(Fenced):
            store.note_disagreements([disagreement(HostLogs("a", [log(1)]), HostLogs("b", []))])
    assert rows(database_url) == []


async def test_every_other_difference_is_another_row_and_the_newest_are_kept(
    world: Factory, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disagreements, "KEPT", 10)
    async with opened_store(settings_for(world, database_url)) as (_, store):
        found = [disagreement(HostLogs("a", [log(number)]), HostLogs("b", [])) for number in range(1, 14)]
        store.note_disagreements(found)
        store.note_disagreements(found[-1:])
        store.note_disagreements([disagreement(HostLogs("a", [log(13, index=1)]), HostLogs("b", []))])
    kept = rows(database_url)
    assert [row["first_block"] for row in kept] == [*range(5, 14), 13]


# What is kept of two answers


def log(number: int, index: int = 0) -> RawLog:
    return RawLog(position(number, index), bytes(20), bytes(64), b"\x07", bytes(32), 0, None, number, bytes([1] * 32))


def test_two_answers_are_kept_from_the_first_block_that_differs_to_the_last() -> None:
    one = HostLogs("b", [log(1), log(2), log(3), log(4), log(5)])
    other = HostLogs("a", [log(1), log(2, index=1), log(3), log(5)])
    found = disagreement(one, other)
    assert (found.first, found.last) == (2, 4)
    assert found.answer == HostLogs("a", [log(2, index=1), log(3)])
    assert found.other == HostLogs("b", [log(2), log(3), log(4)])
    assert disagreement(other, one) == found


def test_of_long_answers_a_thousand_logs_are_kept_and_of_one_block_all() -> None:
    thin = HostLogs("a", [log(number) for number in range(2 * MOST_LOGS)])
    assert (disagreement(thin, HostLogs("b", [])).first, disagreement(thin, HostLogs("b", [])).last) == (
        0,
        MOST_LOGS - 1,
    )
    thick = HostLogs("a", [*(log(7, index) for index in range(MOST_LOGS + 5)), log(8)])
    found = disagreement(thick, HostLogs("b", []))
    assert (found.first, found.last, len(found.answer.logs)) == (7, 7, MOST_LOGS + 5)
