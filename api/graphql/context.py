"""The context of a request: its reads, and the settings that its response depends on."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple

from api.graphql.vocabulary.enums import Finality
from api.queries.recorded import finality_of
from api.reading.read import Read
from api.reading.readiness import Freshness
from api.reading.snapshot import Snapshot

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


@dataclass
class Context:
    """What one request carries.

    `read` reads rows with all cells until a plan replaces it. `now` is the server's clock, which only `_meta` reads.
    `is_volatile` is set by fields whose value changes without a new revision: such an answer is not kept. `batches` are
    the batches of fields that graphql-core executes.
    """

    snapshot: Snapshot
    freshness: Freshness = field(default_factory=Freshness)
    now: Callable[[], float] = time.time
    is_volatile: bool = False
    batches: dict[Hashable, Any] = field(default_factory=dict)
    read: Read = field(init=False)

    def __post_init__(self) -> None:
        self.read = Read(self.snapshot)

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Returns the result of a function that reads the snapshot, in a thread."""
        return await self.snapshot.read(lambda _: function(*arguments))

    def finality(self, chain_id: int, block_number: int) -> Finality:
        """Returns the finality of a canonical block."""
        chain = self.snapshot.chains[chain_id]
        return finality_of(block_number, chain.safe_number, chain.finalized_number)
