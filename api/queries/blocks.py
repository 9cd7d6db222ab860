"""Blocks by chain and number."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from api.queries.sql.keys import Key, key_rows


def blocks(connection: Connection, names: Sequence[tuple[int, int]]) -> list[BlockPoint | None]:
    """Returns the canonical block of each (chain id, number), None for one that is not kept."""
    keys = key_rows(connection, [Key(chain_id, number, 0, 0) for chain_id, number in names])
    block = tables.block.c
    rows = connection.execute(
        select(block.chain_id, block.number, block.hash, block.timestamp).select_from(
            keys.join(tables.block, (block.chain_id == keys.c.chain_id) & (block.number == keys.c.id))
        )
    )
    found = {(row.chain_id, row.number): BlockPoint(*row) for row in rows}
    return [found.get(name) for name in names]
