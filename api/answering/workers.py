"""Threads that compute answers. One thread reads the rows of an answer and computes it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from math import inf
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine

from api.reading.snapshot import Interrupted, KeptConnection, Snapshot, end_work, open_snapshot_now, to_the_end
from schema.program.tracing import carried

Result = TypeVar("Result")
OpenSnapshot = Callable[[], AbstractContextManager[Snapshot]]

PARALLEL = {"sqlite": 1, "postgresql": 3}
"""Threads that work side by side. With SQLite, two would take Python's lock from each other at every row; with
PostgreSQL they mostly wait."""

REST_SECONDS = 0.005
"""How long the event loop rests at most for these threads. For work that takes longer it does not rest again."""

QUEUE_SECONDS = 0.1
"""How long work waits for one of these threads. After that it runs in a thread beside them, past the slow ones."""


class Workers:
    """Runs work on snapshots in threads. Belongs to one event loop.

    The usual threads take tasks from a plain queue: a hand-over by `concurrent.futures` takes six times as long.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._queue = _TaskQueue()
        self._threads = [Thread(target=self._run_tasks, daemon=True) for _ in range(PARALLEL[engine.dialect.name])]
        self._beside = ThreadPoolExecutor(count, "beside")
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Snapshot], Result]) -> Result:
        """Returns the result of work on a snapshot. Raises what the work raises, and DBAPIError.

        If this is cancelled, it ends the SQL and closes the snapshot before it returns.
        """
        loop = asyncio.get_running_loop()
        task = _SnapshotTask(carried(work), loop)
        # a thread that finishes one task takes the next by itself, even while the event loop is busy
        self._queue.put(task)
        overdue = loop.call_later(QUEUE_SECONDS, self._run_beside, task)
        try:
            return await task.result
        except asyncio.CancelledError:
            if not task.is_over and not task.claim():
                task.result = loop.create_future()
                await to_the_end(end_work(task.result, task.interrupt))
            raise
        finally:
            overdue.cancel()

    def _run_tasks(self) -> None:
        connection = KeptConnection(self._engine)
        while (task := self._queue.take()) is not None:
            if task.claim():
                task.run(connection.open_snapshot)
        connection.close()

    def _run_beside(self, task: "_SnapshotTask[Any]") -> None:
        if task.claim():
            self._beside.submit(task.run, partial(open_snapshot_now, self._engine))

    async def close(self) -> None:
        """Ends the threads when all work is over. Meanwhile the event loop continues to end canceled work."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._beside.shutdown)


class _TaskQueue:
    """Tasks for the usual threads. The event loop rests while they work on what it has queued.

    The drivers release Python's lock at every statement, SQLite's at every row. An event loop that goes on meanwhile
    takes it each time, and the thread has to wait for it: that is half of the time of a look-up.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_SnapshotTask[Any] | None] = SimpleQueue()
        self._has_work = Lock()  # held until a thread has nothing to do
        self._is_planned = False
        self._long_after = inf

    def put(self, task: "_SnapshotTask[Any] | None") -> None:
        """Queues a task; None ends a thread. The event loop calls this."""
        if task is not None and not self._is_planned:
            self._is_planned = True
            self._has_work.acquire(blocking=False)
            asyncio.get_running_loop().call_soon(self._rest)
        self._tasks.put(task)

    def take(self) -> "_SnapshotTask[Any] | None":
        """Waits for the next task. A thread calls this when it has done the one before."""
        self._long_after = inf
        if self._has_work.locked() and self._tasks.empty():
            with suppress(RuntimeError):  # another thread has released it
                self._has_work.release()
        task = self._tasks.get()
        self._long_after = monotonic() + REST_SECONDS
        return task

    def _rest(self) -> None:
        self._is_planned = False
        if monotonic() < self._long_after:
            self._has_work.acquire(timeout=REST_SECONDS)


class _SnapshotTask(Generic[Result]):
    """Work on a snapshot. The event loop has its `result`, and sets `is_over` when the thread has ended."""

    def __init__(self, work: Callable[[Snapshot], Result], loop: asyncio.AbstractEventLoop) -> None:
        self.result: asyncio.Future[Result] = loop.create_future()
        self.is_over = False
        self._loop = loop
        self._work = work
        self._snapshot: Snapshot | None = None
        self._is_claimed = False
        self._is_ended = False
        # held while a statement is ended, so that its connection is not reused meanwhile
        self._lock = Lock()

    def claim(self) -> bool:
        """Returns whether the caller is the first to claim the task: only the first may run it, or drop it."""
        with self._lock:
            is_first, self._is_claimed = not self._is_claimed, True
            return is_first

    def run(self, open_snapshot: OpenSnapshot) -> None:
        """Runs the work in the calling thread."""
        try:
            result = self._compute(open_snapshot)
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._end, None, error)
        else:
            self._loop.call_soon_threadsafe(self._end, result, None)

    def _compute(self, open_snapshot: OpenSnapshot) -> Result:
        """Raises Interrupted if the work was ended before it began."""
        with open_snapshot() as snapshot:
            try:
                self._hold(snapshot)
                return self._work(snapshot)
            finally:
                self._hold(None)

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.is_over = True
        if self.result.done():
            return  # cancelled
        if error is None:
            self.result.set_result(result)
        else:
            self.result.set_exception(error)

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
