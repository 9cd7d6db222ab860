"""The change feed: what a program needs to keep a copy of events, by pull. Subscriptions push the same."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import strawberry
from sqlalchemy import Connection, Row, select
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.paging.arguments import page_size
from api.graphql.paging.tokens import FeedCursors, FeedPosition, digest_of
from api.graphql.types.event_rows import asks_for_unmapped
from api.graphql.types.events import to_event
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.feed import FeedMessage, FeedPage, FeedQuery, UnknownBranch, newest_place, read_feed
from api.queries.recorded import Finality
from api.queries.sql import tables
from api.queries.sql.filters import Filter
from api.reading.profile_readers import read_event

FeedFilterBy = Annotated[
    LifecycleEventFilter | None,
    strawberry.argument(
        description="Which events. `device` is judged at the end of each event's own block, so that the feed says the "
        "same whenever it is read; `verification` and `finality` change after an event was told and are refused."
    ),
]
FeedAfter = Annotated[
    str | None,
    strawberry.argument(description="The cursor of the last message that was applied, or an `endCursor`."),
]
FeedFirst = Annotated[
    int | None, strawberry.argument(description="The first so many, 0 to 100; 20 where it is not given.")
]
LeastFinality = Annotated[
    Finality,
    strawberry.argument(
        description="Tell an event only once its block is at least so final. FINALIZED: nothing is ever retracted."
    ),
]


@strawberry.type(description="An event that came, or (`retracted`) one that came before and is gone. Apply in order.")
class LifecycleEventMessage:
    cursor: str = strawberry.field(
        description="Where a copy stands that has applied this message: pass it as `after` to go on. That of a "
        "retraction is the cursor of the event before it."
    )
    event: LifecycleEvent = strawberry.field(
        description="Named by its id, which holds the block's hash: a retraction has the id of what it takes back. "
        "With a filter by device it may name an event that was never told: pass over it."
    )
    retracted: bool = strawberry.field(description="Whether a reorg took the event back.")


@strawberry.type(description="A stretch of the change feed.")
class ChangePage:
    messages: list[LifecycleEventMessage] = strawberry.field(description="In order, at most 100.")
    end_cursor: str = strawberry.field(description="Ask on from here, also after an empty page.")
    has_more: bool = strawberry.field(description="Whether there is more to read at once, so far as is known.")


class Feed(NamedTuple):
    """A feed as a reader asks for it."""

    filter: Filter
    finality: Finality

    @property
    def unmapped(self) -> bool:
        return asks_for_unmapped(self.filter)


def feed_of(filter_by: LifecycleEventFilter | None, finality: Finality) -> Feed:
    """Returns the feed that is asked for. Raises BadUserInput."""
    if finality is Finality.ORPHANED:
        raise BadUserInput("finality is ORPHANED: ask for UNSAFE, SAFE or FINALIZED; retractions come in any case.")
    filter = to_filter(filter_by)
    _refuse_changing(filter)
    return Feed(filter, finality)


def _refuse_changing(filter: Filter) -> None:
    for name, wish in filter:
        match name:
            case "and" | "or":
                for part in wish:
                    _refuse_changing(part)
            case "not":
                _refuse_changing(wish)
            case "finality":
                raise BadUserInput("filterBy.finality changes after an event is told: use the argument finality.")
            case "verification":
                raise BadUserInput(
                    "filterBy.verification changes after an event is told, so that the feed would miss some: leave it "
                    "out and read `verification` of the events."
                )


async def changes(
    context: Context, after: str | None, first: int | None, filter_by: LifecycleEventFilter | None, finality: Finality
) -> ChangePage:
    """Returns the stretch of the feed behind a cursor. Raises BadUserInput."""
    size, _ = page_size(first, None)
    feed = feed_of(filter_by, finality)
    cursors = await cursors_of(context, feed)
    position = {} if after is None or after is UNSET else cursors.read(after)
    batch = await read_batch(context, feed, position, size)
    messages = [message_of(context, item, cursors) for item in batch.items]
    return ChangePage(messages=messages, end_cursor=cursors.write(batch.end), has_more=batch.more)


async def cursors_of(context: Context, feed: Feed) -> FeedCursors:
    """Returns what writes and reads the cursors of a feed, at the context's snapshot."""
    return FeedCursors(feed.filter, await context.runner.read(_watch_sets, context.snapshot.contracts))


def _watch_sets(connection: Connection, contracts: Mapping[int, tuple[Row[Any], ...]]) -> Mapping[int, bytes]:
    """Returns the digest of what is watched of each network and of the profile that reads it."""
    profiles = connection.execute(select(tables.profile.c.chain_id, tables.profile.c.text))
    return {
        chain_id: _watch_set(
            text, tuple((row.role, row.address, row.start_block) for row in contracts.get(chain_id, ()))
        )
        for chain_id, text in profiles
    }


_watch_set = lru_cache(maxsize=32)(digest_of)


class Item(NamedTuple):
    """A message, and where a copy stands that has applied it."""

    message: FeedMessage
    position: FeedPosition


class Batch(NamedTuple):
    """A stretch of the feed of all networks. `end`: where to ask on, which without a message may be further on."""

    items: Sequence[Item]
    end: FeedPosition
    more: bool


async def read_batch(context: Context, feed: Feed, position: FeedPosition, size: int) -> Batch:
    """Returns at most `size` messages behind a place, all networks' by block time. Raises BadUserInput."""
    chains = context.snapshot.chains
    try:
        pages = await context.runner.read(_pages, chains, feed, position, size)
    except UnknownBranch as error:
        at = error.place
        raise BadUserInput(
            f"after stands at block {at.number} (0x{at.hash.hex()}) of chain {at.chain_id}, of which nothing is known "
            "any more: drop the copy and begin again without it.",
            Reason.STALE_CURSOR,
        ) from None
    items: list[Item] = []
    now = dict(position)
    for message in _merged(pages)[:size]:
        now[message.event.chain_id] = message.place
        items.append(Item(message, dict(now)))
    left = sum(len(page.messages) for page in pages.values()) - len(items)
    end = now if items else {**now, **{chain_id: page.end for chain_id, page in pages.items()}}
    return Batch(items, end, left > 0 or any(page.more for page in pages.values()))


async def newest_position(context: Context, feed: Feed) -> FeedPosition:
    """Returns the place behind all that the feed has told so far."""
    return await context.runner.read(_newest_position, context.snapshot.chains, feed)


def message_of(context: Context, item: Item, cursors: FeedCursors) -> LifecycleEventMessage:
    """Returns a message; what hangs under its event answers at the context's snapshot."""
    event = item.message.event
    pin = next(pin for pin in context.snapshot.pins if pin.chain_id == event.chain_id)
    return LifecycleEventMessage(
        cursor=cursors.write(item.position),
        event=to_event(event, read_event(context.snapshot.readers, event), pin),
        retracted=event.orphaned,
    )


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
    """Returns the messages of all networks: each network's in its order, what went first, then the earlier block."""
    queues = [list(reversed(page.messages)) for page in pages.values() if page.messages]
    if len(queues) == 1:
        return queues[0][::-1]
    merged: list[FeedMessage] = []
    while queues:
        queue = min(queues, key=lambda waiting: _rank(waiting[-1]))
        merged.append(queue.pop())
        queues = [waiting for waiting in queues if waiting]
    return merged


def _rank(message: FeedMessage) -> tuple[bool, int, int]:
    return not message.event.orphaned, message.event.block_time, message.event.chain_id
