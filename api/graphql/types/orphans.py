"""`orphanedEvents`: what reorgs took back."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import strawberry
from msgspec import Meta, Struct
from sqlalchemy import Row

from api.graphql.context import Context, Info
from api.graphql.errors import BadUserInput
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.paging.arguments import PageArguments, page_size
from api.graphql.paging.connections import Connection, Edge, PageInfo, selected
from api.graphql.paging.cursors import fingerprint
from api.graphql.paging.ids import Int64
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.event_rows import asks_for_unmapped
from api.graphql.types.events import to_event
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import block_time
from api.queries.orphans import OrphanPlace, OrphanWindow, count_orphans, orphans, place_of, taken_back
from api.queries.sql.as_of import Pin
from api.reading.profile_readers import read_event

VERSION = 1


@strawberry.type(description="An event that a reorg took back.")
class OrphanedEvent:
    event: LifecycleEvent = strawberry.field(description="As it stood. What hangs under it answers as it is now.")
    orphaned_at: datetime = strawberry.field(description="When the indexer took it back, by the indexer's clock.")

    @field("The block now at that height, when there is one that is kept.")
    async def replaced_by(self, info: Info) -> Block | None:
        row = self.event.row
        if row.block_number > info.context.snapshot.chains[row.chain_id].indexed_number:
            return None
        block = await info.context.loaders.block.load((row.chain_id, row.block_number))
        return None if block is None else to_block(block)


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    fingerprint: Annotated[bytes, Meta(min_length=8, max_length=8)]
    happened_at: Int64
    chain_id: Int64
    reorg_no: Int64
    position: Int64


async def orphaned_events(
    info: Info, page: PageArguments, filter_by: LifecycleEventFilter | None
) -> Connection[OrphanedEvent]:
    """Returns a page of the list, latest first. It only grows at its front: cursors never get stale."""
    context, filter = info.context, to_filter(filter_by)
    mark = fingerprint("orphanedEvents", filter)
    window = _window(page, mark)
    wanted = selected(info)
    asked = (context.snapshot.pins, filter, asks_for_unmapped(filter))
    rows = await context.reading.read(orphans, *asked, window) if wanted - {"totalCount"} else ()
    total = await context.reading.read(count_orphans, *asked) if "totalCount" in wanted else 0
    return _connection(context, rows, total, window, mark)


def _window(page: PageArguments, mark: bytes) -> OrphanWindow:
    size, backward = page_size(page.first, page.last)
    return OrphanWindow(size, backward, _read(page.after, mark, "after"), _read(page.before, mark, "before"))


def _connection(
    context: Context, rows: Sequence[Row[Any]], total: int, window: OrphanWindow, mark: bytes
) -> Connection[OrphanedEvent]:
    more = len(rows) > window.size
    rows = (rows[1:] if window.backward else rows[: window.size]) if more else rows
    pins = {pin.chain_id: pin for pin in context.snapshot.pins}
    edges = [
        Edge(cursor=_write(place_of(row), mark), node=_orphaned_event(context, row, pins[row.chain_id])) for row in rows
    ]
    page = PageInfo(
        has_next_page=window.before is not None if window.backward else more or window.before is not None,
        has_previous_page=more or window.after is not None if window.backward else window.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, nodes=[edge.node for edge in edges], page_info=page, total_count=total)


def _orphaned_event(context: Context, row: Row[Any], pin: Pin) -> OrphanedEvent:
    event = taken_back(row)
    return OrphanedEvent(
        event=to_event(event, read_event(context.snapshot.readers, event), pin),
        orphaned_at=block_time(row.happened_at),
    )


def _write(place: OrphanPlace, mark: bytes) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(_Cursor(VERSION, mark, *place))).decode().rstrip("=")


def _read(text: str | None, mark: bytes, argument: str) -> OrphanPlace | None:
    if text is None:
        return None
    try:
        cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
        raise BadUserInput(
            f'{argument} is "{text[:80]}", which is no cursor of this list: pass one that a page gave.'
        ) from None
    if cursor.version != VERSION or cursor.fingerprint != mark:
        raise BadUserInput(f"{argument} is a cursor of another list: use it with the same filterBy that gave it.")
    return OrphanPlace(cursor.happened_at, cursor.chain_id, cursor.reorg_no, cursor.position)
