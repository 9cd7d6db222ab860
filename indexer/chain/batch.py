"""A batch: consecutive blocks with the watched contracts' logs, as they were fetched."""

from collections.abc import Sequence

from msgspec import Struct

from indexer.chain.wire import Header, RawLog


class BlockLogs(Struct, frozen=True):
    """A block and the watched contracts' logs in it, in order.

    `level` is a VerificationLevel; `note` is the reason why the block cannot be verified, if it is already known.
    """

    header: Header
    logs: Sequence[RawLog]
    level: int
    note: str | None = None

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def timestamp(self) -> int:
        return self.header.timestamp


class Batch(Struct, frozen=True):
    """What one step adds: blocks in order, and the header of the last block that the batch covers.

    Blocks without logs may be left out.
    """

    blocks: Sequence[BlockLogs]
    last: Header
