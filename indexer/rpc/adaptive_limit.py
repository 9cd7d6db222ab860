"""How many requests a host is asked side by side: halved when it complains, grown slowly while it does not."""

import asyncio
from collections import deque
from types import TracebackType

FEWEST = 1.0


class Slots:
    """A semaphore whose size follows the host, between one and `most`."""

    def __init__(self, start: int = 8, most: int = 16) -> None:
        self.limit = float(start)
        self.most = float(most)
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def shrink(self) -> None:
        """Halves the size: the host said that this is too much."""
        self.limit = max(self.limit / 2, FEWEST)

    def grow(self) -> None:
        """Adds one place for each full round of answers."""
        self.limit = min(self.limit + 1 / self.limit, self.most)

    async def __aenter__(self) -> None:
        while self.taken >= int(self.limit):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place in self._waiting:
                    self._waiting.remove(place)
                else:
                    self._wake()  # it was our turn: pass it on
                raise
        self.taken += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.taken -= 1
        self._wake()

    def _wake(self) -> None:
        free = int(self.limit) - self.taken
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
