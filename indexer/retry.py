"""Pauses between attempts that fail, each twice as long as the one before."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from indexer.errors import TryAgain, failure_text
from schema.program.logs import log_event

ResultT = TypeVar("ResultT")

log = logging.getLogger("certindex")

AGAIN = ", again in {pause:.1f}s: {error}"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ATTEMPTS = 8
PROBE_SECONDS = 1.0
"""How often a database that cannot be reached is probed during a pause."""

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


def pause_after(error: Exception, engine: Engine) -> Pause:
    """Returns a pause that ends when a PostgreSQL server that could not be reached takes writes again."""
    if not isinstance(error, DBAPIError) or engine.dialect.name != "postgresql":
        return asyncio.sleep
    is_lost = error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None
    return partial(_until_back, engine) if is_lost else asyncio.sleep


async def _until_back(engine: Engine, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > PROBE_SECONDS:
        await asyncio.sleep(PROBE_SECONDS)
        if await asyncio.to_thread(_takes_writes, engine):
            return True
    await asyncio.sleep(left)
    return False


def _takes_writes(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT NOT pg_is_in_recovery()").scalar_one())
    except DBAPIError:
        return False


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
