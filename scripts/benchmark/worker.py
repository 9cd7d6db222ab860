"""Runs and measures one command of the indexer: python -m scripts.benchmark.worker sync 0

The command is sync, rebuild or naive; the number is the number of cores, 0 for all. Settings come from the environment,
as for `certindex`. The last line of output is the measurement as JSON.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Callable

import msgspec

from indexer.commands.command import tune_memory
from indexer.opening import open_chain
from indexer.settings import RebuildSettings, Settings
from indexer.store.lease import Lease
from indexer.store.timings import Timings
from indexer.stored_chain import open_database, read_chain
from indexer.sync.rebuild import rebuild
from indexer.sync.step import Indexed, Pace, UpToDate, step
from schema.program.settings import read_settings
from scripts.benchmark import naive
from scripts.processes import peak_memory


class Measured(msgspec.Struct):
    """`seconds` and `cpu_seconds` of the command, without imports. `steps`: (seconds since the start, events)."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    stages_cpu: dict[str, float]
    stages_wall: dict[str, float]
    steps: list[tuple[float, int]]


def main() -> None:
    command, cores = COMMANDS[sys.argv[1]], int(sys.argv[2])
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(cores))
    began, cpu = time.perf_counter(), time.process_time()
    steps: Steps = []
    timings = command(steps, began)
    measured = Measured(
        time.perf_counter() - began,
        time.process_time() - cpu + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,
        peak_memory(os.getpid()),
        timings.stage_cpu,
        timings.stage_wall,
        steps,
    )
    print(msgspec.json.encode(measured).decode())


Steps = list[tuple[float, int]]


def _sync(steps: Steps, began: float) -> Timings:
    return asyncio.run(_catch_up(read_settings(Settings, None, os.environ), steps, began))


async def _catch_up(settings: Settings, steps: Steps, began: float) -> Timings:
    """Takes the steps of `certindex sync`, without its progress bar and retries."""
    tune_memory()
    node = await open_chain(settings)
    lease = Lease(node.engine, node.chain_id)
    async with lease.held():
        store, interpretation, pace = node.store(lease), node.interpretation, Pace()
        while not isinstance(outcome := await step(node.chain, store, interpretation, pace), UpToDate):
            if isinstance(outcome, Indexed):
                steps.append((time.perf_counter() - began, outcome.events))
    await node.pool.close()
    node.engine.dispose()
    return store.timings


def _rebuild(steps: Steps, began: float) -> Timings:
    return asyncio.run(_rewrite(read_settings(RebuildSettings, None, os.environ)))


async def _rewrite(settings: RebuildSettings) -> Timings:
    tune_memory()
    with open_database(settings) as (engine, chain_id):
        lease = Lease(engine, chain_id)
        async with lease.held():
            chain = read_chain(engine, chain_id)
            store = chain.store(lease)
            rebuild(store, store.checkpoint(), chain.interpretation)
    return store.timings


def _naive(steps: Steps, began: float) -> Timings:
    events = naive.index(os.environ["RPC_URLS"], os.environ["DATABASE_URL"])
    steps.append((time.perf_counter() - began, events))
    return Timings()


COMMANDS: dict[str, Callable[[Steps, float], Timings]] = {"sync": _sync, "rebuild": _rebuild, "naive": _naive}


if __name__ == "__main__":
    main()
