"""Several workers on one port: requests, rates and metrics count together, and a worker that dies is replaced."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from scripts.processes import Child
from tests.support.api.live import BLOCKS, acknowledged
from tests.support.api.server import with_one_device
from tests.support.chain.fakechain import FakeNode
from tests.support.processes import caught_up, free_ports, labels, samples, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DEVICES = {"query": "{ devices { totalCount } }"}


class Service:
    """`certindex-api --workers 2`. Each request has a connection of its own, which any worker may accept."""

    def __init__(self, child: Child, port: int, metrics_port: int) -> None:
        self.child = child
        self.address = f"http://127.0.0.1:{port}"
        self.metrics_port = metrics_port

    def status(self) -> int:
        return httpx.post(f"{self.address}/graphql", json=DEVICES, timeout=60).status_code

    def workers(self) -> Sequence[psutil.Process]:
        """Returns the workers that are ready: those that show metrics."""
        shown = labels(self.metrics_port, "certindex_api_requests_in_progress")
        running = workers_of(self.child)
        return running if len(shown) == len(running) == 2 else []

    def requests(self) -> float:
        return sum(samples(self.metrics_port, "certindex_api_requests_total").values())


def workers_of(child: Child) -> list[psutil.Process]:
    return [process for process in psutil.Process(child.pid).children() if "spawn_main" in _command_of(process)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return ""


@contextmanager
def service(database_url: str, **environment: str) -> Iterator[Service]:
    port, metrics_port = free_ports(2)
    settings = {"DATABASE_URL": database_url, "PORT": str(port), "METRICS_PORT": str(metrics_port)}
    command = [sys.executable, "-m", "api", "--workers", "2"]
    child = Child(command, environment=os.environ | settings | environment)
    try:
        served = Service(child, port, metrics_port)
        until(lambda: "serving http" in child.last_output, "the port", child)
        assert served.status() == 200  # the connection waits for the first worker
        until(served.workers, "both workers", child)
        yield served
    finally:
        child.stop()
    assert "Traceback" not in child.last_output


def test_a_worker_that_dies_is_replaced_while_the_other_answers(sqlite_url: str) -> None:
    with service(with_one_device(sqlite_url)) as served:
        before = {process.pid for process in served.workers()}
        victim = served.workers()[0]
        victim.kill()
        assert [served.status() for _ in range(10)] == [200] * 10
        until(lambda: {process.pid for process in served.workers()} - before, "the new worker", served.child)
        assert f"a worker died and was replaced {victim.pid}: exit status -9" in served.child.last_output
        assert served.status() == 200
    assert served.child.exit_status == 0


def test_workers_count_requests_and_rates_together(sqlite_url: str) -> None:
    with service(with_one_device(sqlite_url), REQUEST_RATE="10/hour", CACHE_BYTES="0") as served:
        assert [served.status() for _ in range(15)] == [200] * 9 + [429] * 6
        until(lambda: served.requests() == 16, "the count of the last", served.child)
        assert {label["worker"] for label in labels(served.metrics_port, "certindex_api_requests_in_progress")} == {
            "0",
            "1",
        }


async def test_a_stop_ends_subscriptions_and_all_processes(sqlite_url: str) -> None:
    with service(with_one_device(sqlite_url)) as served:
        workers = served.workers()
        async with acknowledged(served.address) as client:
            await client.subscribe("1", BLOCKS)
            served.child.stop()
    assert served.child.exit_status == 0
    assert not any(worker.is_running() for worker in workers)


def test_workers_end_when_their_supervisor_is_killed(sqlite_url: str) -> None:
    with service(with_one_device(sqlite_url)) as served:
        workers = served.workers()
        served.child.kill()
        until(lambda: not any(worker.is_running() for worker in workers), "the end of the workers")


def test_a_wrong_setting_is_reported_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/missing/certindex.db"
    command = [sys.executable, "-m", "api", "--workers", "2", "--port", "0"]
    child = Child(command, environment=os.environ | {"DATABASE_URL": url})
    until(lambda: child.exit_status is not None, "its end")
    assert child.exit_status == 2
    assert child.last_output.count("certindex-api: DATABASE_URL=") == 1
    assert "Traceback" not in child.last_output


def test_the_indexer_serves_from_workers_and_shows_their_metrics(sqlite_url: str) -> None:
    node, [port, metrics_port] = FakeNode(finality=2), free_ports(2)
    node.mine_blocks(4)
    with Provider(of_fake(node)) as provider, indexers(sqlite_url, RPC_URLS=provider.url) as start:
        indexer = start("--serve", "--workers", "2", PORT=str(port), METRICS_PORT=str(metrics_port))
        until(lambda: caught_up(sqlite_url, node), "the index", indexer)
        until(lambda: len(workers_of(indexer)) == 2, "both workers", indexer)
        assert httpx.post(f"http://127.0.0.1:{port}/graphql", json=DEVICES, timeout=60).status_code == 200
        until(lambda: samples(metrics_port, "certindex_api_requests_total"), "the count", indexer)
        assert sum(samples(metrics_port, "certindex_api_requests_total").values()) == 1
        assert samples(metrics_port, "certindex_indexed_block")
        workers = workers_of(indexer)
        indexer.stop()
        assert indexer.exit_status == 0
        assert not any(worker.is_running() for worker in workers)
