"""The way out to one client: one message at a time, and only to a client that takes them."""

import asyncio
from collections.abc import Awaitable, Callable


class TooSlow(Exception):
    """The client has not taken a message in the time that it has for one."""


class Outlet:
    """Sends messages one after another. A message that does not go out in so many seconds ends the connection."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()

    async def send(self, message: Callable[[], Awaitable[None]]) -> None:
        """Sends a message. Raises TooSlow."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._seconds):
                    await message()
            except TimeoutError:
                raise TooSlow from None
