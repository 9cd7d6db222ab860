"""The indexer's metrics: each is documented, and has the right value."""

import asyncio
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, event, text

from api.delivery.metrics import METRICS as DELIVERY_METRICS
from api.http.metrics import METRICS as API_METRICS
from indexer.errors import TryAgain
from indexer.observe.counters import Counters
from indexer.observe.metrics import METRICS, ChainCollector
from indexer.rpc.pool import Pool
from indexer.store.timings import TRANSACTIONS
from indexer.sync.step import Indexed, RolledBack, UpToDate
from schema.program.metrics import Described, serve_metrics
from schema.program.settings import SettingsError
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.index.indexing import Indexer

DOCUMENT = REPOSITORY / "docs" / "reference" / "metrics.md"
NODE = "https://rpc.example/a-secret-key"

Samples = dict[str, dict[str, float]]
"""By the sample's name: values by their labels, the chain's left out."""


async def collect(engine: Engine, counters: Counters) -> Samples:
    node = FakeNode(finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=7))
    node.mine_blocks(4)
    unreadable = replace(emitted("FirmwareUpdated", tokenId=7, toVersion="2.0.0"), data=b"")
    node.mine(unreadable)
    indexer = Indexer(engine, node)
    indexer.store.timings = counters.timings
    await indexer.catch_up()
    node.reorg(1, [unreadable])
    await indexer.catch_up()
    node.mine_blocks(3)
    pool = Pool([NODE])
    pool.hosts[0].counts["eth_getLogs"].answered(0.02)
    pool.hosts[0].counts["eth_getLogs"].failed("BackOff")
    with serve_metrics([ChainCollector(engine, node.chain_id, pool, counters)], "127.0.0.1", 0) as port:
        text = await asyncio.to_thread(read, f"http://127.0.0.1:{port}/metrics")
    assert "secret" not in text
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if family.name.startswith(("process_", "python_")):
                continue
            assert sample.labels.pop("chain") == str(node.chain_id)
            samples.setdefault(sample.name, {})[
                " ".join(value for _, value in sorted(sample.labels.items(), key=place))
            ] = sample.value
    return samples


def place(label: tuple[str, str]) -> int:
    return ("host", "method", "error", "outcome", "cause", "state", "kind", "transaction", "what", "le").index(label[0])


def read(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


async def test_the_metrics_report_the_state_of_the_chain_and_the_work_done(fresh_engine: Engine) -> None:
    counters = Counters()
    counters.succeeded(Indexed(1, 10, 7, 5, 12), 0.2, 2_000)
    counters.succeeded(RolledBack(8, 10, 3), 0.1, 2_000)
    counters.succeeded(UpToDate(10), 0.01, 2_000)
    counters.failed(TryAgain("no"), 400.0)
    samples = await collect(fresh_engine, counters)
    expected = {
        "certindex_indexed_block": 6,
        "certindex_head_block": 6,
        "certindex_finalized_block": 4,
        "certindex_behind_blocks": 0,
        "certindex_failing_seconds": 0,
        "certindex_backfilled": 1,
        "certindex_judged_block": -1,
        "certindex_contracts": 1,
        "certindex_rebuild_due": 0,
        "certindex_range_blocks": 2_000,
        "certindex_blocks_total": 10,
        "certindex_undecodable_logs": 1,
        "certindex_rolled_back_rows_total": 2,
        "certindex_facts_total": 5,
        "certindex_rolled_back_events_total": 3,
        "certindex_step_seconds_count": 4,
        "certindex_reorg_blocks_count": 1,
        "certindex_reorg_blocks_sum": 2,
    }
    assert {name: samples[name][""] for name in expected} == expected
    causes = ("UNKNOWN_FORM", "NO_EVIDENCE", "CONTRADICTED", "WRONGLY_STORED")
    assert samples["certindex_unverified_blocks"] == dict.fromkeys(causes, 0)
    assert samples["certindex_waits_for"] == {"node": 0, "database": 0, "lease": 1, "nothing": 0}, "it has no lease"
    assert samples["certindex_disagreements"] == {"open": 0, "resolved": 0}
    assert samples["certindex_steps_total"] == {"Indexed": 1, "RolledBack": 1, "UpToDate": 1, "TryAgain": 1}
    assert samples["certindex_step_seconds_bucket"]["300.0"] == 3
    assert samples["certindex_events_total"] == {"DEVICE_TRANSFERRED": 1, "UNDECODABLE": 2}
    assert {name: samples["certindex_database_seconds_count"][name] > 0 for name in TRANSACTIONS} == dict.fromkeys(
        TRANSACTIONS, True
    )
    host = "https://rpc.example/..."
    assert samples["certindex_rpc_requests_total"] == {f"{host} eth_getLogs": 1}
    assert samples["certindex_rpc_errors_total"] == {f"{host} eth_getLogs BackOff": 1}
    assert samples["certindex_rpc_seconds_bucket"][f"{host} eth_getLogs 0.025"] == 1
    assert samples["certindex_rpc_seconds_bucket"][f"{host} eth_getLogs 0.01"] == 0
    assert samples["certindex_rpc_away"] == {host: 0}


async def test_a_step_waits_for_the_node_and_for_the_database(fresh_engine: Engine) -> None:
    node = FakeNode()
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=7))
    indexer = Indexer(fresh_engine, node)
    timings, waits = indexer.store.timings, []
    node.before_call = lambda _: waits.append(timings.waits_for)
    event.listen(fresh_engine, "begin", lambda _: waits.append(timings.waits_for))
    await indexer.catch_up()
    assert [what for what, _ in groupby(waits)][:3] == ["database", "node", "database"]
    assert timings.waits_for == "node"


async def test_a_database_that_fails_is_reported_beside_metrics_that_need_none(fresh_engine: Engine) -> None:
    counters = Counters()
    await collect(fresh_engine, counters)
    with fresh_engine.begin() as connection:
        connection.execute(text("ALTER TABLE chain RENAME TO lost"))
    registry = CollectorRegistry()
    registry.register(ChainCollector(fresh_engine, FakeNode().chain_id, Pool([NODE]), counters))
    samples = {sample.name: sample for family in registry.collect() for sample in family.samples}
    failing = samples["certindex_failing"]
    assert failing.labels["error"].startswith("the database failed: ")
    assert "chain" in failing.labels["error"]
    assert samples["certindex_rpc_away"].value == 0
    assert "certindex_indexed_block" not in samples


async def test_every_metric_is_collected_under_the_name_it_is_described_by(fresh_engine: Engine) -> None:
    node = FakeNode()
    Indexer(fresh_engine, node)
    registry = CollectorRegistry()
    registry.register(ChainCollector(fresh_engine, node.chain_id, Pool([NODE]), Counters()))
    collected = {(family.name, family.type, family.documentation) for family in registry.collect()}
    assert collected == {(metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in METRICS}


@pytest.mark.parametrize("metrics", [METRICS, API_METRICS, DELIVERY_METRICS])
def test_the_document_describes_every_metric(metrics: Sequence[Described]) -> None:
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    table = "\n".join(lines)
    assert table in DOCUMENT.read_text(), table


def test_a_port_that_is_taken_is_reported_with_the_remedy(fresh_engine: Engine) -> None:
    node = FakeNode()
    Indexer(fresh_engine, node)
    collector = ChainCollector(fresh_engine, node.chain_id, Pool([NODE]), Counters())
    with (
        serve_metrics([collector], "127.0.0.1", 0) as port,
        pytest.raises(SettingsError, match=f"METRICS_PORT={port} cannot .* Set another: METRICS_PORT=9100"),
        serve_metrics([collector], "127.0.0.1", port),
    ):
        pass
