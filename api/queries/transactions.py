"""Transactions, by the logs that they emitted."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from api.queries.sql import tables
from api.queries.sql.scope import block_number_of

event = tables.event
block = tables.block


def transactions(connection: Connection, chain_ids: Sequence[int], hash: bytes) -> list[Row[Any]]:
    """Returns the transaction of a hash in each of the networks that hold a log of it, with its block."""
    found = (connection.execute(_first_log(chain_id, hash)).one_or_none() for chain_id in chain_ids)
    return [row for row in found if row is not None]


def _first_log(chain_id: int, hash: bytes) -> Any:
    of_event = and_(block.c.chain_id == event.c.chain_id, block.c.number == block_number_of(event.c.position))
    return (
        select(
            event.c.chain_id,
            event.c.transaction_hash,
            event.c.transaction_index,
            block.c.number,
            block.c.hash,
            block.c.timestamp,
        )
        .select_from(event.join(block, of_event))
        .where(event.c.chain_id == chain_id, event.c.transaction_hash == hash)
        .order_by(event.c.position)
        .limit(1)
    )
