"""Awaits several coroutines; if one fails, cancels the others."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


async def gather(*coroutines: Coroutine[Any, Any, ResultT]) -> list[ResultT]:
    """Returns all results in order. After a failure, cancels the others, waits until they have ended, and raises it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
