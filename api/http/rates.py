"""Rate limits of a client: requests, and their cost, per time window.

A client is an IPv4 address, or the /64 network of an IPv6 address, as a subscriber owns the whole network. The workers
of one service count together, two services each for itself.
"""

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from starlette.types import Scope

from api.graphql.errors import Code, Refusal
from api.http.windows import Take, Windows
from api.settings import Settings
from schema.program.settings import SettingsError

if TYPE_CHECKING:
    from limits import RateLimitItem


class RateLimited(Refusal):
    """A client has exceeded its rate."""

    code = Code.RATE_LIMITED
    retry_after: int

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rates:
    """Counts the requests of clients and their cost: with `take`, or in windows of its own.

    Raises SettingsError if COST_RATE is below MAX_COST.
    """

    def __init__(self, settings: Settings, take: Take | None = None) -> None:
        self.requests: RateLimitItem | None = None
        self.cost: RateLimitItem | None = None
        self._take: Take
        if settings.request_rate or settings.cost_rate:
            self._limit(settings, take or Windows().take)

    def _limit(self, settings: Settings, take: Take) -> None:
        from limits import parse  # slow to import: only if a rate is set

        self._take = take
        self.requests = parse(settings.request_rate) if settings.request_rate else None
        self.cost = parse(settings.cost_rate) if settings.cost_rate else None
        if self.cost and self.cost.amount < settings.max_cost:
            raise SettingsError(
                f"COST_RATE allows a cost of {self.cost.amount}, but MAX_COST allows one request {settings.max_cost}: "
                f"raise COST_RATE or lower MAX_COST. Example: COST_RATE={10 * settings.max_cost}/minute"
            )

    def client(self, scope: Scope) -> "Client":
        """Returns the client of a connection."""
        return Client(self, scope["client"][0] if scope.get("client") else "")

    def take(self, rate: "RateLimitItem", host: str, count: int, unit: str) -> None:
        """Counts against a client's rate. If that exceeds it, counts nothing and raises RateLimited."""
        wait = self._take(rate, unit, _key(host), count)
        if wait:
            raise RateLimited(
                f"The limit is {rate.amount} {unit} in {rate.get_expiry()} s for each client: wait {wait} s.", wait
            )


class Client:
    """One client, as the rates count it."""

    def __init__(self, rates: Rates, host: str) -> None:
        self._rates = rates
        self._host = host

    def take_request(self) -> None:
        """Counts a request. Raises RateLimited."""
        if self._rates.requests:
            self._rates.take(self._rates.requests, self._host, 1, "requests")

    def take_cost(self, cost: int) -> None:
        """Counts the cost of a request. Raises RateLimited."""
        if self._rates.cost:
            self._rates.take(self._rates.cost, self._host, cost, "rows")


def _key(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address)
