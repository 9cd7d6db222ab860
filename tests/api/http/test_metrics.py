"""The API's metrics, on a port of its own: requests, statements and subscriptions."""

import os
import socket
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.app import create_app
from api.http.metrics import METRICS, route_of
from api.settings import Settings
from scripts.processes import Child
from tests.support.api.live import BLOCKS, acknowledged, streamed
from tests.support.api.server import CLIENT
from tests.support.chain.fakechain import FakeNode
from tests.support.databases import NewDatabase
from tests.support.index.history import History
from tests.support.processes import caught_up, free_ports, metric, samples, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

DEVICES = "{ devices { totalCount } }"


async def test_requests_errors_statements_and_subscriptions_are_counted(new_database: NewDatabase) -> None:
    database_url, [port, metrics_port] = new_database(), free_ports(2)
    history = History(database_url)
    history.block()
    history.close()
    command = [sys.executable, "-m", "api", "--port", str(port), "--metrics-port", str(metrics_port)]
    server = Child(command, environment=os.environ | {"DATABASE_URL": database_url})
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{address}/healthz"), "the server", server)
        for _ in range(3):
            assert CLIENT.post(f"{address}/graphql", json={"query": DEVICES}).status_code == 200
        assert CLIENT.post(f"{address}/graphql", json={"query": "{ nonsense }"}).status_code in (200, 400)
        assert CLIENT.post(f"{address}/graphql", content=b"no JSON").status_code == 415
        assert CLIENT.get(f"{address}/devices/no-did/bundle.json").status_code == 400
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_devices", "arguments": {}}}
        accept = {"accept": "application/json, text/event-stream"}
        assert CLIENT.post(f"{address}/mcp", json=call, headers=accept).status_code == 200
        assert CLIENT.get(f"{address}/metrics").status_code == 404
        assert metric(metrics_port, "certindex_api_connections") == 0
        async with acknowledged(address) as client, streamed(address, BLOCKS):
            await client.subscribe("1", BLOCKS)
            until(lambda: metric(metrics_port, "certindex_api_subscriptions") == 2, "both subscriptions", server)
            assert metric(metrics_port, "certindex_api_connections") == 2
        until(lambda: metric(metrics_port, "certindex_api_connections") == 0, "both to end", server)
        assert metric(metrics_port, "certindex_api_subscriptions") == 0
        requests = samples(metrics_port, "certindex_api_requests_total")
        assert requests["graphql 200"] >= 3
        assert requests["graphql 415"] == requests["bundle 400"] == requests["other 404"] == 1
        assert requests["stream 200"] == requests["mcp 200"] == 1
        assert samples(metrics_port, "certindex_api_tool_calls_total") == {"ok list_devices": 1}
        assert samples(metrics_port, "certindex_api_request_seconds_count")["graphql"] == 5
        assert "stream" not in samples(metrics_port, "certindex_api_request_seconds_count")
        assert sum(samples(metrics_port, "certindex_api_errors_total").values()) >= 1
        assert samples(metrics_port, "certindex_api_cache_total")["hit"] == 2
        assert metric(metrics_port, "certindex_api_requests_in_progress") == 0
        assert metric(metrics_port, "certindex_api_statement_seconds_count") > 0
        assert samples(metrics_port, "certindex_api_snapshots_waiting") == {"requests": 0, "live": 0, "exports": 0}
        assert samples(metrics_port, "certindex_api_snapshot_wait_seconds_count")["requests"] >= 1
        assert metric(metrics_port, "process_resident_memory_bytes") > 10**7
    finally:
        server.stop()
    assert "Traceback" not in server.last_output


def test_indexer_and_api_in_one_process_share_one_metrics_port(sqlite_url: str) -> None:
    node, [port, metrics_port] = FakeNode(finality=2), free_ports(2)
    node.mine_blocks(4)
    with Provider(of_fake(node)) as provider, indexers(sqlite_url, RPC_URLS=provider.url) as start:
        indexer = start("--serve", PORT=str(port), METRICS_PORT=str(metrics_port))
        until(lambda: caught_up(sqlite_url, node), "the index", indexer)
        assert CLIENT.post(f"http://127.0.0.1:{port}/graphql", json={"query": DEVICES}).status_code == 200
        assert metric(metrics_port, "certindex_indexed_block") == 4
        until(lambda: samples(metrics_port, "certindex_api_requests_total") == {"graphql 200": 1}, "the count", indexer)


def test_every_metric_is_collected_under_the_name_it_is_described_by(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(create_app(Settings(database_url=f"sqlite:///{tmp_path / 'none.db'}")).state.metrics)
    collected = {(family.name, family.type, family.documentation) for family in registry.collect()}
    assert collected == {(metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in METRICS}


def test_a_metrics_port_in_use_ends_the_api_with_an_example(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = [sys.executable, "-m", "api", "--port", "0", "--metrics-port", str(taken)]
        server = Child(command, environment=os.environ | {"DATABASE_URL": sqlite_url})
        until(lambda: server.exit_status is not None, "its end")
    assert server.exit_status == 2
    assert f"METRICS_PORT={taken} cannot be listened on" in server.last_output


@pytest.mark.parametrize(
    ("path", "route"),
    [("/graphql", "graphql"), ("/devices/did:erc721:1:0x1:1/bundle.json", "bundle"), ("/wp-login.php", "other")],
)
def test_any_path_is_counted_under_one_of_few_names(path: str, route: str) -> None:
    assert route_of(path) == route


def answers(url: str) -> bool:
    try:
        return CLIENT.get(url).status_code == 200
    except httpx.TransportError:
        return False
