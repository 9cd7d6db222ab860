"""START_BLOCK above the head: what reports the state of the index says what it waits for."""

import json
import logging

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.settings import Settings
from indexer.follower.steps import log_outcome
from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.rpc.pool import Pool
from indexer.sync.step import Ahead
from schema.tables.database import connect
from tests.support.api.server import CLIENT, serving
from tests.support.certindex import Certindex
from tests.support.chain.factory import Factory


def readiness(address: str) -> tuple[int, list[str]]:
    answer: httpx.Response = CLIENT.get(f"{address}/readyz")
    return answer.status_code, answer.json()["reasons"]


def samples(database_url: str) -> dict[str, float | None]:
    """Returns the metrics of the start; None for one that is absent."""
    engine = connect(database_url)
    registry = CollectorRegistry()
    registry.register(ChainCollector(engine, 31337, Pool(["http://127.0.0.1:1"]), Counters()))
    names = ("certindex_blocks_to_start", "certindex_behind_seconds")
    values = {name: registry.get_sample_value(name, {"chain": "31337"}) for name in names}
    engine.dispose()
    return values


def test_a_start_block_above_the_head_is_reported_everywhere_until_the_chain_reaches_it(
    factory: Factory, database_url: str, certindex: Certindex
) -> None:
    head = factory.chain.block_number
    start = head + 10
    text = (
        f"the first block to index (START_BLOCK) is {start}, 10 blocks above the head, block {head}: "
        "indexing begins when the chain reaches it"
    )
    options = (
        *("--rpc-urls", factory.chain.url, "--contracts", f"certificate={factory.contract.address}"),
        *("--start-block", str(start)),
    )
    done = certindex("sync", *options, database_url=database_url)
    assert (done.status, f"nothing to index yet: {text}" in done.out) == (0, True), done.out
    status = certindex("status", database_url=database_url)
    assert f"  indexed    nothing: {text}\n" in status.out
    [chain] = json.loads(certindex("status", "--json", database_url=database_url).out)
    assert chain["blocks_to_start"] == 10
    assert samples(database_url) == {"certindex_blocks_to_start": 10, "certindex_behind_seconds": None}
    with serving(Settings(database_url=database_url)) as address:
        assert readiness(address) == (503, [f"Chain 31337: {text}."])
        answer = CLIENT.post(f"{address}/graphql", json={"query": "{ _meta { chains { synced } } }"})
        assert answer.json()["data"]["_meta"]["chains"] == [{"synced": False}]

        factory.chain.mine(9)
        factory.mint()
        done = certindex("sync", *options, database_url=database_url)
        assert "nothing to index yet" not in done.out
        assert readiness(address) == (200, [])
    assert samples(database_url)["certindex_blocks_to_start"] == 0
    status = certindex("status", database_url=database_url)
    assert f"  indexed    block {factory.chain.block_number} of " in status.out


def test_the_log_names_the_start_block_in_place_of_a_node_that_lags(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "certindex"):
        log_outcome(Ahead(999, 10), 0.1, 999)
        log_outcome(Ahead(1200, 1199), 0.1, 999)
    assert "waiting: the first block to index (START_BLOCK) is 1000, 990 blocks above the head" in caplog.text
    assert caplog.text.count("node lags") == 1
