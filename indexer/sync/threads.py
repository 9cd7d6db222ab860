"""Running what blocks or computes for long in a thread: the event loop also serves, beats and listens for signals."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from indexer.store.timings import Timings

ResultT = TypeVar("ResultT")


async def in_thread(function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Returns what the function returns in a thread."""
    return await asyncio.to_thread(function, *arguments)


async def in_stage(timings: Timings, stage: str, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Returns what the function returns in a thread, and adds its time to a stage."""

    def run() -> ResultT:
        with timings.stage(stage):
            return function(*arguments)

    return await asyncio.to_thread(run)
