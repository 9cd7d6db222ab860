"""The state as tasks use it: its statements run in one thread, and progress is stored in the background.

While progress is written, further progress gathers, and is written next in one transaction. A receiver is therefore
never slower for the disk, and a crash repeats only the messages of the last moments.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.delivery.state import Progress, State

ResultT = TypeVar("ResultT")


class Storage:
    """The state of one process. Belongs to one event loop."""

    def __init__(self, url: str) -> None:
        self._state = State(url)
        self._thread = ThreadPoolExecutor(1, "state")
        self._unsaved: dict[str, Progress] = {}
        self._changed = asyncio.Event()

    async def run(self, work: Callable[[State], ResultT]) -> ResultT:
        """Returns the result of work on the state, which runs in its thread, also if this is cancelled.

        Raises StateLost.
        """
        running = asyncio.get_running_loop().run_in_executor(self._thread, work, self._state)
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # a task may not be awaited
        return await asyncio.shield(running)

    def note(self, name: str, progress: Progress) -> None:
        """Stores the progress of a subscription soon."""
        self._unsaved[name] = progress
        self._changed.set()

    async def store_progress(self) -> None:
        """Stores progress until cancelled. Raises StateLost."""
        while True:
            await self._changed.wait()
            await self.flush()

    async def flush(self) -> None:
        """Stores all progress that was noted. Raises StateLost."""
        self._changed.clear()
        unsaved, self._unsaved = self._unsaved, {}
        if unsaved:
            await self.run(lambda state: state.save(unsaved))

    async def reset(self) -> None:
        """Closes the connection, releases the lock, and drops what could not be stored."""
        self._unsaved = {}
        await self.run(State.close)

    async def close(self) -> None:
        await self.reset()
        self._thread.shutdown()
