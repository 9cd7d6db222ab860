"""Points in time: the position decides which facts are known, the clock decides which of them have expired.

Now, a block and an instant are all a position and a clock: `valid_from <= position AND valid_to > position` and
`expires_at > clock` read any of them.
"""

from typing import Any, NamedTuple

from sqlalchemy import Row

from schema.tables.values import end_of_block


class BlockPoint(NamedTuple):
    """A block of a chain. `time` is in unix seconds."""

    chain_id: int
    number: int
    hash: bytes
    time: int


class Pin(NamedTuple):
    """The point of one chain at which a part of a response is read.

    `position` is the last one included, -1 for none. `clock` is in unix seconds. `block` is None before the first
    stored block. `explicit`: the request named this point, by `asOf` or by an id. `past`: a cursor named this point,
    and a newer block is indexed.
    """

    chain_id: int
    position: int
    clock: int
    block: BlockPoint | None
    explicit: bool = False
    past: bool = False

    @property
    def is_in_ids(self) -> bool:
        """Whether the ids of objects that are read at this point carry it: they differ from those of the present."""
        return self.explicit or self.past


def pin_now(chain: Row[Any]) -> Pin:
    """Returns the pin of the newest indexed block; if a chain has none, the pin before all blocks."""
    if chain.indexed_number < 0:
        return Pin(chain.chain_id, -1, 0, None)
    block = BlockPoint(chain.chain_id, chain.indexed_number, chain.indexed_hash, chain.indexed_time)
    return pin_at(block)


def pin_at(block: BlockPoint, clock: int | None = None, *, explicit: bool = False) -> Pin:
    """Returns the pin after a block. The clock is the block's own time by default."""
    return Pin(block.chain_id, end_of_block(block.number), block.time if clock is None else clock, block, explicit)


def before_all_blocks(chain_id: int, clock: int) -> Pin:
    """Returns the pin before the first stored block, at which nothing exists."""
    return Pin(chain_id, -1, clock, None, explicit=True)
