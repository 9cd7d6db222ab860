"""Answers of contracts that complete what their events leave out."""

from sqlalchemy import Connection, func, select

from api.queries.sql import tables

call = tables.call


def answered_at(connection: Connection, chain_id: int, to: bytes, data: bytes) -> int | None:
    """Returns the block at which a contract was last asked this; None where it never was."""
    asked = (call.c.chain_id == chain_id, call.c.to_address == to, call.c.data == data)
    block_number: int | None = connection.execute(select(func.max(call.c.block_number)).where(*asked)).scalar_one()
    return block_number
