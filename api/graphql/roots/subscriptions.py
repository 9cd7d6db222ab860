"""The subscriptions: the change feed as it grows, and blocks as they are indexed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.paging.tokens import FeedCursors, FeedPosition
from api.graphql.plan.fields import live
from api.graphql.roots.changes import (
    FeedAfter,
    FeedFilterBy,
    LeastFinality,
    LifecycleEventMessage,
    cursors_of,
    feed_of,
    message_of,
    newest_position,
    read_batch,
)
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.meta import ChainIdArgument
from api.queries.feed import new_blocks
from api.queries.recorded import Finality
from api.queries.sql.as_of import BlockPoint


class Batch(NamedTuple):
    """Messages of a subscription, the place behind them, and whether there are more. `cursor` is that of the place."""

    messages: Sequence[Any]
    place: Any
    more: bool
    cursor: str | None = None


class FeedPlace(NamedTuple):
    """A position of the feed, and what writes its cursor."""

    position: FeedPosition
    cursors: FeedCursors


def _events(
    context: Context,
    place: FeedPlace | None,
    size: int,
    *,
    filter_by: FeedFilterBy = UNSET,
    after: FeedAfter = UNSET,
    finality: LeastFinality = Finality.UNSAFE,
) -> Batch:
    feed = feed_of(filter_by, finality)
    cursors = cursors_of(context, feed)
    if place is None:
        position = cursors.read(after) if after else newest_position(context, feed)
    else:
        position = place.position
        cursors.check(position, place.cursors)  # another profile may have read the network since
    batch = read_batch(context, feed, position, size)
    messages = [message_of(context, item, cursors) for item in batch.items]
    return Batch(messages, FeedPlace(batch.end, cursors), batch.more, cursors.write(batch.end))


def _blocks(
    context: Context, sent: Mapping[int, BlockPoint | None] | None, size: int, *, chain_id: ChainIdArgument = UNSET
) -> Batch:
    chains = context.snapshot.chains
    only = None if chain_id is UNSET else chain_id
    if only is not None and only not in chains:
        raise BadUserInput(f"chainId is {only}, which is not indexed here: _meta lists the networks.")
    if sent is None:
        return Batch((), _newest_blocks(context), more=False)
    blocks = [
        block
        for id, chain in chains.items()
        if only in (None, id)
        for block in context.read.now(new_blocks, chain, sent.get(id), size)
    ]
    newest = {**sent, **{block.chain_id: block for block in blocks}}
    return Batch(list(map(to_block, blocks)), newest, len(blocks) >= size)


def _newest_blocks(context: Context) -> dict[int, BlockPoint | None]:
    """Returns the indexed block of each network, None if none is indexed yet."""
    return {
        pin.chain_id: pin.block if pin.block is not None and any(pin.block.hash) else None
        for pin in context.snapshot.pins
    }


@strawberry.type(description="The subscriptions, over WebSocket (graphql-transport-ws) or as server-sent events.")
class Subscription:
    lifecycle_events: LifecycleEventMessage = live(
        "The change feed. Without `after` it starts now. With `after` it starts with all changes since that cursor, "
        "and first retracts what a reorg removed since. Across reorgs and restarts no message is lost or sent twice.",
        _events,
    )
    block_indexed: Block = live("Each newly indexed block; after a reorg, the first block of the new branch.", _blocks)
