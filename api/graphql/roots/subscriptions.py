"""What may be subscribed to: the change feed as it grows, and blocks as they are indexed."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import UNSET

from api.graphql.context import Context, Info
from api.graphql.errors import BadUserInput
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
from api.graphql.subscription_context import SubscriptionContext
from api.graphql.types.blocks import Block, to_block
from api.graphql.vocabulary.fields import subscription
from api.graphql.vocabulary.scalars import BigInt
from api.queries.feed import new_blocks
from api.queries.recorded import Finality
from api.queries.sql.as_of import BlockPoint

BATCH = 50
"""Messages of one snapshot. What is read and not sent when a batch grows too large is read again."""


@strawberry.type(
    description="What may be subscribed to: over WebSocket by graphql-transport-ws, or as server-sent events."
)
class Subscription:
    @subscription(
        "The change feed. Without `after`: from now on. With it: everything since, and first the "
        "retraction of what the cursor's branch lost. Nothing is lost or told twice across reorgs and restarts."
    )
    async def lifecycle_events(
        self,
        info: Info,
        filter_by: FeedFilterBy = UNSET,
        after: FeedAfter = UNSET,
        finality: LeastFinality = Finality.UNSAFE,
    ) -> AsyncGenerator[LifecycleEventMessage, None]:
        context = subscription_context(info)
        feed = feed_of(filter_by, finality)
        is_new = after is None or after is UNSET
        cursors = await cursors_of(context, feed)
        position = await newest_position(context, feed) if is_new else cursors.read(after or "")
        while True:
            await context.begin_batch()
            here = cursors.write(position)
            cursors = await cursors_of(context, feed)
            # refused where the network was read anew, by another profile
            batch = await read_batch(context, feed, cursors.read(here), BATCH)
            more = batch.more
            for left, item in zip(range(len(batch.items))[::-1], batch.items, strict=True):
                context.left, position = left, item.position
                yield message_of(context, item, cursors)
                if left and not context.is_in_batch:
                    more = True
                    break
            else:
                position = batch.end
            await (context.end_batch() if more else context.wait_for_change())

    @subscription("Every new indexed block; after a reorg the first block of the new branch.")
    async def block_indexed(
        self,
        info: Info,
        chain_id: Annotated[BigInt | None, strawberry.argument(description="One network; all without it.")] = UNSET,
    ) -> AsyncGenerator[Block, None]:
        context = subscription_context(info)
        wanted = None if chain_id is UNSET else chain_id
        if wanted is not None and wanted not in context.snapshot.chains:
            raise BadUserInput(f"chainId is {wanted}, which is not indexed here: _meta lists the networks.")
        told = _newest_blocks(context)
        while True:
            await context.begin_batch()
            blocks = await _new_blocks(context, told, wanted)
            more = len(blocks) >= BATCH
            for left, block in zip(range(len(blocks))[::-1], blocks, strict=True):
                context.left, told[block.chain_id] = left, block
                yield to_block(block)
                if left and not context.is_in_batch:
                    more = True
                    break
            await (context.end_batch() if more else context.wait_for_change())


def subscription_context(info: Info) -> SubscriptionContext:
    """Returns the context of a subscription. Raises BadUserInput if the transport cannot stream."""
    if not isinstance(info.context, SubscriptionContext):
        raise BadUserInput("A subscription is answered over WebSocket (graphql-transport-ws) or text/event-stream.")
    return info.context


def _newest_blocks(context: Context) -> dict[int, BlockPoint | None]:
    """Returns the indexed block of each network, None where none is indexed yet."""
    return {
        pin.chain_id: pin.block if pin.block is not None and any(pin.block.hash) else None
        for pin in context.snapshot.pins
    }


async def _new_blocks(context: Context, told: dict[int, BlockPoint | None], wanted: int | None) -> list[BlockPoint]:
    found: list[BlockPoint] = []
    for id, chain in context.snapshot.chains.items():
        if wanted in (None, id):
            found += await context.runner.read(new_blocks, chain, told.get(id), BATCH)
    return found
