"""Runs blocking and long functions in threads: the event loop also serves requests and renews the lease."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from indexer.store.timings import Timings

ResultT = TypeVar("ResultT")


async def in_thread(function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Runs a function in a thread and returns its result."""
    return await asyncio.to_thread(function, *arguments)


async def in_stage(timings: Timings, stage: str, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """As `in_thread`; adds the time that the function takes to a stage."""

    def run() -> ResultT:
        with timings.stage(stage):
            return function(*arguments)

    return await asyncio.to_thread(run)
