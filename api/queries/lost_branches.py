"""Lost branches: the events that reorgs removed behind a block that a client still has.

A block's hash stands for its whole past. If the block is no longer canonical, its branch is read from the records of
the reorgs, part by part, down to the first block that is canonical again: the common ancestor.
"""

from typing import NamedTuple

from sqlalchemy import Connection, Row, and_, select

from api.queries.sql import tables

block = tables.block
orphan = tables.orphaned_block
reorg = tables.reorg


class LostPart(NamedTuple):
    """Blocks `first` to `last` of a branch, which one reorg removed."""

    reorg_no: int
    first: int
    last: int


class Branch(NamedTuple):
    """The blocks up to `ancestor` are canonical, those in `lost` above it are not; the newest part is first."""

    ancestor: int
    lost: tuple[LostPart, ...] = ()


def branch_of(connection: Connection, chain_id: int, number: int, hash: bytes) -> Branch | None:
    """Returns the branch that ends with a block, None if the block is neither canonical nor removed by a known reorg.

    The header of a final block without events is deleted. Such a block may be the ancestor, but not the branch's end.
    """
    lost: list[LostPart] = []
    while not _is_canonical(connection, chain_id, number, hash):
        removal = _reorg_of(connection, chain_id, number, hash)
        if removal is None:
            return Branch(number, tuple(lost)) if lost else None
        shared = _newest_shared(connection, chain_id, removal.reorg_no, number)
        first = removal.ancestor_number + 1 if shared is None else shared + 1
        if first <= number:
            lost.append(LostPart(removal.reorg_no, first, number))
        if shared is not None:
            return Branch(shared, tuple(lost))
        number, hash = removal.ancestor_number, removal.ancestor_hash
    return Branch(number, tuple(lost))


def _is_canonical(connection: Connection, chain_id: int, number: int, hash: bytes) -> bool:
    query = select(block.c.hash).where(block.c.chain_id == chain_id, block.c.number == number)
    return connection.execute(query).scalar_one_or_none() == hash


def _reorg_of(connection: Connection, chain_id: int, number: int, hash: bytes) -> Row[int, int, bytes] | None:
    """Returns the latest reorg that removed a block. A block may become canonical again, and be removed again."""
    return connection.execute(
        select(reorg.c.reorg_no, reorg.c.ancestor_number, reorg.c.ancestor_hash)
        .select_from(
            orphan.join(reorg, and_(reorg.c.chain_id == orphan.c.chain_id, reorg.c.reorg_no == orphan.c.reorg_no))
        )
        .where(orphan.c.chain_id == chain_id, orphan.c.hash == hash, orphan.c.number == number)
        .order_by(reorg.c.reorg_no.desc())
        .limit(1)
    ).one_or_none()


def _newest_shared(connection: Connection, chain_id: int, reorg_no: int, up_to: int) -> int | None:
    """Returns the number of the newest block that a reorg removed and that is canonical again."""
    again = and_(
        block.c.chain_id == orphan.c.chain_id, block.c.number == orphan.c.number, block.c.hash == orphan.c.hash
    )
    return connection.execute(
        select(orphan.c.number)
        .select_from(orphan.join(block, again))
        .where(orphan.c.chain_id == chain_id, orphan.c.reorg_no == reorg_no, orphan.c.number <= up_to)
        .order_by(orphan.c.number.desc())
        .limit(1)
    ).scalar_one_or_none()
