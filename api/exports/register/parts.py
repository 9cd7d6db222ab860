"""What an export of the register reads: per chain, the months, and what an earlier export has of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from api.exports.register.manifest import Block, ManifestError, Retraction
from api.queries.blocks import are_canonical, block_at_time, first_block_above
from api.queries.lost_branches import branch_of
from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint, Pin, pin_at
from api.queries.sql.times import LAST_SECOND
from api.reading.snapshot import Snapshot
from schema.tables.values import MAX_OFFSET, OFFSET_BITS, end_of_block

orphan, orphaned_block = tables.orphaned_event, tables.orphaned_block


class Month(NamedTuple):
    """A month of a chain, and the positions of its logs: `after` up to and including `last`."""

    name: str
    after: int
    last: int


class Before(NamedTuple):
    """What an earlier export has of a chain: the events up to `pin`, and the state there.

    `is_lost`: a reorg removed its block. Then `pin` is at the newest block that is left, where it has no state, and
    `retractions` are the events that it has above.
    """

    pin: Pin
    is_lost: bool = False
    retractions: Sequence[Retraction] = ()


def months_of(snapshot: Snapshot, pin: Pin, after: int = -1) -> Iterator[Month]:
    """Yields the months in which a chain has blocks behind a position, up to a pin."""
    while block := snapshot.read_now(first_block_above, pin.chain_id, after >> OFFSET_BITS):
        if end_of_block(block.number) > pin.position:
            return
        began = datetime.fromtimestamp(min(max(block.time, 0), LAST_SECOND), UTC)
        last = snapshot.read_now(block_at_time, pin.chain_id, _end_of(began))
        number = block.number if last is None else max(block.number, last.number)
        end = min(end_of_block(number), pin.position)
        yield Month(f"{began:%Y-%m}", after, end)
        after = end


def _end_of(instant: datetime) -> int:
    """Returns the last second of the instant's month."""
    if (instant.year, instant.month) == (9999, 12):
        return LAST_SECOND
    year, month = divmod(instant.year * 12 + instant.month, 12)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) - 1


def state_before(snapshot: Snapshot, pin: Pin, old: Block) -> Before:
    """Returns what an export at an old block has of what is canonical at a pin. Raises ManifestError."""
    block = BlockPoint(old.chain, old.block, _hash(old.hash), old.time)
    if end_of_block(old.block) > pin.position:
        raise ManifestError(
            f"The manifest is of block {old.block} of chain {old.chain}, which is above the block to export."
        )
    (is_canonical,) = snapshot.read_now(are_canonical, snapshot.final_numbers, [block])
    if is_canonical:
        return Before(pin_at(block))
    branch = snapshot.read_now(branch_of, old.chain, old.block, block.hash)
    if branch is None:
        raise ManifestError(
            f"The manifest is of block {old.block} ({old.hash}) of chain {old.chain}, which this index does not have: "
            "make a whole export, without --since."
        )
    retractions = [
        retraction
        for part in branch.lost
        for retraction in snapshot.read_now(_retractions, old.chain, part.reorg_no, part.first, part.last)
    ]
    ancestor = BlockPoint(old.chain, branch.ancestor, b"", old.time)
    return Before(pin_at(ancestor), True, sorted(retractions, key=lambda each: tuple(map(int, each.key.split(":")))))


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ManifestError(f"The manifest has the block hash {text[:80]}, which is no hash.") from None


def _retractions(connection: Connection, chain_id: int, reorg_no: int, first: int, last: int) -> list[Retraction]:
    number: Any = orphan.c.position.op(">>")(OFFSET_BITS)
    rows = connection.execute(
        select(orphan.c.position, orphaned_block.c.hash)
        .join(
            orphaned_block,
            (orphaned_block.c.chain_id == orphan.c.chain_id)
            & (orphaned_block.c.reorg_no == orphan.c.reorg_no)
            & (orphaned_block.c.number == number),
        )
        .where(
            orphan.c.chain_id == chain_id,
            orphan.c.reorg_no == reorg_no,
            orphan.c.position.between(first << OFFSET_BITS, end_of_block(last)),
        )
    )
    return [
        Retraction(chain_id, f"{chain_id}:{position >> OFFSET_BITS}:{position & MAX_OFFSET}", f"0x{hash.hex()}")
        for position, hash in rows
    ]
