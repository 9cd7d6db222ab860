"""The subscriptions: the change feed as it grows, and blocks as they are indexed."""

from collections.abc import AsyncGenerator
from typing import cast

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
from api.graphql.types.meta import ChainIdArgument
from api.graphql.vocabulary.fields import subscription
from api.queries.feed import new_blocks
from api.queries.recorded import Finality
from api.queries.sql.as_of import BlockPoint

BATCH = 50
"""Messages per snapshot. Messages that are left when a batch becomes too large are read again for the next one."""


@strawberry.type(description="The subscriptions, over WebSocket (graphql-transport-ws) or as server-sent events.")
class Subscription:
    @subscription(
        "The change feed. Without `after` it starts now. With `after` it starts with all changes since that cursor, "
        "and first retracts what a reorg removed since. Across reorgs and restarts no message is lost or sent twice."
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
        cursors = await context.run(cursors_of, context, feed)
        position = cursors.read(after) if after else await context.run(newest_position, context, feed)
        while True:
            await context.begin_batch()
            here = cursors.write(position)
            cursors = await context.run(cursors_of, context, feed)
            # refuses the cursor if another profile has read the network since
            batch = await context.run(read_batch, context, feed, cursors.read(here), BATCH)
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

    @subscription("Each newly indexed block; after a reorg, the first block of the new branch.")
    async def block_indexed(self, info: Info, chain_id: ChainIdArgument = UNSET) -> AsyncGenerator[Block, None]:
        context = subscription_context(info)
        only = None if chain_id is UNSET else chain_id
        if only is not None and only not in context.snapshot.chains:
            raise BadUserInput(f"chainId is {only}, which is not indexed here: _meta lists the networks.")
        sent = _newest_blocks(context)
        while True:
            await context.begin_batch()
            blocks = await _new_blocks(context, sent, only)
            more = len(blocks) >= BATCH
            for left, block in zip(range(len(blocks))[::-1], blocks, strict=True):
                context.left, sent[block.chain_id] = left, block
                yield cast(Block, to_block(block))
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
    """Returns the indexed block of each network, None if none is indexed yet."""
    return {
        pin.chain_id: pin.block if pin.block is not None and any(pin.block.hash) else None
        for pin in context.snapshot.pins
    }


async def _new_blocks(context: Context, sent: dict[int, BlockPoint | None], only: int | None) -> list[BlockPoint]:
    blocks: list[BlockPoint] = []
    for id, chain in context.snapshot.chains.items():
        if only in (None, id):
            blocks += await context.snapshot.read(new_blocks, chain, sent.get(id), BATCH)
    return blocks
