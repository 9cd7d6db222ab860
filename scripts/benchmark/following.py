"""Measures how soon the API returns a new block, and how soon it returns the new branch after a reorg."""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from scripts.benchmark.connection import Connection
from scripts.benchmark.loading import percentiles
from scripts.benchmark.runs import environment
from scripts.benchmark.serving import api
from scripts.processes import Child

NEWEST = b'{"query":"{ _meta { chains { indexed { number hash } } } }"}'
POLL_SECONDS = 0.05
OFTEN = {"POLL_INTERVAL": str(POLL_SECONDS)}
PAUSE_SECONDS = 0.12
"""Between two new blocks. No multiple of the poll interval, so that blocks arrive at every phase of it."""
PATIENCE_SECONDS = 300.0


class Followed(msgspec.Struct):
    """Latencies of `blocks` new blocks, in seconds until the API returned them.

    `arrival` counts from when the node had the block, `poll` from the indexer's poll that saw it.
    """

    database: str
    blocks: int
    poll_seconds: float
    arrival_p50: float
    arrival_p99: float
    poll_p50: float
    poll_p99: float


class Reorganized(msgspec.Struct):
    """A reorg of `depth` blocks: seconds until the API returned the head of the new branch."""

    database: str
    depth: int
    seconds: float


@contextmanager
def follower(rpc_url: str, database_url: str, settings: Mapping[str, str] = OFTEN) -> Iterator[str]:
    """Runs `certindex run` and `certindex-api` on a chain; yields the URL of the API."""
    settings = {"VERIFY": "off", **settings}
    child = Child(
        [sys.executable, "-m", "indexer", "run"], environment={**environment(rpc_url, database_url), **settings}
    )
    try:
        with api(database_url, {}) as running:
            yield running.url
    finally:
        child.stop()


async def follow(
    rpc_url: str, api_url: str, database: str, *, first: int, blocks: int, depths: Sequence[int]
) -> tuple[Followed, list[Reorganized]]:
    """Adds blocks one by one after block `first`, which is indexed, then reorgs of these depths."""
    node, served = Connection(rpc_url), Connection(api_url)
    try:
        await _until(served, lambda block: block["number"] == str(first))
        arrivals, polls = [], []
        for number in range(first + 1, first + blocks + 1):
            arrived = time.time()
            await node.call("bench_set", {"head": number})
            await _until(served, lambda block, number=number: block["number"] == str(number))
            answered = time.time()
            arrivals.append(answered - arrived)
            polls.append(answered - await node.call("bench_announced", number))
            await asyncio.sleep(PAUSE_SECONDS)
        followed = Followed(database, blocks, POLL_SECONDS, *percentiles(arrivals), *percentiles(polls))
        reorgs = []
        for depth in depths:
            began = time.time()
            head = await node.call("bench_reorg", depth)
            await _until(served, lambda block, head=head: block["hash"] == head)
            reorgs.append(Reorganized(database, depth, time.time() - began))
    finally:
        node.close()
        served.close()
    return followed, reorgs


async def newest_block(served: Connection, number: int) -> None:
    """Queries the API until this block is its newest."""
    await _until(served, lambda block: block["number"] == str(number))


async def _until(served: Connection, condition: Any) -> None:
    """Queries the API until its newest block fulfills the condition."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            chains = msgspec.json.decode(await served.post(NEWEST))["data"]["_meta"]["chains"]
            if chains and chains[0]["indexed"] and condition(chains[0]["indexed"]):
                return
            await asyncio.sleep(0.001)
