"""Limits the snapshots that are open at a time. Further requests wait, and the wait is measured."""

import asyncio
import time
from typing import Literal

from schema.program.metrics import histogram

REQUEST_SNAPSHOTS = 8
"""For GraphQL over HTTP. With the others fewer than the engine's connections: a request that waited for a connection
inside a thread would keep the threads of those that have one from ending."""

LIVE_SNAPSHOTS = 4
"""For the operations of all WebSockets and event streams."""

EXPORT_SNAPSHOTS = 2
"""For the chunks of all exports and look-ups: other requests keep most of the processor."""

WAIT_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


class Admission(asyncio.Semaphore):
    """A semaphore that counts how many wait for it, and measures how long they wait."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.waiting = 0
        self.seconds = histogram(WAIT_SECONDS)

    async def acquire(self) -> Literal[True]:
        began = time.perf_counter()
        self.waiting += 1
        try:
            acquired = await super().acquire()
        finally:
            self.waiting -= 1
        self.seconds.observe(time.perf_counter() - began)
        return acquired
