"""Pauses between attempts that fail, each twice as long as the one before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import InternalError, OperationalError

from indexer.errors import TryAgain, failure_text
from schema.program.logs import log_event

ResultT = TypeVar("ResultT")

log = logging.getLogger("certindex")

AGAIN = ", again in {pause:.1f}s: {error}"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ATTEMPTS = 8

Pause = Callable[[float], Awaitable[object]]
"""Waits some seconds. Returns True if it ended early, as what had failed is back."""


class Backoff:
    """The pause before the next attempt, in seconds."""

    def __init__(self) -> None:
        self.seconds = FIRST_PAUSE_SECONDS

    async def wait(self, stopping: asyncio.Event | None = None, pause: Pause = asyncio.sleep) -> None:
        """Waits for the pause, or until `stopping` is set; the next pause is longer, unless `pause` returns True."""
        pausing = asyncio.ensure_future(pause(self.seconds))
        waiting = {pausing} if stopping is None else {pausing, asyncio.ensure_future(stopping.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            is_over = pausing.done() and pausing.result() is True
        finally:
            for task in waiting:
                task.cancel()
        self.seconds = FIRST_PAUSE_SECONDS if is_over else min(self.seconds * 2, LONGEST_PAUSE_SECONDS)

    def reset(self) -> None:
        """Returns to the first pause, after an attempt that succeeded."""
        self.seconds = FIRST_PAUSE_SECONDS


async def retry(
    action: Callable[[], Awaitable[ResultT]],
    *,
    attempts: float = ATTEMPTS,
    pause: Pause = asyncio.sleep,
    failed: Callable[[str], None] = lambda error: None,
) -> ResultT:
    """Returns the result of the action, which is repeated while a provider or the database fails.

    Raises the last TryAgain or DBAPIError. `failed` is called in a thread with the message of each earlier failure.
    """
    backoff = Backoff()
    attempt = 1
    while True:
        try:
            return await action()
        except (TryAgain, OperationalError, InternalError) as error:
            if attempt >= attempts:
                raise
            message = failure_text(error)
            log_event(log, logging.WARNING, "not begun", AGAIN, backoff.seconds, message)
            await asyncio.to_thread(failed, message)
            await backoff.wait(pause=pause)
            attempt += 1
