"""Transactions, by the logs that they emitted."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from api.queries.sql import tables
from api.queries.sql.scope import block_of_log

event = tables.event
block = tables.block


def transactions(connection: Connection, chain_ids: Sequence[int], hash: bytes) -> list[Row[Any]]:
    """Returns the transaction with a hash, and its block, on each of the chains that have a log of it."""
    rows = (connection.execute(_first_log(chain_id, hash)).one_or_none() for chain_id in chain_ids)
    return [row for row in rows if row is not None]


def _first_log(chain_id: int, hash: bytes) -> Select[Any]:
    return (
        select(
            event.c.chain_id,
            event.c.transaction_hash,
            event.c.transaction_index,
            block.c.number,
            block.c.hash,
            block.c.timestamp,
        )
        .select_from(event.join(block, block_of_log(block, event.c.chain_id, event.c.position)))
        .where(event.c.chain_id == chain_id, event.c.transaction_hash == hash)
        .order_by(event.c.position)
        .limit(1)
    )
