"""The change feed of a chain: the events that were recorded, and those that a reorg removed, behind a place.

A place is a log of one branch; a client at a place has applied the feed up to that log. If a reorg removed part of the
client's branch, the feed first returns the removed events above the common ancestor, newest first, then the canonical
events. It is made from `event`, `reorg` and the tables of orphans: nothing is stored for a client, and the messages
behind a place are the same for all clients.

A filter is judged for each event at the end of the event's own block, so that the result does not depend on the time of
the request.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, exists, select

from api.queries.blocks import SELECT_BLOCKS
from api.queries.devices import DEVICES
from api.queries.events import FIELDS, flags_condition, select_events
from api.queries.lost_branches import Branch, LostPart, branch_of
from api.queries.orphans import may_have_fitted, orphaned_event, select_orphans
from api.queries.recorded import RecordedEvent, recorded_event
from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from api.queries.sql.fields import ComputedField, TimeField
from api.queries.sql.filters import Comparisons, Condition, Fields, Filter, matches
from api.queries.sql.keys import Key, key_rows
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope, block_of_log, scope_of
from schema.events import Kind
from schema.tables.values import block_of, end_of_block, log_index_of, position

event = tables.event
block = tables.block
orphan = tables.orphaned_event

SCANNED = 1_000
"""Events that one statement compares with a filter."""

LOOKED_BACK = 100
"""Logs that are searched for the event before a retracted one."""

SCANS = 8
"""Statements of one request. If few events fit a filter, the request returns an empty page that has more behind it."""


class Reached(NamedTuple):
    """A place of the feed: a log of one branch, up to which a client has applied the feed."""

    chain_id: int
    number: int
    hash: bytes
    log_index: int

    @property
    def position(self) -> int:
        return position(self.number, self.log_index)


class Wanted(NamedTuple):
    """Which events a feed has: those that fit `filter` up to `last_block`, and UNMAPPED logs if `unmapped`."""

    filter: Filter
    last_block: int
    unmapped: bool


class Told(NamedTuple):
    """An event that was recorded or, if `event.orphaned`, removed; and the place of a client that has applied it."""

    event: RecordedEvent
    reached: Reached | None


class Stretch(NamedTuple):
    """A page of the feed and the place where it ends. `more`: there is, or may be, something behind that place."""

    told: Sequence[Told]
    reached: Reached | None
    more: bool


class UnknownBranch(Exception):
    """The block of a place is neither canonical nor removed by a recorded reorg."""

    def __init__(self, reached: Reached) -> None:
        super().__init__(f"block {reached.number} (0x{reached.hash.hex()}) of chain {reached.chain_id} is unknown")
        self.reached = reached


def read_feed(connection: Connection, chain: Row[Any], reached: Reached | None, wanted: Wanted, limit: int) -> Stretch:
    """Returns at most `limit` messages behind a place, None for the start of the feed. Raises UnknownBranch.

    A place above the indexed block comes from another index, or from before an operator's rollback. Nothing is behind
    it yet.
    """
    if reached is None:
        return _recorded(connection, chain.chain_id, None, -1, wanted, limit)
    branch = branch_of(connection, chain.chain_id, reached.number, reached.hash)
    if branch is None:
        if reached.number > chain.indexed_number:
            return Stretch((), reached, more=False)
        raise UnknownBranch(reached)
    if not branch.lost:
        return _recorded(connection, chain.chain_id, reached, reached.position, wanted, limit)
    retracted = _retracted(connection, reached, branch, wanted, limit)
    if retracted.more:
        return retracted
    behind = end_of_block(branch.ancestor)
    recorded = _recorded(connection, chain.chain_id, retracted.reached, behind, wanted, limit - len(retracted.told))
    return Stretch((*retracted.told, *recorded.told), recorded.reached, recorded.more)


def newest(connection: Connection, chain_id: int, last_block: int) -> Reached | None:
    """Returns the place of the last event up to a block, None if there is none."""
    logs = _logs(connection, chain_id, -1, end_of_block(last_block), 1, backward=True)
    return logs[0].reached(chain_id) if logs else None


def new_blocks(connection: Connection, chain: Row[Any], last: BlockPoint | None, limit: int) -> list[BlockPoint]:
    """Returns the blocks behind the last one that a client has (None: all); after a reorg, those of the new branch."""
    after = -1 if last is None else _common_block(connection, chain, last)
    if after is None:
        return []
    query = (
        SELECT_BLOCKS.where(
            block.c.chain_id == chain.chain_id, block.c.number > after, block.c.number <= chain.indexed_number
        )
        .order_by(block.c.number)
        .limit(limit)
    )
    return [BlockPoint(*row) for row in connection.execute(query)]


def _common_block(connection: Connection, chain: Row[Any], last: BlockPoint) -> int | None:
    branch = branch_of(connection, chain.chain_id, last.number, last.hash)
    if branch is not None:
        return branch.ancestor
    if last.number > chain.indexed_number:
        return None  # an operator rolled it back, and it is not indexed again yet
    final = -1 if chain.finalized_number is None else chain.finalized_number
    # the header of a final block without events is deleted
    return last.number if last.number <= final else int(chain.indexed_number) - 1


# Recorded events


class _Log(NamedTuple):
    position: int
    hash: bytes
    time: int

    def reached(self, chain_id: int) -> Reached:
        return Reached(chain_id, block_of(self.position), self.hash, log_index_of(self.position))


def _recorded(
    connection: Connection, chain_id: int, reached: Reached | None, after: int, wanted: Wanted, limit: int
) -> Stretch:
    messages: list[Told] = []
    scanned = reached
    chunk = SCANNED if wanted.filter else limit + 1
    for _ in range(SCANS):
        logs = _logs(connection, chain_id, after, end_of_block(wanted.last_block), chunk)
        events = _fitting(connection, chain_id, logs, wanted, limit + 1 - len(messages))
        messages += [Told(event, _place_of(event)) for event in events]
        if len(messages) > limit:
            return Stretch(messages[:limit], messages[limit - 1].reached if limit else reached, more=True)
        if logs:
            after, scanned = logs[-1].position, logs[-1].reached(chain_id)
        if len(logs) < chunk:
            break
    return Stretch(messages, messages[-1].reached if messages else scanned, more=len(logs) == chunk)


def _logs(
    connection: Connection, chain_id: int, after: int, up_to: int, limit: int, *, backward: bool = False
) -> list[_Log]:
    place = event.c.position
    query = (
        select(place, block.c.hash, block.c.timestamp)
        .select_from(event.join(block, block_of_log(block, event.c.chain_id, place)))
        .where(event.c.chain_id == chain_id, place > after, place <= up_to)
        .order_by(place.desc() if backward else place.asc())
        .limit(limit)
    )
    return [_Log(*row) for row in connection.execute(query)]


def _fitting(
    connection: Connection,
    chain_id: int,
    logs: Sequence[_Log],
    wanted: Wanted,
    limit: int,
    *,
    backward: bool = False,
) -> list[RecordedEvent]:
    if not logs:
        return []
    keys = [Key(chain_id, log.position, end_of_block(block_of(log.position)), log.time) for log in logs]
    scope = scope_of(key_rows(connection, keys))
    query = select_events(scope).where(event.c.position == scope.id, matches(scope, wanted.filter, FEED_FIELDS))
    if not wanted.unmapped:
        query = query.where(event.c.kind != Kind.UNMAPPED)
    order = scope.id.desc() if backward else scope.id.asc()
    return [recorded_event(row) for row in connection.execute(query.order_by(order).limit(limit))]


def _device(scope: Scope, filter: Filter) -> Condition:
    """The event's device fits the filter at the end of the event's block."""
    fitting = select_ids(DEVICES, scope, filter)
    id = fitting.selected_columns[0]
    return exists(fitting.where(id == event.c.device_id).correlate(scope.keys, event))


def _flag(scope: Scope, comparisons: Comparisons) -> Condition:
    return flags_condition(event.c.flags, comparisons)


FEED_FIELDS: Fields = {
    **{name: field for name, field in FIELDS.items() if name not in ("verification", "finality")},
    "device": ComputedField(_device),
    "record_time": TimeField(block.c.timestamp),
    "flag": ComputedField(_flag),
}
"""The fields of an event that never change while it is canonical."""


# Retracted events


def _retracted(connection: Connection, reached: Reached, branch: Branch, wanted: Wanted, limit: int) -> Stretch:
    events = [event for part in branch.lost for event in _lost(connection, reached, part, wanted, limit + 1)]
    events = events[: limit + 1]
    before = [_place_of(event) for event in events[1:]]
    if len(events) > limit:
        messages = [Told(event, place) for event, place in zip(events, before, strict=False)]
        return Stretch(messages, messages[-1].reached if messages else reached, more=True)
    last = _last_kept(connection, reached.chain_id, end_of_block(branch.ancestor), wanted)
    messages = [Told(event, place) for event, place in zip(events, [*before, last], strict=False)]
    return Stretch(messages, last, more=False)


def _lost(connection: Connection, reached: Reached, part: LostPart, wanted: Wanted, limit: int) -> list[RecordedEvent]:
    """Returns the events of a lost part that a client at the place may have, newest first."""
    query = (
        select_orphans()
        .where(
            orphan.c.chain_id == reached.chain_id,
            orphan.c.reorg_no == part.reorg_no,
            orphan.c.position >= position(part.first, 0),
            orphan.c.position <= min(end_of_block(part.last), reached.position),
            may_have_fitted(wanted.filter),
        )
        .order_by(orphan.c.position.desc())
        .limit(limit)
    )
    if not wanted.unmapped:
        query = query.where(orphan.c.kind != Kind.UNMAPPED)
    return [orphaned_event(row) for row in connection.execute(query)]


def _last_kept(connection: Connection, chain_id: int, up_to: int, wanted: Wanted) -> Reached | None:
    """Returns the place of the last event of the feed up to a position; if it is far, of a log behind it."""
    # without a filter, only UNMAPPED logs do not fit
    chunk = SCANNED if wanted.filter else LOOKED_BACK
    logs = _logs(connection, chain_id, -1, up_to, chunk, backward=True)
    events = _fitting(connection, chain_id, logs, wanted, 1, backward=True)
    if events:
        return _place_of(events[0])
    return logs[0].reached(chain_id) if logs else None


def _place_of(event: RecordedEvent) -> Reached:
    return Reached(event.chain_id, event.block_number, event.block_hash, event.log_index)
