"""The change feed of a chain behind a cursor: events that were recorded, and events that a reorg removed.

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
from api.queries.devices import DEVICE_OF_EVENT
from api.queries.events import FIELDS, flags_condition, select_events
from api.queries.lost_branches import Branch, LostPart, branch_of
from api.queries.orphans import may_have_fitted, select_orphans
from api.queries.recorded import RecordedEvent, recorded_event
from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from api.queries.sql.fields import ComputedField, TimeField
from api.queries.sql.filters import Comparisons, Condition, Fields, Filter, matches
from api.queries.sql.keys import Key, scope_of_keys
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope, block_of_log
from schema.events import Kind
from schema.tables.values import block_of, end_of_block, offset_of, position

event = tables.event
block = tables.block
orphan = tables.orphaned_event

SCANNED = 1_000
"""Events that one statement compares with a filter."""

LOOKED_BACK = 100
"""Logs that are searched for the event before a retracted one."""

SCANS = 8
"""Statements of one request. If few events fit a filter, the request returns an empty page that has more behind it."""


class LogPlace(NamedTuple):
    """A place of the feed: a log of one branch, up to which a client has applied the feed."""

    chain_id: int
    number: int
    hash: bytes
    offset: int

    @property
    def position(self) -> int:
        return position(self.number, self.offset)


class FeedQuery(NamedTuple):
    """Which events a feed has: those that fit `filter` up to `last_block`, and UNMAPPED logs if `unmapped`."""

    filter: Filter
    last_block: int
    unmapped: bool


class FeedMessage(NamedTuple):
    """An event that was recorded or, if `event.orphaned`, removed; and the place of a client that has applied it."""

    event: RecordedEvent
    place: LogPlace | None


class FeedPage(NamedTuple):
    """A page of the feed and the place where it ends. `more`: there is, or may be, something behind that place."""

    messages: Sequence[FeedMessage]
    end: LogPlace | None
    more: bool


class UnknownBranch(Exception):
    """The block of a place is neither canonical nor removed by a recorded reorg."""

    def __init__(self, place: LogPlace) -> None:
        super().__init__(f"block {place.number} (0x{place.hash.hex()}) of chain {place.chain_id} is unknown")
        self.place = place


def read_feed(
    connection: Connection, chain: Row[Any], place: LogPlace | None, query: FeedQuery, limit: int
) -> FeedPage:
    """Returns at most `limit` messages behind a place, None for the start of the feed. Raises UnknownBranch.

    A place above the indexed block comes from another index, or from before an operator's rollback. Nothing is behind
    it yet.
    """
    if place is None:
        return _recorded(connection, chain.chain_id, None, -1, query, limit)
    branch = branch_of(connection, chain.chain_id, place.number, place.hash)
    if branch is None:
        if place.number > chain.indexed_number:
            return FeedPage((), place, more=False)
        raise UnknownBranch(place)
    if not branch.lost:
        return _recorded(connection, chain.chain_id, place, place.position, query, limit)
    retracted = _retracted(connection, place, branch, query, limit)
    if retracted.more:
        return retracted
    behind = end_of_block(branch.ancestor)
    recorded = _recorded(connection, chain.chain_id, retracted.end, behind, query, limit - len(retracted.messages))
    return FeedPage((*retracted.messages, *recorded.messages), recorded.end, recorded.more)


def newest_place(connection: Connection, chain_id: int, last_block: int) -> LogPlace | None:
    """Returns the place of the last event up to a block, None if there is none."""
    logs = _logs(connection, chain_id, -1, end_of_block(last_block), 1, backward=True)
    return logs[0].place(chain_id) if logs else None


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

    def place(self, chain_id: int) -> LogPlace:
        return LogPlace(chain_id, block_of(self.position), self.hash, offset_of(self.position))


def _recorded(
    connection: Connection, chain_id: int, place: LogPlace | None, after: int, query: FeedQuery, limit: int
) -> FeedPage:
    messages: list[FeedMessage] = []
    scanned = place
    chunk = SCANNED if query.filter else limit + 1
    for _ in range(SCANS):
        logs = _logs(connection, chain_id, after, end_of_block(query.last_block), chunk)
        events = _fitting(connection, chain_id, logs, query, limit + 1 - len(messages))
        messages += [FeedMessage(event, _place_of(event)) for event in events]
        if len(messages) > limit:
            return FeedPage(messages[:limit], messages[limit - 1].place if limit else place, more=True)
        if logs:
            after, scanned = logs[-1].position, logs[-1].place(chain_id)
        if len(logs) < chunk:
            break
    return FeedPage(messages, messages[-1].place if messages else scanned, more=len(logs) == chunk)


def _logs(
    connection: Connection, chain_id: int, after: int, up_to: int, limit: int, *, backward: bool = False
) -> list[_Log]:
    log_position = event.c.position
    query = (
        select(log_position, block.c.hash, block.c.timestamp)
        .select_from(event.join(block, block_of_log(block, event.c.chain_id, log_position)))
        .where(event.c.chain_id == chain_id, log_position > after, log_position <= up_to)
        .order_by(log_position.desc() if backward else log_position.asc())
        .limit(limit)
    )
    return [_Log(*row) for row in connection.execute(query)]


def _fitting(
    connection: Connection, chain_id: int, logs: Sequence[_Log], query: FeedQuery, limit: int, *, backward: bool = False
) -> list[RecordedEvent]:
    if not logs:
        return []
    keys = [Key(chain_id, log.position, end_of_block(block_of(log.position)), log.time) for log in logs]
    scope = scope_of_keys(connection, keys)
    statement = select_events(scope).where(event.c.position == scope.id, matches(scope, query.filter, FEED_FIELDS))
    if not query.unmapped:
        statement = statement.where(event.c.kind != Kind.UNMAPPED)
    order = scope.id.desc() if backward else scope.id.asc()
    return [recorded_event(row) for row in connection.execute(statement.order_by(order).limit(limit))]


def _device(scope: Scope, filter: Filter) -> Condition:
    """The event's device fits the filter at the end of the event's block."""
    fitting = select_ids(DEVICE_OF_EVENT, scope, filter)
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


def _retracted(connection: Connection, place: LogPlace, branch: Branch, query: FeedQuery, limit: int) -> FeedPage:
    events = [event for part in branch.lost for event in _lost(connection, place, part, query, limit + 1)]
    events = events[: limit + 1]
    before = [_place_of(event) for event in events[1:]]
    if len(events) > limit:
        messages = [FeedMessage(event, end) for event, end in zip(events, before, strict=False)]
        return FeedPage(messages, messages[-1].place if messages else place, more=True)
    last = _last_kept(connection, place.chain_id, end_of_block(branch.ancestor), query)
    messages = [FeedMessage(event, end) for event, end in zip(events, [*before, last], strict=False)]
    return FeedPage(messages, last, more=False)


def _lost(connection: Connection, place: LogPlace, part: LostPart, query: FeedQuery, limit: int) -> list[RecordedEvent]:
    """Returns the events of a lost part that a client at the place may have, newest first."""
    statement = (
        select_orphans()
        .where(
            orphan.c.chain_id == place.chain_id,
            orphan.c.reorg_no == part.reorg_no,
            orphan.c.position >= position(part.first, 0),
            orphan.c.position <= min(end_of_block(part.last), place.position),
            may_have_fitted(query.filter),
        )
        .order_by(orphan.c.position.desc())
        .limit(limit)
    )
    if not query.unmapped:
        statement = statement.where(orphan.c.kind != Kind.UNMAPPED)
    return [recorded_event(row) for row in connection.execute(statement)]


def _last_kept(connection: Connection, chain_id: int, up_to: int, query: FeedQuery) -> LogPlace | None:
    """Returns the place of the last event of the feed up to a position; if it is far, of a log behind it."""
    # without a filter, only UNMAPPED logs do not fit
    chunk = SCANNED if query.filter else LOOKED_BACK
    logs = _logs(connection, chain_id, -1, up_to, chunk, backward=True)
    events = _fitting(connection, chain_id, logs, query, 1, backward=True)
    if events:
        return _place_of(events[0])
    return logs[0].place(chain_id) if logs else None


def _place_of(event: RecordedEvent) -> LogPlace:
    return LogPlace(event.chain_id, event.block_number, event.block_hash, event.offset)
