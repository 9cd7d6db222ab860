"""Branches: what a reorg took back, seen from a block that somebody still holds.

A block names its whole past by its hash. Where it is no longer canonical, its branch is read in the evidence of the
reorgs, from part to part, down to the first block that is canonical again: the common ancestor.
"""

from typing import NamedTuple

from sqlalchemy import Connection, Row, and_, select

from api.queries.sql import tables

block = tables.block
orphan = tables.orphaned_block
reorg = tables.reorg


class LostPart(NamedTuple):
    """Blocks `first` to `last` of a branch, as one reorg took them back."""

    reorg_no: int
    first: int
    last: int


class Branch(NamedTuple):
    """The blocks up to `ancestor` are canonical; the `lost` above it are not, the newest first."""

    ancestor: int
    lost: tuple[LostPart, ...] = ()


def branch_of(connection: Connection, chain_id: int, number: int, hash: bytes) -> Branch | None:
    """Returns the branch that ends with a block, None for a block that is neither canonical nor a reorg's.

    A header without events is dropped once it is final: such a block is an ancestor, and none where the branch ends.
    """
    lost: list[LostPart] = []
    while not _is_kept(connection, chain_id, number, hash):
        found = _taken_back(connection, chain_id, number, hash)
        if found is None:
            return Branch(number, tuple(lost)) if lost else None
        shared = _newest_shared(connection, chain_id, found.reorg_no, number)
        first = found.ancestor_number + 1 if shared is None else shared + 1
        if first <= number:
            lost.append(LostPart(found.reorg_no, first, number))
        if shared is not None:
            return Branch(shared, tuple(lost))
        number, hash = found.ancestor_number, found.ancestor_hash
    return Branch(number, tuple(lost))


def _is_kept(connection: Connection, chain_id: int, number: int, hash: bytes) -> bool:
    query = select(block.c.hash).where(block.c.chain_id == chain_id, block.c.number == number)
    return connection.execute(query).scalar_one_or_none() == hash


def _taken_back(connection: Connection, chain_id: int, number: int, hash: bytes) -> Row[int, int, bytes] | None:
    """Returns the latest reorg that took a block back: a block may come again and go again."""
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
    """Returns the number of the newest block, of those that a reorg took back, that came again since."""
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
