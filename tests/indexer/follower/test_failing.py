"""While steps fail, status, metrics, API and logs report since when, at which block and why; then indexing goes on."""

import json
import time
from typing import Any

import httpx

from api.settings import Settings as ApiSettings
from tests.support.api.server import serving
from tests.support.certindex import Certindex
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.databases import NewDatabase
from tests.support.index.indexing import engine_of, index_afresh, read_tables
from tests.support.processes import caught_up, free_ports, labels, metric, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.faults import ARCHIVE_ON_FIRE, archive_on_fire
from tests.support.rpc.provider import Provider, indexers

META = "{ _meta { chains { failingSince failingBlock lastError indexed { number } } } }"


def test_a_failing_step_is_reported_everywhere_with_time_block_and_reason_and_recovers_by_itself(
    new_database: NewDatabase, certindex: Certindex
) -> None:
    node, database_url, [port] = FakeNode(finality=2), new_database(), free_ports(1)
    node.mine_blocks(4)
    with (
        Provider(of_fake(node)) as provider,
        indexers(database_url, RPC_URLS=provider.url) as start,
        serving(ApiSettings(database_url=database_url, poll_stale_seconds=0)) as address,
    ):
        indexer = start(METRICS_PORT=str(port))
        until(lambda: caught_up(database_url, node), "the first index", indexer)
        assert metric(port, "certindex_failing_seconds") == 0
        began = int(time.time())
        provider.proxy.inject(archive_on_fire)
        provider.do(lambda: node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=7)))
        until(lambda: status(certindex, database_url)["failing_since"], "the failure", indexer)
        time.sleep(1.1)  # a provider counts as silent after whole seconds

        fields = status(certindex, database_url)
        since = fields["failing_since"]
        assert began <= since <= time.time()
        assert (fields["failing_block"], fields["stopped"]) == (5, False)
        assert ARCHIVE_ON_FIRE in fields["last_error"]
        assert "  failing    at block 5 since 20" in certindex("status", database_url=database_url).out

        ready = httpx.get(f"{address}/readyz", timeout=60)
        [chain] = ready.json()["chains"]
        assert (ready.status_code, chain["failingSince"], chain["failingBlock"]) == (503, since, "5")
        assert ARCHIVE_ON_FIRE in chain["lastError"]
        assert any(
            "block 5 could not be indexed for" in reason and ARCHIVE_ON_FIRE in reason for reason in reasons(ready)
        )

        [meta] = httpx.post(f"{address}/graphql", json={"query": META}, timeout=60).json()["data"]["_meta"]["chains"]
        assert (meta["failingBlock"], meta["indexed"]["number"]) == ("5", "4")
        assert meta["failingSince"].startswith("20")
        assert ARCHIVE_ON_FIRE in meta["lastError"]

        assert metric(port, "certindex_failing_seconds") >= 1
        assert metric(port, "certindex_failing_block") == 5
        [why] = labels(port, "certindex_failing")
        assert (why["stopped"], ARCHIVE_ON_FIRE in why["error"]) == ("no", True)
        assert "a-secret-key" not in json.dumps([fields, ready.json(), meta, why]) + indexer.last_output

        provider.do(provider.proxy.injections.clear)
        until(lambda: caught_up(database_url, node), "it to go on", indexer)
        fields = status(certindex, database_url)
        assert (fields["failing_since"], fields["failing_block"], fields["last_error"]) == (None, None, None)
        assert labels(port, "certindex_failing") == []
    with engine_of(database_url) as live, engine_of(new_database()) as fresh:
        assert read_tables(live, node.chain_id) == index_afresh(fresh, node)


def test_what_a_person_must_decide_makes_the_service_unready_at_once(sqlite_url: str, certindex: Certindex) -> None:
    node, database_url = FakeNode(finality=2), sqlite_url
    node.mine_blocks(6)
    with (
        Provider(of_fake(node)) as provider,
        indexers(database_url, RPC_URLS=provider.url) as start,
        serving(ApiSettings(database_url=database_url)) as address,
    ):
        indexer = start()
        until(lambda: caught_up(database_url, node), "the first index", indexer)
        assert httpx.get(f"{address}/readyz", timeout=60).status_code == 200
        old = list(node.blocks)
        provider.do(lambda: node.reorg(5))
        until(lambda: status(certindex, database_url)["stopped"], "the stop", indexer)
        ready = httpx.get(f"{address}/readyz", timeout=60)
        [stopped] = [reason for reason in reasons(ready) if "stopped" in reason]
        assert ready.status_code == 503
        decision = "indexing stopped at block 7 until an operator decides: The node's chain differs from "
        assert decision in stopped
        assert "run: certindex rollback --to " in stopped
        assert "  stopped    at block 7 since 20" in certindex("status", database_url=database_url).out
        provider.do(lambda: node.switch_to(old))
        until(lambda: not status(certindex, database_url)["stopped"], "it to go on by itself", indexer)
        assert httpx.get(f"{address}/readyz", timeout=60).status_code == 200


def status(certindex: Certindex, database_url: str) -> dict[str, Any]:
    fields: dict[str, Any]
    [fields] = json.loads(certindex("status", "--json", database_url=database_url).out)
    return fields


def reasons(ready: httpx.Response) -> list[str]:
    reasons: list[str] = ready.json()["reasons"]
    return reasons
