"""Sending to one client: one message at a time, and only while the client reads."""

import asyncio
from collections.abc import Awaitable, Callable


class ClientTooSlow(Exception):
    """The client has not received a message in the time it has for one."""


class Sender:
    """Sends messages one after another. Each must be sent within `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()

    async def send(self, message: Callable[[], Awaitable[None]]) -> None:
        """Sends a message. Raises ClientTooSlow."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._seconds):
                    await message()
            except TimeoutError:
                raise ClientTooSlow from None
