"""Waits for indexers that run in processes of their own, and reads their metrics."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema.tables.database import connect
from scripts.processes import Child
from tests.support.chain.fakechain import FakeNode

PATIENCE = 60.0


def until(condition: Callable[[], Any], what: str, *children: Child) -> None:
    """Waits for a condition. Fails if it takes more than a minute, or if one of the processes ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        for child in children:
            assert child.exit_status is None, child.last_output
        if time.monotonic() > deadline:
            pytest.fail(
                f"waited {PATIENCE:.0f} s for {what}:\n" + "\n--\n".join(child.last_output for child in children)
            )
        time.sleep(0.05)


def caught_up(database_url: str, node: FakeNode) -> bool:
    """Returns whether the node's newest block is indexed."""
    engine = connect(database_url)
    try:
        with engine.begin() as connection:
            indexed = connection.execute(text("SELECT indexed_hash FROM chain WHERE backfilled")).scalar_one_or_none()
    except DBAPIError:
        return False  # there are no tables yet
    finally:
        engine.dispose()
    return indexed is not None and bytes(indexed) == node.head.hash


def metric(port: int, name: str) -> float:
    """Returns the value of a metric that has one value."""
    [value] = [sample.value for family in _scraped(port) for sample in family.samples if sample.name == name]
    return float(value)


def samples(port: int, name: str) -> dict[str, float]:
    """Returns the values of a metric by their labels, in the order of its declaration."""
    return {
        " ".join(sample.labels.values()): sample.value
        for family in _scraped(port)
        for sample in family.samples
        if sample.name == name
    }


def labels(port: int, name: str) -> list[dict[str, str]]:
    """Returns the labels of each value of a metric."""
    return [sample.labels for family in _scraped(port) for sample in family.samples if sample.name == name]


def free_ports(count: int) -> list[int]:
    """Returns free ports below the range from which systems assign ports: no other process is given one meanwhile."""
    ports: list[int] = []
    while len(ports) < count:
        port = next(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def _ports_of_this_worker() -> list[int]:
    """Returns the ports that this worker of pytest-xdist may use, and no other one, in a random order."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(20_000 + worker, 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    secrets.SystemRandom().shuffle(ports)
    return ports


_PORTS = cycle(_ports_of_this_worker())


def _scraped(port: int) -> list[Metric]:
    return list(text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text))
