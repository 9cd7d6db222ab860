"""An indexer that waits for its first provider serves metrics and stores the failure."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from sqlalchemy import Engine, text

from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.observe.startup_failure import StartupFailure
from indexer.rpc.pool import Pool
from indexer.store import lease
from indexer.store.lease import Lease
from tests.support.chain.fakechain import FakeNode
from tests.support.index.indexing import Indexer
from tests.support.processes import caught_up, free_ports, labels, metric, samples, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

ELSEWHERE = "another-machine:1:0a0b0c0d-11223344"
DEAD = "http://127.0.0.1:9/a-secret-key"
ERROR = "the provider is away"
COMPARED: dict[str, Callable[[Sample], Any]] = {
    "indexed_block": lambda sample: sample.value,
    "failing_block": lambda sample: sample.value,
    "failing_seconds": lambda sample: sample.value // 100 * 100,
    "failing": lambda sample: sample.labels["error"],
    "waiting": lambda sample: sample.labels["not_stored"],
}
"""How the value of each compared metric is read."""
WITHOUT_A_CHAIN = {
    "chain": "unknown",
    "not_stored": "The database holds no chain yet: certindex run or sync begins one",
}
CALM = {"indexed_block": 3, "failing_seconds": 0}


def test_metrics_are_served_before_a_provider_has_ever_answered_and_then_those_of_the_chain(sqlite_url: str) -> None:
    node, [metrics, dead] = FakeNode(finality=2), free_ports(2)
    node.mine_blocks(4)
    with indexers(sqlite_url, RPC_URLS=f"http://127.0.0.1:{dead}/a-secret-key", METRICS_PORT=str(metrics)) as start:
        indexer = start()
        until(lambda: "not begun" in indexer.last_output, "the first attempt", indexer)
        until(lambda: labels(metrics, "certindex_waiting") == [WITHOUT_A_CHAIN], "the metrics to show it", indexer)
        [failing] = labels(metrics, "certindex_failing")
        assert (failing["chain"], failing["stopped"]) == ("unknown", "no")
        assert f"127.0.0.1:{dead}/... did not answer eth_chainId" in failing["error"]
        assert metric(metrics, "certindex_failing_seconds") >= 0
        unstored = "failure not stored, so that readers do not see it: The database holds no chain"
        until(lambda: unstored in indexer.last_output, "the log", indexer)
        assert metric(metrics, "certindex_writing") == 0
        assert samples(metrics, "certindex_waits_for")["unknown node"] == 1
        assert samples(metrics, "certindex_head_block") == samples(metrics, "certindex_indexed_block") == {}
        assert sum(samples(metrics, "certindex_rpc_errors_total").values()) >= 1

        with Provider(of_fake(node), port=dead):
            until(lambda: caught_up(sqlite_url, node), "the index", indexer)
            until(lambda: metric(metrics, "certindex_writing"), "it to write", indexer)
            assert samples(metrics, "certindex_head_block") == {str(node.chain_id): node.head.number}
            assert labels(metrics, "certindex_waiting") == labels(metrics, "certindex_failing") == []
            assert metric(metrics, "certindex_failing_seconds") == 0
            until(lambda: samples(metrics, "certindex_waits_for")[f"{node.chain_id} nothing"], "it to be idle", indexer)


def test_the_wait_is_stored_in_the_row_of_a_chain_without_a_writer_and_reported_from_there(
    fresh_engine: Engine,
) -> None:
    node = indexed(fresh_engine)
    failure = StartupFailure(fresh_engine, None)
    assert (collect(failure), failure.chain_id) == (CALM | {"waiting": "not tried yet"}, node.chain_id)
    failure.failed("the first words")
    first = row(fresh_engine, node)
    assert abs(first["failing_since"] - time.time()) < 60
    set_column(
        fresh_engine, node, "failing_since", first["failing_since"] - 100
    )  # as if another process had waited before
    failure.failed(ERROR)
    assert row(fresh_engine, node) | {"writer_epoch": 0} == {
        "writer": None,
        "writer_epoch": 0,
        "failing_since": first["failing_since"] - 100,
        "last_error": ERROR,
        "stopped": False,
    }
    assert collect(failure) == {
        "waiting": "",
        "indexed_block": 3,
        "failing": ERROR,
        "failing_seconds": 100,
        "failing_block": 4,
    }


def test_the_wait_is_not_noted_where_another_indexer_writes_and_the_log_and_the_metrics_say_so(
    fresh_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    node = indexed(fresh_engine)
    holder = Lease(fresh_engine, node.chain_id)
    assert holder.try_acquire() is None
    before = row(fresh_engine, node)
    failure = StartupFailure(fresh_engine, None)
    for _ in range(3):
        failure.failed(ERROR)
        holder.beat()
    assert row(fresh_engine, node) == before
    why = f"{holder.name} writes chain {node.chain_id}, or did so until a moment ago"
    assert collect(failure) == CALM | {"waiting": why, "failing": ERROR}
    [message] = [record.getMessage() for record in caplog.records if "failure not stored" in record.getMessage()]
    assert message == f"failure not stored, so that readers do not see it: {why}"


def test_the_wait_is_noted_once_the_last_writer_on_another_machine_gives_no_sign_of_life(
    fresh_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = indexed(fresh_engine)
    set_column(fresh_engine, node, "writer", ELSEWHERE)
    monkeypatch.setattr(lease, "DEAD_AFTER_SECONDS", 0.2)
    failure = StartupFailure(fresh_engine, None)
    failure.failed(ERROR)
    assert (row(fresh_engine, node)["writer"], row(fresh_engine, node)["failing_since"]) == (ELSEWHERE, None)
    assert collect(failure)["waiting"].startswith(f"{ELSEWHERE} writes chain ")
    time.sleep(0.2)
    failure.failed(ERROR)
    assert (row(fresh_engine, node)["writer"], row(fresh_engine, node)["last_error"]) == (None, ERROR)
    assert Lease(fresh_engine, node.chain_id).try_acquire() is None, "whoever has a provider begins at once"


def test_of_several_chains_the_one_that_is_waited_for_must_be_named(fresh_engine: Engine) -> None:
    first, second = indexed(fresh_engine), indexed(fresh_engine)
    failure = StartupFailure(fresh_engine, None)
    failure.failed(ERROR)
    assert row(fresh_engine, first)["last_error"] is row(fresh_engine, second)["last_error"] is None
    assert collect(failure) == {
        "waiting": f"The database holds 2 chains ({first.chain_id}, {second.chain_id}). Name one of them. "
        "Example: CHAIN_ID=137",
        "failing": ERROR,
        "failing_seconds": 0,
    }
    named = StartupFailure(fresh_engine, second.chain_id)
    named.failed(ERROR)
    assert (row(fresh_engine, first)["last_error"], row(fresh_engine, second)["last_error"]) == (None, ERROR)
    absent = StartupFailure(fresh_engine, 5)
    absent.failed(ERROR)
    assert collect(absent)["waiting"].startswith("CHAIN_ID=5: the database holds no such chain")


def indexed(engine: Engine) -> FakeNode:
    """Returns the node of a chain whose only indexer ended in order after three blocks."""
    node = FakeNode(finality=2)
    node.mine_blocks(3)
    indexer = Indexer(engine, node)
    indexer.lease.release()
    set_column(engine, node, "indexed_number", 3)
    return node


def row(engine: Engine, node: FakeNode) -> dict[str, Any]:
    statement = "SELECT writer, writer_epoch, failing_since, last_error, stopped FROM chain WHERE chain_id = :chain_id"
    with engine.begin() as connection:
        return dict(connection.execute(text(statement), {"chain_id": node.chain_id}).mappings().one())


def set_column(engine: Engine, node: FakeNode, column: str, value: object) -> None:
    with engine.begin() as connection:
        statement = f"UPDATE chain SET {column} = :value WHERE chain_id = :chain_id"
        connection.execute(text(statement), {"value": value, "chain_id": node.chain_id})


def collect(failure: StartupFailure) -> dict[str, Any]:
    """Returns the metrics while the indexer waits for a provider; seconds in whole hundreds."""
    registry = CollectorRegistry()
    registry.register(ChainCollector(failure.engine, None, Pool([DEAD]), Counters(), failure))
    return {
        name: value_of(sample)
        for family in registry.collect()
        for sample in family.samples
        for name, value_of in COMPARED.items()
        if sample.name == f"certindex_{name}"
    }
