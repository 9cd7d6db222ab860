"""Where an answer stands: a position decides which facts are in, a clock which of them have expired.

Position and clock are one thing for "now", for a block and for an instant: `valid_from <= position AND valid_to >
position` and `expires_at > clock` read all three.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, select

from api.queries.sql import tables
from api.queries.sql.prepared import fetch
from schema.tables.values import end_of_block


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
    """Returns the newest indexed block and its time, from the chain's row; where none is, the point before all."""
    if chain.indexed_number < 0:
        return Pin(chain.chain_id, -1, 0, None)
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
    return _block(connection, AT_OR_BELOW, {"chain_id": chain_id, "number": number})


def blocks_with_hashes(connection: Connection, names: Sequence[tuple[int, bytes]]) -> list[BlockPoint | None]:
    """Returns the canonical block of each (chain id, hash), None for one that is not kept."""
    chain_ids, hashes = {chain_id for chain_id, _ in names}, {hash for _, hash in names}
    rows = connection.execute(SELECT_BLOCKS.where(BLOCK.chain_id.in_(chain_ids), BLOCK.hash.in_(hashes)))
    found = {(row.chain_id, row.hash): BlockPoint(*row) for row in rows}
    return [found.get(name) for name in names]


def block_at_time(connection: Connection, chain_id: int, seconds: int) -> BlockPoint | None:
    """Returns the last kept block at or before an instant."""
    return _block(connection, AT_TIME, {"chain_id": chain_id, "seconds": seconds})


def blocks_at_times(connection: Connection, keys: Sequence[tuple[int, int]]) -> list[BlockPoint | None]:
    """Returns the last kept block of each (chain id, instant) at or before it."""
    return [block_at_time(connection, chain_id, seconds) for chain_id, seconds in keys]


def were_orphaned(connection: Connection, names: Sequence[tuple[int, bytes]]) -> list[bool]:
    """Tells of each (chain id, hash) whether a reorg took that block back."""
    orphan = tables.orphaned_block.c
    chain_ids, hashes = {chain_id for chain_id, _ in names}, {hash for _, hash in names}
    query = select(orphan.chain_id, orphan.hash).where(orphan.chain_id.in_(chain_ids), orphan.hash.in_(hashes))
    found = {(row.chain_id, row.hash) for row in connection.execute(query)}
    return [name in found for name in names]


def are_canonical(connection: Connection, final_numbers: Mapping[int, int], blocks: Sequence[BlockPoint]) -> list[bool]:
    """Tells of each block that once was indexed whether it still is.

    At or below a chain's final number only headers with events are kept: a block without a row and without an orphan's
    record is taken at its word there.
    """
    chain_ids, numbers = {block.chain_id for block in blocks}, {block.number for block in blocks}
    rows = connection.execute(SELECT_BLOCKS.where(BLOCK.chain_id.in_(chain_ids), BLOCK.number.in_(numbers)))
    kept = {(row.chain_id, row.number): row.hash for row in rows}
    orphaned = were_orphaned(connection, [(block.chain_id, block.hash) for block in blocks])
    return [
        kept[block.chain_id, block.number] == block.hash
        if (block.chain_id, block.number) in kept
        else block.number <= final_numbers[block.chain_id] and not gone
        for block, gone in zip(blocks, orphaned, strict=True)
    ]


BLOCK = tables.block.c
SELECT_BLOCKS = select(BLOCK.chain_id, BLOCK.number, BLOCK.hash, BLOCK.timestamp)


OF_CHAIN = SELECT_BLOCKS.where(BLOCK.chain_id == bindparam("chain_id", type_=BLOCK.chain_id.type)).limit(1)
AT_OR_BELOW = OF_CHAIN.where(BLOCK.number <= bindparam("number", type_=BLOCK.number.type)).order_by(BLOCK.number.desc())
AT_TIME = OF_CHAIN.where(BLOCK.timestamp <= bindparam("seconds", type_=BLOCK.timestamp.type)).order_by(
    BLOCK.timestamp.desc(), BLOCK.number.desc()
)


def _block(connection: Connection, query: Select[Any], values: dict[str, int]) -> BlockPoint | None:
    rows = fetch(connection, query, values)
    return BlockPoint._make(rows[0]) if rows else None
