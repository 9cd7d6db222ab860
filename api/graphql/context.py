"""What a request carries: its snapshot, its loaders, and the settings that answers depend on."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING

import strawberry

from api.graphql.vocabulary.enums import Finality
from api.queries.recorded import finality_of
from api.queries.sql.as_of import Pin
from api.reading.batching import QueryRunner
from api.reading.loaders import Loaders
from api.reading.snapshot import Snapshot

if TYPE_CHECKING:
    from api.graphql.subscription_context import Turns
    from api.graphql.types.devices import Device
    from api.graphql.types.manufacturers import HardwareLicense, Manufacturer
    from api.graphql.types.vehicles import Vehicle

__all__ = ["Context", "Freshness", "Info", "Pin"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """When `_meta` calls a network synced: chain time behind the head, and seconds since a provider answered."""

    max_lag_seconds: int = 300
    poll_stale_seconds: int = 120


def _free(cost: int) -> None:
    pass


@dataclass
class Context:
    """One a request. `now` is the server's clock, which nothing but `_meta` reads.

    `runner` is how it reads the database, from the start or, begun by `opening`, once the request is known to be
    within its limits. `take_cost` is told the cost before any field is read, and may raise a Refusal. `is_volatile` is
    set by what changes without a revision: the answer may not be kept. `awaited` is a block, by chain id and number,
    that the request wants indexed first. The context of a subscription has `turns`: each brings another snapshot.
    """

    given: InitVar[QueryRunner | None]
    freshness: Freshness = Freshness()
    now: Callable[[], float] = time.time
    turns: "Turns | None" = None
    is_volatile: bool = False
    take_cost: Callable[[int], None] = _free
    opening: "Callable[[Context], AbstractAsyncContextManager[None]] | None" = None
    awaited: tuple[int, int] | None = None
    is_open: bool = False
    runner: QueryRunner = field(init=False)
    snapshot: Snapshot = field(init=False)
    loaders: Loaders = field(init=False)
    _is_charged: bool = False

    def __post_init__(self, given: QueryRunner | None) -> None:
        if given is not None:
            self.begin(given)

    def begin(self, runner: QueryRunner) -> None:
        """Reads from now on in this way, with fresh loaders."""
        self.is_open = True
        self.runner = runner
        self.snapshot = runner.snapshot
        self.loaders = Loaders(runner)

    def charge(self, cost: int) -> None:
        """Charges the client, once, however often the request is begun anew. Raises RateLimited."""
        if not self._is_charged:
            self.take_cost(cost)
            self._is_charged = True

    def finality(self, chain_id: int, block_number: int) -> Finality:
        """Returns the finality of a canonical block."""
        chain = self.snapshot.chains[chain_id]
        return finality_of(block_number, chain.safe_number, chain.finalized_number)

    # The types import the context: they are imported when asked for.

    async def device(self, pin: Pin, id: int) -> "Device":
        """Returns the device of an id that a row names."""
        from api.graphql.types.devices import load_device

        return await load_device(self, pin, id)

    async def manufacturer(self, pin: Pin, id: int) -> "Manufacturer":
        """Returns the manufacturer of an id that a row names."""
        from api.graphql.types.manufacturers import load_manufacturer

        return await load_manufacturer(self, pin, id)

    async def hardware_license(self, pin: Pin, id: int) -> "HardwareLicense":
        """Returns the hardware licence of an id that a row names."""
        from api.graphql.types.manufacturers import load_hardware_license

        return await load_hardware_license(self, pin, id)

    async def vehicle(self, pin: Pin, id: int) -> "Vehicle":
        """Returns the vehicle of an id that a row names."""
        from api.graphql.types.vehicles import load_vehicle

        return await load_vehicle(self, pin, id)


Info = strawberry.Info[Context, None]
