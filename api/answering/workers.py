"""Threads that compute answers. One thread reads and computes a whole answer, without hand-over to another."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import Engine

from api.reading.snapshot import Interrupted, Snapshot, end_work, open_snapshot_now, to_the_end

Result = TypeVar("Result")

PARALLEL = {"sqlite": 1, "postgresql": 3}
"""Threads that work side by side. With SQLite, two would take Python's lock from each other at every row; with
PostgreSQL they mostly wait."""

QUEUE_SECONDS = 0.1
"""How long work waits for one of these threads. After that it runs in a thread beside them, past the slow ones."""


class Workers:
    """Runs work on snapshots in threads. Belongs to one event loop."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._queue = ThreadPoolExecutor(PARALLEL[engine.dialect.name], "answers")
        self._beside = ThreadPoolExecutor(count, "beside")

    async def run(self, work: Callable[[Snapshot], Result]) -> Result:
        """Returns the result of work on a snapshot. Raises what the work raises, and DBAPIError.

        If this is cancelled, it ends the SQL and closes the snapshot before it returns.
        """
        task = _SnapshotTask(self._engine, work)
        # a thread that finishes one task takes the next by itself, even while the event loop is busy
        waiting = self._queue.submit(task.run)
        running = asyncio.wrap_future(waiting)
        try:
            await asyncio.wait([running], timeout=QUEUE_SECONDS)
            if waiting.cancel():
                waiting = self._beside.submit(task.run)
                running = asyncio.wrap_future(waiting)
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not waiting.cancel():
                await to_the_end(end_work(running, task.interrupt))
            raise

    async def close(self) -> None:
        """Ends the threads when all work is over. Meanwhile the event loop continues to end canceled work."""
        for threads in (self._queue, self._beside):
            await asyncio.to_thread(threads.shutdown)


class _SnapshotTask(Generic[Result]):
    def __init__(self, engine: Engine, work: Callable[[Snapshot], Result]) -> None:
        self._engine = engine
        self._work = work
        self._snapshot: Snapshot | None = None
        self._is_ended = False
        # held while a statement is ended, so that its connection is not reused meanwhile
        self._lock = Lock()

    def run(self) -> Result:
        """Runs the work in the calling thread. Raises Interrupted if it was ended before."""
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
        """Ends the running statement, and lets the work begin no other."""
        with self._lock:
            self._is_ended = True
            if self._snapshot is not None:
                self._snapshot.interrupt()
