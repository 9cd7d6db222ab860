"""Following: how soon a new block is in the API's answers, and how soon a reorg is."""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from scripts.benchmark.asking import Wire
from scripts.benchmark.runs import environment
from scripts.benchmark.serving import api
from scripts.processes import Child

NEWEST = b'{"query":"{ _meta { chains { indexed { number hash } } } }"}'
POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.12
"""Between two new blocks: prime to the poll, so that blocks come at any moment of it."""
PATIENCE_SECONDS = 300.0


class Followed(msgspec.Struct):
    """`blocks` new ones, one by one. Seconds until the API answered at each: from its arrival at the node, and from
    the poll of the indexer that saw it.
    """

    database: str
    blocks: int
    poll_seconds: float
    arrival_p50: float
    arrival_p99: float
    poll_p50: float
    poll_p99: float


class Reorganized(msgspec.Struct):
    """A fork of `depth` blocks: seconds until the API answered at the head of the other branch."""

    database: str
    depth: int
    seconds: float


@contextmanager
def follower(rpc_url: str, database_url: str) -> Iterator[str]:
    """Runs `certindex run` and `certindex-api` on a chain; gives the API's URL."""
    settings = {"POLL_INTERVAL": str(POLL_SECONDS), "VERIFY": "off"}
    known: Mapping[str, str] = {**environment(rpc_url, database_url), **settings}
    child = Child([sys.executable, "-m", "indexer", "run"], environment=known)
    try:
        with api(database_url, compiled=True, cached=True) as url:
            yield url
    finally:
        child.stop()


def follow(
    rpc_url: str, api_url: str, database: str, *, first: int, blocks: int, depths: Sequence[int]
) -> tuple[Followed, list[Reorganized]]:
    """Adds blocks one by one, then forks of these depths. Block `first` is indexed already or about to be."""
    return asyncio.run(_follow(rpc_url, api_url, database, first, blocks, depths))


async def _follow(
    rpc_url: str, api_url: str, database: str, first: int, blocks: int, depths: Sequence[int]
) -> tuple[Followed, list[Reorganized]]:
    node, served = Wire(rpc_url), Wire(api_url)
    try:
        await _until(served, lambda block: block["number"] == str(first))
        arrivals, polls = [], []
        for number in range(first + 1, first + blocks + 1):
            arrived = time.time()
            await node.call("bench_set", {"head": number})
            await _until(served, lambda block, number=number: block["number"] == str(number))
            answered = time.time()
            arrivals.append(answered - arrived)
            polls.append(answered - await node.call("bench_told", number))
            await asyncio.sleep(PAUSE_SECONDS)
        followed = Followed(database, blocks, POLL_SECONDS, *_percentiles(arrivals), *_percentiles(polls))
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


async def _until(served: Wire, is_it: Any) -> None:
    """Asks the API again and again until its newest block is the one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            chains = msgspec.json.decode(await served.post(NEWEST))["data"]["_meta"]["chains"]
            if chains and chains[0]["indexed"] and is_it(chains[0]["indexed"]):
                return
            await asyncio.sleep(0.001)


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
