"""The change feed, by pull: what a program needs to keep a copy of events. Subscriptions push the same."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import strawberry
from sqlalchemy import Connection, Row, select
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.inputs.as_of import refuse_if_behind
from api.graphql.inputs.filters import LifecycleEventFilter, names_unmapped, to_filter
from api.graphql.paging.arguments import page_size
from api.graphql.paging.tokens import FeedCursors, FeedPosition, digest_of
from api.graphql.plan.fields import At
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.events import EVENT
from api.queries.feed import FeedMessage, FeedPage, FeedQuery, UnknownBranch, newest_place, read_feed
from api.queries.recorded import Finality
from api.queries.sql import tables
from api.queries.sql.filters import Filter

FeedFilterBy = Annotated[
    LifecycleEventFilter | None,
    strawberry.argument(
        description="Returns only events that pass this filter. `device` is compared at the end of the block of "
        "each event, so that the feed is the same whenever it is read. `verification` and `finality` "
        "change after an event was sent and are refused."
    ),
]
FeedAfter = Annotated[
    str | None, strawberry.argument(description="The cursor of the last message that was applied, or an `endCursor`.")
]
FeedFirst = Annotated[int | None, strawberry.argument(description="The number of messages, 0 to 100. Default: 20.")]
LeastFinality = Annotated[
    Finality | None,
    strawberry.argument(
        description="The finality that a block must reach before its events are sent. With FINALIZED nothing is "
        "ever retracted. Null counts as UNSAFE."
    ),
]


@strawberry.type(description="A new event, or (`retracted`) the retraction of an earlier one. Apply messages in order.")
class LifecycleEventMessage:
    cursor: str = strawberry.field(
        description="The position of a copy that has applied this message: pass it as `after` to go on. The "
        "cursor of a retraction is that of the event before the retracted one."
    )
    event: LifecycleEvent = strawberry.field(
        description="The event. Its id contains the block hash, so a retraction has the id of the event that it "
        "retracts. With a filter by device, a retraction may name an event that was never sent: ignore it."
    )
    retracted: bool = strawberry.field(description="Whether a reorg removed the event.")


@strawberry.type(description="A page of the change feed.")
class ChangePage:
    messages: list[LifecycleEventMessage] = strawberry.field(description="The messages, in order, at most 100.")
    end_cursor: str = strawberry.field(description="The position to go on from, also after an empty page.")
    has_more: bool = strawberry.field(description="Whether more messages are available now.")


class Feed(NamedTuple):
    """The feed that a request selects."""

    filter: Filter
    finality: Finality

    @property
    def unmapped(self) -> bool:
        return names_unmapped(self.filter)


def feed_of(filter_by: LifecycleEventFilter | None, finality: Finality | None) -> Feed:
    """Returns the feed that the arguments select. Raises BadUserInput."""
    if finality is Finality.ORPHANED:
        raise BadUserInput("finality is ORPHANED: use UNSAFE, SAFE or FINALIZED; retractions are always sent.")
    filter = to_filter(filter_by)
    _refuse_changing(filter)
    return Feed(filter, finality or Finality.UNSAFE)


def _refuse_changing(filter: Filter) -> None:
    for name, value in filter:
        match name:
            case "and" | "or":
                for part in value:
                    _refuse_changing(part)
            case "not":
                _refuse_changing(value)
            case "finality":
                raise BadUserInput("filterBy.finality changes after an event is sent: use the argument finality.")
            case "verification":
                raise BadUserInput(
                    "filterBy.verification changes after an event is sent, so the feed would miss events: leave it "
                    "out and read `verification` of the events."
                )


def changes(
    context: Context,
    rows: Sequence[Any],
    *,
    after: FeedAfter = UNSET,
    first: FeedFirst = UNSET,
    filter_by: FeedFilterBy = UNSET,
    finality: LeastFinality = Finality.UNSAFE,
) -> list[ChangePage]:
    """Returns the page of the feed after a cursor. Raises BadUserInput."""
    size, _ = page_size(first, None)
    feed = feed_of(filter_by, finality)
    cursors = cursors_of(context, feed)
    position = cursors.read(after) if after else {}  # an empty cursor counts as absent
    batch = read_batch(context, feed, position, size)
    messages: list[Any] = [message_of(context, item, cursors) for item in batch.items]
    return [ChangePage(messages=messages, end_cursor=cursors.write(batch.end), has_more=batch.more)]


def cursors_of(context: Context, feed: Feed) -> FeedCursors:
    """Returns the writer and reader of a feed's cursors, at the snapshot of the context."""
    return FeedCursors(feed.filter, context.read.now(_watch_sets, context.snapshot.contracts))


def _watch_sets(connection: Connection, contracts: Mapping[int, tuple[Row[Any], ...]]) -> Mapping[int, bytes]:
    """Returns the digest, by chain id, of the watched contracts and of the profile that reads them."""
    profiles = connection.execute(select(tables.profile.c.chain_id, tables.profile.c.text))
    return {
        chain_id: _watch_set(
            text, tuple((row.role, row.address, row.start_block) for row in contracts.get(chain_id, ()))
        )
        for chain_id, text in profiles
    }


_watch_set = lru_cache(maxsize=32)(digest_of)


class FeedItem(NamedTuple):
    """A message, and the position of a copy that has applied it."""

    message: FeedMessage
    position: FeedPosition


class MessageRow(NamedTuple):
    """A message of a response. Objects below its event are read at the snapshot of the response."""

    event: At
    retracted: bool
    position: FeedPosition
    cursors: FeedCursors

    @property
    def cursor(self) -> str:
        return self.cursors.write(self.position)


class FeedBatch(NamedTuple):
    """A page of the feed of all networks. `end` is the position to go on from, also if there are no messages."""

    items: Sequence[FeedItem]
    end: FeedPosition
    more: bool


def read_batch(context: Context, feed: Feed, position: FeedPosition, size: int) -> FeedBatch:
    """Returns at most `size` messages after a position, those of all networks by block time. Raises BadUserInput."""
    chains = context.snapshot.chains
    try:
        pages = context.read.now(_pages, chains, feed, position, size)
    except UnknownBranch as error:
        at = error.place
        refuse_if_behind(context, at.chain_id, at.number)
        raise BadUserInput(
            f"after stands at block {at.number} (0x{at.hash.hex()}) of chain {at.chain_id}, which is no longer "
            "known: drop the copy and start again without it.",
            Reason.STALE_CURSOR,
        ) from None
    items: list[FeedItem] = []
    now = dict(position)
    for message in _merged(pages)[:size]:
        now[message.event.chain_id] = message.place
        items.append(FeedItem(message, dict(now)))
    left = sum(len(page.messages) for page in pages.values()) - len(items)
    end = now if items else {**now, **{chain_id: page.end for chain_id, page in pages.items()}}
    return FeedBatch(items, end, left > 0 or any(page.more for page in pages.values()))


def newest_position(context: Context, feed: Feed) -> FeedPosition:
    """Returns the position after all that the feed has sent so far."""
    return context.read.now(_newest_position, context.snapshot.chains, feed)


def message_of(context: Context, item: FeedItem, cursors: FeedCursors) -> MessageRow:
    """Returns a message. Objects below its event are read at the snapshot of the context."""
    event = item.message.event
    pin = next(pin for pin in context.snapshot.pins if pin.chain_id == event.chain_id)
    return MessageRow(At(context.read.fit(event), pin, EVENT), bool(event.orphaned), item.position, cursors)


def _pages(
    connection: Connection, chains: Mapping[int, Row[Any]], feed: Feed, position: FeedPosition, size: int
) -> dict[int, FeedPage]:
    return {
        chain_id: read_feed(connection, chain, position.get(chain_id), _query(chain, feed), size)
        for chain_id, chain in chains.items()
    }


def _newest_position(connection: Connection, chains: Mapping[int, Row[Any]], feed: Feed) -> FeedPosition:
    return {
        chain_id: newest_place(connection, chain_id, _query(chain, feed).last_block)
        for chain_id, chain in chains.items()
    }


def _query(chain: Row[Any], feed: Feed) -> FeedQuery:
    marks = {Finality.SAFE: chain.safe_number, Finality.FINALIZED: chain.finalized_number}
    mark = marks.get(feed.finality, chain.indexed_number)
    return FeedQuery(feed.filter, -1 if mark is None else min(mark, chain.indexed_number), feed.unmapped)


def _merged(pages: Mapping[int, FeedPage]) -> list[FeedMessage]:
    """Returns the messages of all networks in one list, each network in its order: retractions first, then by time."""
    queues = [list(reversed(page.messages)) for page in pages.values() if page.messages]
    if len(queues) == 1:
        return queues[0][::-1]
    merged: list[FeedMessage] = []
    while queues:
        queue = min(queues, key=lambda queue: _rank(queue[-1]))
        merged.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return merged


def _rank(message: FeedMessage) -> tuple[bool, int, int]:
    return not message.event.orphaned, message.event.block_time, message.event.chain_id
