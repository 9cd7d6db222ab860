"""The change feed of a chain: from where a copy stands, what came and what was taken back.

A copy stands at a log of one branch and holds all that goes before it there. From a branch that a reorg took back, its
events above the common ancestor come first, newest first, then those of the canonical chain. Nothing is kept for a
reader: the feed is made of `event`, `reorg` and the orphan tables, and says the same to whoever asks from one place.

A filter is judged for each event at the end of the event's own block, so that it does not depend on when it is asked.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, exists, select

from api.queries.devices import DEVICES
from api.queries.events import FIELDS, recorded, select_events
from api.queries.lost_branches import Branch, LostPart, branch_of
from api.queries.orphans import flags_meet, perhaps, select_orphans, taken_back
from api.queries.recorded import RecordedEvent
from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from api.queries.sql.filters import Computed, Condition, Fields, Filter, Moment, matches
from api.queries.sql.keys import Key, key_rows
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope, block_number_of, scope_of
from schema.events import Kind
from schema.tables.values import block_of, end_of_block, log_index_of, position

event = tables.event
block = tables.block
orphan = tables.orphaned_event

SCANNED = 1_000
"""Events that a filter judges in one statement."""

LOOKED_BACK = 100
"""Logs among which the event before a retracted one is looked for."""

SCANS = 8
"""Statements of one read: a filter that fits little gets empty pages that go on, never a long wait."""


class Reached(NamedTuple):
    """A log of one branch: who stands here holds what the feed says up to it."""

    chain_id: int
    number: int
    hash: bytes
    log_index: int

    @property
    def position(self) -> int:
        return position(self.number, self.log_index)


class Wanted(NamedTuple):
    """Which events. `last_block`: none above it is final enough. UNMAPPED logs are told only to who asks for them."""

    filter: Filter
    last_block: int
    unmapped: bool


class Told(NamedTuple):
    """An event that came or (`event.orphaned`) went, and where a copy stands that has applied it."""

    event: RecordedEvent
    reached: Reached | None


class Stretch(NamedTuple):
    """A part of the feed, and where it ends. `more`: there is, or may be, something behind it."""

    told: Sequence[Told]
    reached: Reached | None
    more: bool


class UnknownBranch(Exception):
    """The block where a copy stands is neither canonical nor one that a reorg took back."""

    def __init__(self, reached: Reached) -> None:
        super().__init__(f"block {reached.number} (0x{reached.hash.hex()}) of chain {reached.chain_id} is unknown")
        self.reached = reached


def read_feed(connection: Connection, chain: Row[Any], reached: Reached | None, wanted: Wanted, limit: int) -> Stretch:
    """Returns at most `limit` messages behind a place (None: before the first event). Raises UnknownBranch.

    A place above the indexed block is one that another reader, or this index before an operator's rollback, has seen:
    there is nothing behind it yet.
    """
    if reached is None:
        return _came(connection, chain.chain_id, None, -1, wanted, limit)
    branch = branch_of(connection, chain.chain_id, reached.number, reached.hash)
    if branch is None:
        if reached.number > chain.indexed_number:
            return Stretch((), reached, more=False)
        raise UnknownBranch(reached)
    if not branch.lost:
        return _came(connection, chain.chain_id, reached, reached.position, wanted, limit)
    gone = _went(connection, reached, branch, wanted, limit)
    if gone.more:
        return gone
    behind = end_of_block(branch.ancestor)
    came = _came(connection, chain.chain_id, gone.reached, behind, wanted, limit - len(gone.told))
    return Stretch((*gone.told, *came.told), came.reached, came.more)


def newest(connection: Connection, chain_id: int, last_block: int) -> Reached | None:
    """Returns the place of the last event up to a block, None where there is none."""
    found = _candidates(connection, chain_id, -1, end_of_block(last_block), 1, backward=True)
    return found[0].reached(chain_id) if found else None


def new_blocks(connection: Connection, chain: Row[Any], told: BlockPoint | None, limit: int) -> list[BlockPoint]:
    """Returns the blocks that follow the one told last (None: all), after a reorg those of the new branch."""
    after = -1 if told is None else _common_block(connection, chain, told)
    if after is None:
        return []
    query = (
        select(block.c.chain_id, block.c.number, block.c.hash, block.c.timestamp)
        .where(block.c.chain_id == chain.chain_id, block.c.number > after, block.c.number <= chain.indexed_number)
        .order_by(block.c.number)
        .limit(limit)
    )
    return [BlockPoint(*row) for row in connection.execute(query)]


def _common_block(connection: Connection, chain: Row[Any], told: BlockPoint) -> int | None:
    branch = branch_of(connection, chain.chain_id, told.number, told.hash)
    if branch is not None:
        return branch.ancestor
    if told.number > chain.indexed_number:
        return None  # an operator took it back, and it is not indexed again yet
    final = -1 if chain.finalized_number is None else chain.finalized_number
    # a final header without events is dropped
    return told.number if told.number <= final else int(chain.indexed_number) - 1


# What came


class _Candidate(NamedTuple):
    position: int
    hash: bytes
    time: int

    def reached(self, chain_id: int) -> Reached:
        return Reached(chain_id, block_of(self.position), self.hash, log_index_of(self.position))


def _came(
    connection: Connection, chain_id: int, reached: Reached | None, after: int, wanted: Wanted, limit: int
) -> Stretch:
    told: list[Told] = []
    seen = reached
    chunk = SCANNED if wanted.filter else limit + 1
    for _ in range(SCANS):
        candidates = _candidates(connection, chain_id, after, end_of_block(wanted.last_block), chunk)
        fitting = _fitting(connection, chain_id, candidates, wanted, limit + 1 - len(told))
        told += [Told(one, _place_of(one)) for one in fitting]
        if len(told) > limit:
            return Stretch(told[:limit], told[limit - 1].reached if limit else reached, more=True)
        if candidates:
            after, seen = candidates[-1].position, candidates[-1].reached(chain_id)
        if len(candidates) < chunk:
            break
    return Stretch(told, told[-1].reached if told else seen, more=len(candidates) == chunk)


def _candidates(
    connection: Connection, chain_id: int, after: int, up_to: int, limit: int, *, backward: bool = False
) -> list[_Candidate]:
    here = event.c.position
    query = (
        select(here, block.c.hash, block.c.timestamp)
        .select_from(
            event.join(block, and_(block.c.chain_id == event.c.chain_id, block.c.number == block_number_of(here)))
        )
        .where(event.c.chain_id == chain_id, here > after, here <= up_to)
        .order_by(here.desc() if backward else here.asc())
        .limit(limit)
    )
    return [_Candidate(*row) for row in connection.execute(query)]


def _fitting(
    connection: Connection,
    chain_id: int,
    candidates: Sequence[_Candidate],
    wanted: Wanted,
    limit: int,
    *,
    backward: bool = False,
) -> list[RecordedEvent]:
    if not candidates:
        return []
    keys = [Key(chain_id, one.position, end_of_block(block_of(one.position)), one.time) for one in candidates]
    scope = scope_of(key_rows(connection, keys))
    query = select_events(scope).where(event.c.position == scope.id, matches(scope, wanted.filter, THEN))
    if not wanted.unmapped:
        query = query.where(event.c.kind != Kind.UNMAPPED)
    order = scope.id.desc() if backward else scope.id.asc()
    return [recorded(row) for row in connection.execute(query.order_by(order).limit(limit))]


def _device_then(scope: Scope, filter: Filter) -> Condition:
    """The event's device fits the filter at the end of the event's block."""
    fitting = select_ids(DEVICES, scope, filter)
    id = fitting.selected_columns[0]
    return exists(fitting.where(id == event.c.device_id).correlate(scope.keys, event))


def _flags_then(scope: Scope, wishes: Filter) -> Condition:
    return flags_meet(event.c.flags, wishes)


THEN: Fields = {
    **{name: field for name, field in FIELDS.items() if name not in ("verification", "finality")},
    "device": Computed(_device_then),
    "record_time": Moment(block.c.timestamp),
    "flag": Computed(_flags_then),
}
"""What may be asked of the feed: what is so for ever once the event is on its branch."""


# What went


def _went(connection: Connection, reached: Reached, branch: Branch, wanted: Wanted, limit: int) -> Stretch:
    gone = [one for part in branch.lost for one in _lost(connection, reached, part, wanted, limit + 1)][: limit + 1]
    before = [_place_of(one) for one in gone[1:]]
    if len(gone) > limit:
        told = [Told(one, place) for one, place in zip(gone, before, strict=False)]
        return Stretch(told, told[-1].reached if told else reached, more=True)
    last = _last_kept(connection, reached.chain_id, end_of_block(branch.ancestor), wanted)
    told = [Told(one, place) for one, place in zip(gone, [*before, last], strict=False)]
    return Stretch(told, last, more=False)


def _lost(connection: Connection, reached: Reached, part: LostPart, wanted: Wanted, limit: int) -> list[RecordedEvent]:
    """Returns the events of a part that the copy may hold, newest first."""
    query = (
        select_orphans()
        .where(
            orphan.c.chain_id == reached.chain_id,
            orphan.c.reorg_no == part.reorg_no,
            orphan.c.position >= position(part.first, 0),
            orphan.c.position <= min(end_of_block(part.last), reached.position),
            perhaps(wanted.filter),
        )
        .order_by(orphan.c.position.desc())
        .limit(limit)
    )
    if not wanted.unmapped:
        query = query.where(orphan.c.kind != Kind.UNMAPPED)
    return [taken_back(row) for row in connection.execute(query)]


def _last_kept(connection: Connection, chain_id: int, up_to: int, wanted: Wanted) -> Reached | None:
    """Returns the place of the last event of the feed that stays; where that is far, of some event behind it."""
    # without a filter only UNMAPPED logs are passed over
    chunk = SCANNED if wanted.filter else LOOKED_BACK
    candidates = _candidates(connection, chain_id, -1, up_to, chunk, backward=True)
    fitting = _fitting(connection, chain_id, candidates, wanted, 1, backward=True)
    if fitting:
        return _place_of(fitting[0])
    return candidates[0].reached(chain_id) if candidates else None


def _place_of(event: RecordedEvent) -> Reached:
    return Reached(event.chain_id, event.block_number, event.block_hash, event.log_index)
