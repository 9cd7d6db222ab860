"""Threads that make answers: one reads and makes a whole answer, so that nothing is handed to and fro meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import Engine

from api.reading.snapshot import Interrupted, Snapshot, end_work, open_snapshot_now, to_the_end

Result = TypeVar("Result")

TURNS = {"sqlite": 1, "postgresql": 3}
"""How many work side by side. Two that compute take Python's lock from each other at every row that SQLite finds;
PostgreSQL is waited for."""

TURN_SECONDS = 0.1
"""How long a turn is waited for: behind one who works so long others go on beside him."""


class Workers:
    """Does work over snapshots, each in a thread. Belongs to one event loop."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._in_turn = ThreadPoolExecutor(TURNS[engine.dialect.name], "answers")
        self._beside = ThreadPoolExecutor(count, "beside")

    async def run(self, work: Callable[[Snapshot], Result]) -> Result:
        """Returns what the work makes of a snapshot. Raises what it raises, and DBAPIError.

        When cancelled, its SQL is ended, and its snapshot is closed before this returns.
        """
        job = _Job(self._engine, work)
        # a thread that ends one takes the next: it is not woken for it, whatever the event loop does
        waiting = self._in_turn.submit(job.do)
        running = asyncio.wrap_future(waiting)
        try:
            await asyncio.wait([running], timeout=TURN_SECONDS)
            if waiting.cancel():
                waiting = self._beside.submit(job.do)
                running = asyncio.wrap_future(waiting)
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not waiting.cancel():
                await to_the_end(end_work(running, job.interrupt))
            raise

    async def close(self) -> None:
        """Ends the threads once all work is over: what was cancelled is still being ended, on this event loop."""
        for threads in (self._in_turn, self._beside):
            await asyncio.to_thread(threads.shutdown)


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

    def _hold(self, snapshot: Snapshot | None) -> None:
        with self._lock:
            if snapshot is not None and self._is_ended:
                raise Interrupted
            self._snapshot = snapshot

    def interrupt(self) -> None:
        """Ends the statement that runs, and lets the work begin none."""
        with self._lock:
            self._is_ended = True
            if self._snapshot is not None:
                self._snapshot.interrupt()
