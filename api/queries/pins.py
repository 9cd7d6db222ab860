"""Where an answer stands: a position decides which facts are in, a clock which of them have expired.

Position and clock are one thing for "now", for a block and for an instant: `valid_from <= position AND valid_to >
position` and `expires_at > clock` read all three.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from api.queries import tables
from schema.columns import end_of_block


class BlockPoint(NamedTuple):
    """A block of a chain. `time` is unix seconds."""

    chain_id: int
    number: int
    hash: bytes
    time: int


class Pin(NamedTuple):
    """The point of one chain at which a part of an answer stands.

    `position` is the last one that counts, `clock` unix seconds, `block` None before the first block that is kept.
    `explicit`: the reader asked for this point; ids carry it then.
    """

    chain_id: int
    position: int
    clock: int
    block: BlockPoint | None
    explicit: bool = False


def pin_now(chain: Row[Any]) -> Pin:
    """Returns the newest indexed block and its time, from the chain's row."""
    block = BlockPoint(chain.chain_id, chain.indexed_number, chain.indexed_hash, chain.indexed_time)
    return pin_at(block)


def pin_at(block: BlockPoint, clock: int | None = None, *, explicit: bool = False) -> Pin:
    """Returns the state after a block, by the block's own time or another clock."""
    return Pin(block.chain_id, end_of_block(block.number), block.time if clock is None else clock, block, explicit)


def before_all_blocks(chain_id: int, clock: int) -> Pin:
    """Returns the point before the first block that is kept, where nothing is."""
    return Pin(chain_id, -1, clock, None, explicit=True)


def block_at_or_below(connection: Connection, chain_id: int, number: int) -> BlockPoint | None:
    """Returns the last kept block up to a number."""
    return _block(
        connection,
        select_blocks(chain_id).where(BLOCK.number <= number).order_by(BLOCK.number.desc()).limit(1),
    )


def block_with_hash(connection: Connection, chain_ids: Iterable[int], hash: bytes) -> BlockPoint | None:
    """Returns the canonical block of a hash in whichever of the chains has it."""
    found = (_block(connection, select_blocks(chain_id).where(BLOCK.hash == hash)) for chain_id in chain_ids)
    return next((block for block in found if block is not None), None)


def block_at_time(connection: Connection, chain_id: int, seconds: int) -> BlockPoint | None:
    """Returns the last kept block at or before an instant."""
    return _block(
        connection,
        select_blocks(chain_id)
        .where(BLOCK.timestamp <= seconds)
        .order_by(BLOCK.timestamp.desc(), BLOCK.number.desc())
        .limit(1),
    )


def was_orphaned(connection: Connection, chain_id: int, hash: bytes) -> bool:
    """Tells whether a reorg took the block back."""
    orphans = tables.orphaned_block.c
    query = select(orphans.number).where(orphans.chain_id == chain_id, orphans.hash == hash).limit(1)
    return connection.execute(query).first() is not None


def is_canonical(connection: Connection, block: BlockPoint, final_number: int) -> bool:
    """Tells whether a block that once was indexed still is.

    At or below `final_number` only headers with events are kept: a block without a row and without an orphan's record
    is taken at its word there.
    """
    row = connection.execute(select_blocks(block.chain_id).where(BLOCK.number == block.number)).first()
    if row is not None:
        return bool(row.hash == block.hash)
    return block.number <= final_number and not was_orphaned(connection, block.chain_id, block.hash)


BLOCK = tables.block.c


def select_blocks(chain_id: int) -> Any:
    return select(BLOCK.chain_id, BLOCK.number, BLOCK.hash, BLOCK.timestamp).where(BLOCK.chain_id == chain_id)


def _block(connection: Connection, query: Any) -> BlockPoint | None:
    row = connection.execute(query).first()
    return None if row is None else BlockPoint(*row)
