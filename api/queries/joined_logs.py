"""The logs of transactions: the fact of a log may need another log of its transaction."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, literal_column, select

from api.queries.sql import tables
from schema.tables.values import MAX_OFFSET, OFFSET_BITS


class TransactionLog(NamedTuple):
    """A log and its position."""

    position: int
    address: bytes
    topics: bytes
    data: bytes


def logs_of_transactions(
    connection: Connection, chain_id: int, positions: Sequence[int], *, orphaned: bool
) -> Iterator[tuple[int, Sequence[TransactionLog]]]:
    """Yields for each position of a log the logs of its transaction, in order.

    An orphaned position may come several times: once for each reorg that removed a block of that height.
    """
    table: Table = tables.orphaned_event if orphaned else tables.event
    own = table.alias("own")
    bits: ColumnElement[int] = literal_column(str(OFFSET_BITS))
    first = own.c.position.op(">>")(bits).op("<<")(bits)
    same = and_(
        table.c.chain_id == own.c.chain_id,
        table.c.position.between(first, first + MAX_OFFSET),
        table.c.transaction_index == own.c.transaction_index,
        table.c.item == 0,
    )
    reorg = [own.c.reorg_no] if orphaned else []
    if orphaned:
        same = and_(same, table.c.reorg_no == own.c.reorg_no)
    rows = connection.execute(
        select(own.c.position.label("own_position"), *(table.c[name] for name in TransactionLog._fields), *reorg)
        .select_from(own.join(table, same))
        .where(own.c.chain_id == chain_id, own.c.position.in_(positions))
        .order_by(own.c.position, *reorg, table.c.position)
    )
    for (position, *_), logs in groupby(rows, lambda row: (row[0], *row[5:])):
        yield position, [TransactionLog._make(row[1:5]) for row in logs]
