"""The number of requests to a host at a time: halved when the host refuses, raised slowly while it does not."""

import asyncio
from collections import deque
from types import TracebackType


class AdaptiveLimit:
    """A semaphore whose size follows the host, between 1 and `largest`."""

    def __init__(self, start: int = 8, largest: int = 16) -> None:
        self.size = float(start)
        self.largest = float(largest)
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def shrink(self) -> None:
        """Halves the size: the host refused because of too many requests."""
        self.size = max(self.size / 2, 1.0)

    def grow(self) -> None:
        """Adds 1/size, which comes to one more request at once for each full round of answers."""
        self.size = min(self.size + 1 / self.size, self.largest)

    async def __aenter__(self) -> None:
        while self.taken >= int(self.size):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self._wake()  # this turn was granted: pass it on
                raise
        self.taken += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.taken -= 1
        self._wake()

    def _wake(self) -> None:
        free = int(self.size) - self.taken
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
