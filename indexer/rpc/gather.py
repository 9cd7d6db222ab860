"""Waiting for several things at once, so that none goes on when one has failed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


async def gather(*coroutines: Coroutine[Any, Any, ResultT]) -> list[ResultT]:
    """Returns all results in order. Raises the first failure, after the others have been cancelled and have ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
