"""How much one client may ask: so many requests in a time, and so many rows that they promise.

A client is an address, or the /64 network of one of IPv6, of which whoever has one has all. Each process counts for
itself, in windows that begin with a client's first request.
"""

import math
import time
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from api.graphql.errors import Code, Refusal
from api.settings import Settings
from schema.program.settings import SettingsError

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter


class RateLimited(Refusal):
    """`retry_after` in seconds."""

    code = Code.RATE_LIMITED

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def extensions(self) -> dict[str, Any]:
        return {**super().extensions, "retryAfter": self.retry_after}


class Rates:
    """Counts what clients ask. Raises SettingsError for a rate below what one request may cost."""

    def __init__(self, settings: Settings) -> None:
        self.requests: RateLimitItem | None = None
        self.cost: RateLimitItem | None = None
        self._limiter: FixedWindowRateLimiter
        if settings.request_rate or settings.cost_rate:
            self._limit(settings)

    def _limit(self, settings: Settings) -> None:
        from limits import parse  # with all its storages: of use only where a rate is set
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self.requests = parse(settings.request_rate) if settings.request_rate else None
        self.cost = parse(settings.cost_rate) if settings.cost_rate else None
        if self.cost and self.cost.amount < settings.max_cost:
            raise SettingsError(
                f"COST_RATE allows {self.cost.amount} rows, but MAX_COST lets one request promise {settings.max_cost}: "
                f"raise the one or lower the other. Example: COST_RATE={10 * settings.max_cost}/minute"
            )
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def client(self, scope: Scope) -> "Client":
        """Returns the client of a connection."""
        return Client(self, _key(scope["client"][0] if scope.get("client") else ""))

    def take(self, rate: "RateLimitItem", key: str, count: int, what: str) -> None:
        """Takes so much of what a client has left. Raises RateLimited, and then nothing is taken."""
        # of one event loop: nothing comes between
        if self._limiter.test(rate, what, key, cost=count):
            self._limiter.hit(rate, what, key, cost=count)
            return
        wait = max(1, math.ceil(self._limiter.get_window_stats(rate, what, key).reset_time - time.time()))
        raise RateLimited(f"A client may ask for {rate.amount} {what} in {rate.get_expiry()} s: wait {wait} s.", wait)


class Client:
    """What one client may still ask."""

    def __init__(self, rates: Rates, key: str) -> None:
        self._rates = rates
        self._key = key

    def take_request(self) -> None:
        """Counts a request. Raises RateLimited."""
        if self._rates.requests:
            self._rates.take(self._rates.requests, self._key, 1, "requests")

    def take_cost(self, cost: int) -> None:
        """Counts what a request costs. Raises RateLimited."""
        if self._rates.cost:
            self._rates.take(self._rates.cost, self._key, cost, "rows")


def _key(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address)
