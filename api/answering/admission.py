"""How many snapshots may be open at a time: others wait their turn, and the wait is measured."""

import asyncio
import time
from typing import Literal

from schema.program.metrics import Histogram

WAIT_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


class Slots(asyncio.Semaphore):
    """A semaphore that knows how many wait for it, and how long it was waited for."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.waiting = 0
        self.seconds = Histogram(WAIT_SECONDS)

    async def acquire(self) -> Literal[True]:
        began = time.perf_counter()
        self.waiting += 1
        try:
            taken = await super().acquire()
        finally:
            self.waiting -= 1
        self.seconds.observe(time.perf_counter() - began)
        return taken
