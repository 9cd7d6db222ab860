"""`orphanedEvents`: the events that reorgs removed."""

from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from api.graphql.context import Context, Info
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.paging.arguments import PageArguments, page_size
from api.graphql.paging.connections import Connection, selected, to_connection
from api.graphql.paging.tokens import digest_of, read_orphan_cursor, write_orphan_cursor
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.event_rows import names_unmapped
from api.graphql.types.events import to_event
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import block_time
from api.queries.orphans import count_orphans, orphaned_event, orphans, place_of
from api.queries.sql.as_of import Pin
from api.queries.sql.pages import Page, Window
from api.reading.profile_readers import read_event


@strawberry.type(description="An event that a reorg removed.")
class OrphanedEvent:
    event: LifecycleEvent = strawberry.field(
        description="The event as it was recorded. Objects below it are read at the present block."
    )
    orphaned_at: datetime = strawberry.field(
        description="The time at which the indexer removed the event, by the indexer's clock."
    )

    @field("The canonical block that is now at that height. Null if none is indexed or its header is not stored.")
    async def replaced_by(self, info: Info) -> Block | None:
        row = self.event.row
        if row.block_number > info.context.snapshot.chains[row.chain_id].indexed_number:
            return None
        block = await info.context.loaders.block.load((row.chain_id, row.block_number))
        return None if block is None else to_block(block)


async def orphaned_events(
    info: Info, page: PageArguments, filter_by: LifecycleEventFilter | None
) -> Connection[OrphanedEvent]:
    """Returns a page of the list, latest first. The list only grows at its front, so cursors never become stale."""
    context, filter = info.context, to_filter(filter_by)
    digest = digest_of("orphanedEvents", filter)
    size, backward = page_size(page.first, page.last)
    after, before = page.ends(lambda text, name: read_orphan_cursor(text, digest, name))
    window = Window(size, backward, after, before)
    selection = selected(info)
    arguments = (context.snapshot.pins, filter, names_unmapped(filter))
    rows = await context.runner.read(orphans, *arguments, window) if selection - {"totalCount"} else ()
    total = await context.runner.read(count_orphans, *arguments) if "totalCount" in selection else 0
    more = len(rows) > size
    shown = rows[more:] if backward else rows[:size]
    pins = {pin.chain_id: pin for pin in context.snapshot.pins}
    return to_connection(
        Page(shown, more),
        total,
        window,
        lambda row: write_orphan_cursor(place_of(row), digest),
        lambda row: _orphaned_event(context, row, pins[row.chain_id]),
        selection,
    )


def _orphaned_event(context: Context, row: Row[Any], pin: Pin) -> OrphanedEvent:
    event = orphaned_event(row)
    return OrphanedEvent(
        event=to_event(event, read_event(context.snapshot.readers, event), pin), orphaned_at=block_time(row.happened_at)
    )
