"""What a request carries: what it reads, and the settings that answers depend on."""

import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import InitVar, dataclass, field
from typing import Any, TypeVar, TypeVarTuple

import strawberry

from api.graphql.vocabulary.enums import Finality
from api.queries.recorded import finality_of
from api.queries.sql.as_of import Pin
from api.queries.sql.relations import Relation
from api.reading.read import Read, Shape
from api.reading.readiness import Freshness
from api.reading.snapshot import Snapshot

__all__ = ["Context", "Info", "Pin"]


Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def _charge_nothing(cost: int) -> None:
    pass


@dataclass
class Context:
    """What one request carries.

    With `initial` it reads that from the start; without it the request opens a snapshot by `open_snapshot`, once it is
    known to be within its limits. `charge` is called with the request's cost before any field is read, and may raise a
    Refusal. `now` is the server's clock, which only `_meta` reads. `is_volatile` is set by fields whose value changes
    without a new revision: such an answer is not kept. `awaited` is a block, by chain id and number, that must be
    indexed before the request is answered. `batches` are the batches of fields that graphql-core executes.
    """

    initial: InitVar[Snapshot | None]
    freshness: Freshness = field(default_factory=Freshness)
    now: Callable[[], float] = time.time
    is_volatile: bool = False
    charge: Callable[[int], None] = _charge_nothing
    open_snapshot: "Callable[[Context], AbstractAsyncContextManager[None]] | None" = None
    awaited: tuple[int, int] | None = None
    is_open: bool = False
    batches: dict[Hashable, Any] = field(default_factory=dict)
    read: Read = field(init=False)
    snapshot: Snapshot = field(init=False)

    def __post_init__(self, initial: Snapshot | None) -> None:
        if initial is not None:
            self.read_from(initial)

    def read_from(self, snapshot: Snapshot, shapes: Mapping[Relation, Shape] | None = None) -> None:
        """Reads a snapshot from now on. `shapes`: the cells that rows have, by default all."""
        self.is_open = True
        self.snapshot = snapshot
        self.read = Read(snapshot, shapes)
        self.batches = {}

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Returns the result of a function that reads the snapshot, in a thread."""
        return await self.snapshot.read(lambda _: function(*arguments))

    def finality(self, chain_id: int, block_number: int) -> Finality:
        """Returns the finality of a canonical block."""
        chain = self.snapshot.chains[chain_id]
        return finality_of(block_number, chain.safe_number, chain.finalized_number)


Info = strawberry.Info[Context, None]
