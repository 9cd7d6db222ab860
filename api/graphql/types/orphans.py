"""`orphanedEvents`: the events that reorgs removed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.filters import names_unmapped, to_filter
from api.graphql.paging.arguments import PageArguments, page_size
from api.graphql.paging.connections import ConnectionList, Shown
from api.graphql.paging.tokens import digest_of, read_orphan_cursor, write_orphan_cursor
from api.graphql.plan.fields import At, column, computed
from api.graphql.types.blocks import Block, BlockRow, to_block
from api.graphql.types.lifecycle_event import EventFilterBy, LifecycleEvent
from api.graphql.vocabulary.scalars import block_time
from api.queries.blocks import blocks
from api.queries.events import EVENT
from api.queries.orphans import OrphanPlace, count_orphans, orphans, place_of
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.pages import Window
from schema.tables.values import block_of


class OrphanRow(NamedTuple):
    """An event that a reorg removed, its place and when it was removed. Objects below it are read at the present."""

    event: At
    place: OrphanPlace
    chain_id: int
    number: int
    orphaned_at: int


def _replacing(context: Context, events: Sequence[tuple[int, int]]) -> list[BlockRow | None]:
    return [None if block is None else to_block(block) for block in context.read.each(blocks, events)]


@strawberry.type(description="An event that a reorg removed.")
class OrphanedEvent:
    event: LifecycleEvent = column("The event as it was recorded. Objects below it are read at the present block.")
    orphaned_at: datetime = column(
        "The time at which the indexer removed the event, by the indexer's clock.", block_time
    )
    replaced_by: Block | None = computed(
        "The canonical block that is now at that height. Null if none is indexed or its header is not stored.",
        _replacing,
        "chain_id",
        "number",
    )


class OrphanList(ConnectionList):
    """The list, latest first. It only grows at its front, so cursors never become stale."""

    def __init__(self, filter: Filter, digest: bytes, window: Window[OrphanPlace]) -> None:
        self.filter = filter
        self.digest = digest
        self.window = window
        self._rows: Sequence[Row[Any]] | None = None

    def cursor(self, node: OrphanRow) -> str:
        return write_orphan_cursor(node.place, self.digest)

    @staticmethod
    def read(context: Context, lists: "Sequence[OrphanList]") -> list[Shown]:
        return [list._shown(context) for list in lists]

    @staticmethod
    def count(context: Context, lists: "Sequence[OrphanList]") -> list[int]:
        pins = context.snapshot.pins
        return [context.read.now(count_orphans, pins, list.filter, names_unmapped(list.filter)) for list in lists]

    def _shown(self, context: Context) -> Shown:
        pins = {pin.chain_id: pin for pin in context.snapshot.pins}
        if self._rows is None:
            unmapped = names_unmapped(self.filter)
            self._rows = context.read.now(orphans, context.snapshot.pins, self.filter, unmapped, self.window)
        more = len(self._rows) > self.window.size
        shown = self._rows[more:] if self.window.backward else self._rows[: self.window.size]
        return Shown([_orphan(context, row, pins[row.chain_id]) for row in shown], more)


def _orphan(context: Context, row: Row[Any], pin: Pin) -> OrphanRow:
    return OrphanRow(
        At(context.read.fit(tuple(row)), pin, EVENT),
        place_of(row),
        row.chain_id,
        block_of(row.position),
        row.happened_at,
    )


def orphan_list(context: Context, page: PageArguments, *, filter_by: EventFilterBy = UNSET) -> OrphanList:
    """Returns the page of the list that the arguments select. Raises BadUserInput."""
    filter = to_filter(filter_by)
    digest = digest_of("orphanedEvents", filter)
    size, backward = page_size(page.first, page.last)
    after, before = page.ends(lambda text, name: read_orphan_cursor(text, digest, name))
    return OrphanList(filter, digest, Window(size, backward, after, before))
