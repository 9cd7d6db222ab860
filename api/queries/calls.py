"""Contract calls whose results complete what events leave out."""

from sqlalchemy import Connection, func, select

from api.queries.sql import tables

call = tables.call


def last_call_block(connection: Connection, chain_id: int, to: bytes, data: bytes) -> int | None:
    """Returns the block of the last stored result of a call, None if there is none."""
    query = select(func.max(call.c.block_number)).where(
        call.c.chain_id == chain_id, call.c.to_address == to, call.c.data == data
    )
    block_number: int | None = connection.execute(query).scalar_one()
    return block_number
