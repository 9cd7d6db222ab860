"""Threads that make answers: one reads and makes a whole answer, so that nothing is handed to and fro meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine

from api.snapshot import AGAIN_SECONDS, Interrupted, Snapshot, open_snapshot_now, to_the_end

Result = TypeVar("Result")

TURNS = {"sqlite": 1, "postgresql": 4}
"""How many work side by side. Two that compute take Python's lock from each other at every row that SQLite finds;
PostgreSQL is waited for."""

TURN_SECONDS = 0.02
"""How long a turn is: who works longer goes on beside others."""


class Workers:
    """Does work over snapshots, each in a thread. Belongs to one event loop."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(count, "answers")
        self._turns = asyncio.Semaphore(TURNS[engine.dialect.name])

    async def run(self, work: Callable[[Snapshot], Result]) -> Result:
        """Returns what the work makes of a snapshot. Raises what it raises, and DBAPIError.

        When cancelled, its SQL is ended, and its snapshot is closed before this returns.
        """
        async with self._turns:
            job = _Job(self._engine, work)
            running = asyncio.get_running_loop().run_in_executor(self._threads, job.do)
            await _ended(job, running, asyncio.wait([running], timeout=TURN_SECONDS))
        await _ended(job, running, asyncio.wait([running]))
        return running.result()

    def close(self) -> None:
        """Ends the threads; no work is under way."""
        self._threads.shutdown()


async def _ended(job: "_Job[Any]", running: asyncio.Future[Any], waiting: Awaitable[Any]) -> None:
    try:
        await waiting
    except asyncio.CancelledError:
        await to_the_end(job.end(running))
        raise


class _Job(Generic[Result]):
    def __init__(self, engine: Engine, work: Callable[[Snapshot], Result]) -> None:
        self._engine = engine
        self._work = work
        self._snapshot: Snapshot | None = None
        self._is_ended = False
        # held while a statement is ended: its connection is not given to another meanwhile
        self._lock = Lock()

    def do(self) -> Result:
        """Does the work, in the thread that calls. Raises Interrupted where it was ended before."""
        with open_snapshot_now(self._engine) as snapshot:
            try:
                self._hold(snapshot)
                return self._work(snapshot)
            finally:
                self._hold(None)

    async def end(self, running: asyncio.Future[Result]) -> None:
        """Returns once the work is over, its statements ended: again and again, as one may begin just then."""
        while not running.done():
            await asyncio.to_thread(self._interrupt)
            await asyncio.wait([running], timeout=AGAIN_SECONDS)
        if not running.cancelled():
            running.exception()  # nobody else hears it

    def _hold(self, snapshot: Snapshot | None) -> None:
        with self._lock:
            if snapshot is not None and self._is_ended:
                raise Interrupted
            self._snapshot = snapshot

    def _interrupt(self) -> None:
        with self._lock:
            self._is_ended = True
            if self._snapshot is not None:
                self._snapshot.interrupt()
