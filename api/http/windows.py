"""What rate limits count: the sum of each client in fixed time windows, which begin with its first request."""

import math
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limits import RateLimitItem

Take = Callable[["RateLimitItem", str, str, int], int]
"""Counts, for a rate, a unit and a client. Returns 0, or counts nothing and returns the seconds to wait if the rate
would be exceeded."""


class Windows:
    """The windows of one service, in memory."""

    def __init__(self) -> None:
        from limits.storage import MemoryStorage  # slow to import: only if a rate is set
        from limits.strategies import FixedWindowRateLimiter

        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._lock = Lock()

    def take(self, rate: "RateLimitItem", unit: str, client: str, count: int) -> int:
        """See `Take`."""
        with self._lock:
            if self._limiter.test(rate, unit, client, cost=count):
                self._limiter.hit(rate, unit, client, cost=count)
                return 0
            return max(1, math.ceil(self._limiter.get_window_stats(rate, unit, client).reset_time - time.time()))
