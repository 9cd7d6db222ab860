"""Where an indexer's time goes: functions of the indexer, wrapped to add up what each stage takes.

All of them are called a few times a batch, so that measuring costs nothing. What no stage claims is fetching: HTTP,
JSON and waiting.
"""

import time
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

STAGES: tuple[tuple[str, str, str], ...] = (
    ("parse", "indexer.chain.log_filter", "LogFilter.check_range"),
    ("parse", "indexer.chain.log_filter", "LogFilter.check_header"),
    ("decode", "indexer.store.store", "read"),
    ("load", "indexer.store.store", "load_open_rows"),
    ("fold", "indexer.store.store", "fold"),
    ("digest", "indexer.store.store", "Store._block_rows"),
    ("write", "indexer.store.store", "insert"),
    ("write", "indexer.store.store", "close"),
    ("write", "indexer.store.store", "update"),
    ("index", "indexer.store.store", "Store.finish_backfill"),
)
"""Stage, module, and the function as that module calls it."""


class Stopwatch:
    """Seconds by stage: of this process's CPU, and on the clock."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    def install(self) -> None:
        """Wraps the functions of all stages."""
        for stage, module_name, name in STAGES:
            place: Any = import_module(module_name)
            *path, last = name.split(".")
            for part in path:
                place = getattr(place, part)
            setattr(place, last, self._timed(stage, getattr(place, last)))

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.cpu[stage] = self.cpu.get(stage, 0.0) + time.thread_time() - cpu
                self.wall[stage] = self.wall.get(stage, 0.0) + time.perf_counter() - wall

        return timed
