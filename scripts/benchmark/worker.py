"""One command of the indexer in a process of its own, measured: python -m scripts.benchmark.worker sync 0.

The command is sync, rebuild or naive; the number is of cores, 0 for all. Settings come from the environment, as for
`certindex`. The last line of output is what was measured, as JSON.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import indexer.opening  # noqa: F401  # its imports are not measured
from indexer.commands.rebuild import rebuild
from indexer.commands.sync import sync
from indexer.settings import RebuildSettings, Settings
from indexer.store import Store
from schema.program.settings import read_settings
from scripts.benchmark import naive
from scripts.benchmark.stages import Stopwatch


class Measured(msgspec.Struct):
    """`seconds` and `cpu_seconds` of the command, imports left out; `steps` as (seconds since its start, events)."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    stages_cpu: dict[str, float]
    stages_wall: dict[str, float]
    steps: list[tuple[float, int]]


def main() -> None:
    stopwatch = Stopwatch()
    stopwatch.install()
    command, cores = COMMANDS[sys.argv[1]], int(sys.argv[2])
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(cores))
    steps: Steps = []
    began, cpu = time.perf_counter(), time.process_time()
    _note_steps(steps, began)
    command(steps, began)
    measured = Measured(
        time.perf_counter() - began,
        time.process_time() - cpu + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,
        _peak_memory(),
        stopwatch.cpu,
        stopwatch.wall,
        steps,
    )
    print(msgspec.json.encode(measured).decode())


Steps = list[tuple[float, int]]


def _sync(steps: Steps, began: float) -> None:
    asyncio.run(sync(read_settings(Settings, None, os.environ)))


def _rebuild(steps: Steps, began: float) -> None:
    asyncio.run(rebuild(read_settings(RebuildSettings, None, os.environ)))


def _naive(steps: Steps, began: float) -> None:
    events = naive.index(os.environ["RPC_URLS"], os.environ["DATABASE_URL"])
    steps.append((time.perf_counter() - began, events))


COMMANDS: dict[str, Callable[[Steps, float], None]] = {"sync": _sync, "rebuild": _rebuild, "naive": _naive}


def _note_steps(steps: Steps, began: float) -> None:
    commit = Store.commit

    def noted(self: Store, *arguments: Any) -> Any:
        stored = commit(self, *arguments)
        steps.append((time.perf_counter() - began, stored.events))
        return stored

    setattr(Store, "commit", noted)  # noqa: B010  # a method of a class is not ours to assign, says mypy


def _peak_memory() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
