"""Blocks: by number, hash or time, and whether a block is still canonical.

The database has the header of each block that holds events or is not yet final; other headers are deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from api.queries.sql.keys import Key, row_by_key
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.prepared import fetch
from api.queries.sql.scope import Scope
from schema.tables.values import INT64_MAX, end_of_block, position

BLOCK = tables.block.c
SELECT_BLOCKS = select(BLOCK.chain_id, BLOCK.number, BLOCK.hash, BLOCK.timestamp)
"""The columns of a `BlockPoint`."""

OF_CHAIN = SELECT_BLOCKS.where(BLOCK.chain_id == bindparam("chain_id", type_=BLOCK.chain_id.type)).limit(1)
AT_OR_BELOW = OF_CHAIN.where(BLOCK.number <= bindparam("number", type_=BLOCK.number.type)).order_by(BLOCK.number.desc())
ABOVE = OF_CHAIN.where(BLOCK.number > bindparam("number", type_=BLOCK.number.type)).order_by(BLOCK.number)
AT_TIME = OF_CHAIN.where(BLOCK.timestamp <= bindparam("seconds", type_=BLOCK.timestamp.type)).order_by(
    BLOCK.timestamp.desc(), BLOCK.number.desc()
)
FROM_TIME = OF_CHAIN.where(BLOCK.timestamp >= bindparam("seconds", type_=BLOCK.timestamp.type)).order_by(
    BLOCK.timestamp, BLOCK.number
)
WITH_HASH = OF_CHAIN.where(BLOCK.hash == bindparam("hash", type_=BLOCK.hash.type))
DIGEST_AT = AT_OR_BELOW.with_only_columns(BLOCK.digest).where(BLOCK.digest.is_not(None))


def blocks(connection: Connection, names: Sequence[tuple[int, int]]) -> list[BlockPoint | None]:
    """Returns the canonical block of each (chain id, number), None if it is not stored."""
    rows = _by_number(connection, [Key(chain_id, number, 0, 0) for chain_id, number in names])
    return [None if row is None else BlockPoint._make(row[:4]) for row in rows]


@row_by_key
def _by_number(scope: Scope) -> Select[Any]:
    number = (BLOCK.chain_id == scope.chain_id) & (BLOCK.number == scope.id)
    return SELECT_BLOCKS.select_from(OrderedJoin(scope.keys, tables.block, number))


def blocks_with_hashes(connection: Connection, names: Sequence[tuple[int, bytes]]) -> list[BlockPoint | None]:
    """Returns the canonical block of each (chain id, hash), None if it is not stored."""
    chain_ids, hashes = {chain_id for chain_id, _ in names}, {hash for _, hash in names}
    rows = connection.execute(SELECT_BLOCKS.where(BLOCK.chain_id.in_(chain_ids), BLOCK.hash.in_(hashes)))
    blocks = {(row.chain_id, row.hash): BlockPoint(*row) for row in rows}
    return [blocks.get(name) for name in names]


def block_at_or_below(connection: Connection, chain_id: int, number: int) -> BlockPoint | None:
    """Returns the last stored block up to a number."""
    return _first(connection, AT_OR_BELOW, {"chain_id": chain_id, "number": number})


def first_block_above(connection: Connection, chain_id: int, number: int) -> BlockPoint | None:
    """Returns the first stored block above a number."""
    return _first(connection, ABOVE, {"chain_id": chain_id, "number": number})


def digests_at(connection: Connection, names: Sequence[tuple[int, int]]) -> list[bytes | None]:
    """Returns the digest of each (chain id, block number): that of the last block with events up to it, None before."""
    return [connection.execute(DIGEST_AT, {"chain_id": id, "number": number}).scalar() for id, number in names]


def block_at_time(connection: Connection, chain_id: int, seconds: int) -> BlockPoint | None:
    """Returns the last stored block at or before an instant."""
    return _first(connection, AT_TIME, {"chain_id": chain_id, "seconds": seconds})


def blocks_at_times(connection: Connection, names: Sequence[tuple[int, int]]) -> list[BlockPoint | None]:
    """Returns the last stored block at or before the instant of each (chain id, unix seconds)."""
    return [block_at_time(connection, chain_id, seconds) for chain_id, seconds in names]


def last_position_by(connection: Connection, chain_id: int, seconds: int) -> int:
    """Returns the last position whose block time is at or before an instant; if there is none, -1."""
    block = block_at_time(connection, chain_id, seconds)
    return -1 if block is None else end_of_block(block.number)


def first_position_from(connection: Connection, chain_id: int, seconds: int) -> int:
    """Returns the first position whose block time is at or after an instant; if there is none, the largest int64."""
    block = _first(connection, FROM_TIME, {"chain_id": chain_id, "seconds": seconds})
    return INT64_MAX if block is None else position(block.number, 0)


def last_position_of(connection: Connection, chain_id: int, hash: bytes) -> int:
    """Returns the last position of the canonical block with a hash; if it is not stored, -1, which no log is at."""
    block = _first(connection, WITH_HASH, {"chain_id": chain_id, "hash": hash})
    return -1 if block is None else end_of_block(block.number)


def were_orphaned(connection: Connection, names: Sequence[tuple[int, bytes]]) -> list[bool]:
    """Returns for each (chain id, hash) whether a reorg removed that block."""
    orphan = tables.orphaned_block.c
    chain_ids, hashes = {chain_id for chain_id, _ in names}, {hash for _, hash in names}
    query = select(orphan.chain_id, orphan.hash).where(orphan.chain_id.in_(chain_ids), orphan.hash.in_(hashes))
    orphaned = {(row.chain_id, row.hash) for row in connection.execute(query)}
    return [name in orphaned for name in names]


def are_canonical(connection: Connection, final_numbers: Mapping[int, int], blocks: Sequence[BlockPoint]) -> list[bool]:
    """Returns for each block that was once indexed whether it is still canonical.

    At or below the final number of its chain, a block without events has no row. If such a block is not recorded as
    orphaned either, it is canonical.
    """
    chain_ids, numbers = {block.chain_id for block in blocks}, {block.number for block in blocks}
    rows = connection.execute(SELECT_BLOCKS.where(BLOCK.chain_id.in_(chain_ids), BLOCK.number.in_(numbers)))
    hashes = {(row.chain_id, row.number): row.hash for row in rows}
    orphaned = were_orphaned(connection, [(block.chain_id, block.hash) for block in blocks])
    return [
        hashes[block.chain_id, block.number] == block.hash
        if (block.chain_id, block.number) in hashes
        else block.number <= final_numbers[block.chain_id] and not is_orphaned
        for block, is_orphaned in zip(blocks, orphaned, strict=True)
    ]


def _first(connection: Connection, query: Select[Any], values: dict[str, Any]) -> BlockPoint | None:
    rows = fetch(connection, query, values)
    return BlockPoint._make(rows[0]) if rows else None
