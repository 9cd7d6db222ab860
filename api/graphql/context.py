"""What a request carries: its snapshot, its loaders, and the settings that answers depend on."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import InitVar, dataclass, field

import strawberry

from api.graphql.vocabulary.enums import Finality
from api.queries.recorded import finality_of
from api.queries.sql.as_of import Pin
from api.reading.batching import QueryRunner
from api.reading.loaders import Loaders
from api.reading.readiness import Freshness
from api.reading.snapshot import Snapshot

__all__ = ["Context", "Info", "Pin"]


def _charge_nothing(cost: int) -> None:
    pass


@dataclass
class Context:
    """What one request carries.

    `initial` runs its queries from the start; without it the request opens a snapshot by `open_snapshot`, once it is
    known to be within its limits. `charge` is called with the request's cost before any field is read, and may raise a
    Refusal. `now` is the server's clock, which only `_meta` reads. `is_volatile` is set by fields whose value changes
    without a new revision: such an answer is not kept. `awaited` is a block, by chain id and number, that must be
    indexed before the request is answered.
    """

    initial: InitVar[QueryRunner | None]
    freshness: Freshness = field(default_factory=Freshness)
    now: Callable[[], float] = time.time
    is_volatile: bool = False
    charge: Callable[[int], None] = _charge_nothing
    open_snapshot: "Callable[[Context], AbstractAsyncContextManager[None]] | None" = None
    awaited: tuple[int, int] | None = None
    is_open: bool = False
    runner: QueryRunner = field(init=False)
    snapshot: Snapshot = field(init=False)
    loaders: Loaders = field(init=False)

    def __post_init__(self, initial: QueryRunner | None) -> None:
        if initial is not None:
            self.read_from(initial)

    def read_from(self, runner: QueryRunner) -> None:
        """Reads the database through this runner from now on, with new loaders."""
        self.is_open = True
        self.runner = runner
        self.snapshot = runner.snapshot
        self.loaders = Loaders(runner)

    def finality(self, chain_id: int, block_number: int) -> Finality:
        """Returns the finality of a canonical block."""
        chain = self.snapshot.chains[chain_id]
        return finality_of(block_number, chain.safe_number, chain.finalized_number)


Info = strawberry.Info[Context, None]
