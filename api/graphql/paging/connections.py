"""Connections, by Relay: pages of a list that stays at its block while the index moves on."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode
from sqlalchemy import Row

from api.graphql.context import Context, Info
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import check_canonical
from api.graphql.paging.arguments import PageArguments, page_size
from api.graphql.paging.tokens import Bookmark, ListCursors, digest_of, read_list_cursor
from api.queries.orphans import OrphanWindow
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.pages import Listing, Order, Page, Window, merged, place_of
from api.reading.loaders import CountOf, PageOf

NodeT = TypeVar("NodeT")


@strawberry.type(description="Relay's page information.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list goes on behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list has rows before this page.")
    start_cursor: str | None = strawberry.field(description="Of the page's first row.")
    end_cursor: str | None = strawberry.field(description="Of the page's last row: `after` for the next page.")


@strawberry.type(description="One row of a page, with its place in the list.")
class Edge(Generic[NodeT]):
    cursor: str = strawberry.field(description="The row's place, for `after` and `before`. Opaque.")
    node: NodeT = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list. Every page of a sequence answers at the block of the first.")
class Connection(Generic[NodeT]):
    edges: list[Edge[NodeT]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[NodeT] = strawberry.field(description="The rows.")
    page_info: PageInfo = strawberry.field(description="What lies around the page.")
    total_count: int = strawberry.field(description="How many rows the whole list has. Counted only when selected.")


class Listed(NamedTuple):
    """What list a field is: whose (0: of no parent), in which order, and which rows of it."""

    listing: Listing
    order: Order
    parent: int = 0
    filter: Filter = ()


Build = Callable[[Row[Any], Pin], NodeT]


async def connect(
    info: Info, listed: Listed, arguments: PageArguments, pins: tuple[Pin, ...], build: Build[NodeT]
) -> Connection[NodeT]:
    """Returns the asked page of a list, of the chains of the pins. Raises BadUserInput."""
    context, wanted = info.context, selected(info)
    # only a cursor that was given, or is told, holds the list's digest_of
    mark = _mark(listed, pins) if wanted & CURSOR_FIELDS or arguments.has_cursor else b""
    window, bookmarks = _window(arguments, mark, listed.order)
    if bookmarks:
        pins = await _pins_of(context, bookmarks, pins)
    keys = [key_of(pin, listed.parent) for pin in pins]
    pages, counts = [], []
    # all are asked for before one is awaited, so that they are read together
    if wanted & PAGE_FIELDS:
        asked = PageOf(listed.listing, listed.order, window, listed.filter)
        pages = [context.loaders.page(asked, key) for key in keys]
    if "totalCount" in wanted:
        counted = CountOf(listed.listing, listed.filter)
        counts = [context.loaders.count(counted, key) for key in keys]
    found = [await page for page in pages]
    total = sum([await count for count in counts])
    page = found[0] if len(found) == 1 else merged(listed.order, found, window)
    return _connection(page, total, window, ListCursors(mark, pins), {pin.chain_id: pin for pin in pins}, build, wanted)


CURSOR_FIELDS = frozenset({"edges", "pageInfo"})
PAGE_FIELDS = CURSOR_FIELDS | {"nodes"}


def _mark(listed: Listed, pins: tuple[Pin, ...]) -> bytes:
    parent = (pins[0].chain_id, listed.parent) if listed.parent and pins else None
    return digest_of(listed.listing.name, parent, listed.order.name, listed.order.descending, listed.filter)


def _window(arguments: PageArguments, mark: bytes, order: Order) -> tuple[Window, list[Bookmark]]:
    size, backward = page_size(arguments.first, arguments.last)
    if not arguments.has_cursor:
        return Window(size, backward), []
    ends = [
        None if text is None else read_list_cursor(text, mark, order, name)
        for name, text in (("after", arguments.after), ("before", arguments.before))
    ]
    after, before = (None if end is None else end.place for end in ends)
    return Window(size, backward, after, before), [end for end in ends if end is not None]


async def _pins_of(context: Context, bookmarks: list[Bookmark], asked: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Returns the pins that a page sequence keeps to."""
    pins = bookmarks[0].pins
    points = {(pin.chain_id, pin.block, pin.clock) for pin in pins}
    others = [{(pin.chain_id, pin.block, pin.clock) for pin in bookmark.pins} for bookmark in bookmarks[1:]]
    explicit = any(pin.explicit for pin in asked)
    if explicit:
        others.append({(pin.chain_id, pin.block, pin.clock) for pin in asked})
    elif any(pin.explicit for pin in pins):
        raise BadUserInput("The cursor is of a list read with asOf: give the same asOf again.")
    if any(points != other for other in others):
        raise BadUserInput("The cursor is of the same list at another block: use it with the asOf that gave it.")
    if not {pin.chain_id for pin in pins} <= context.snapshot.chains.keys():
        raise BadUserInput("The cursor is of a network that is not indexed here: begin again without it.")
    await check_canonical(context, pins)
    return tuple(pin._replace(explicit=explicit) for pin in pins)


def _connection(
    page: Page,
    total: int,
    window: Window,
    cursors: ListCursors,
    pins: dict[int, Pin],
    build: Build[NodeT],
    wanted: frozenset[str],
) -> Connection[NodeT]:
    rows = page.rows
    nodes = [build(row, pins[row.chain_id]) for row in rows] if wanted & {"nodes", "edges"} else []
    edges = (
        [Edge(cursor=cursors.write(place_of(row)), node=node) for row, node in zip(rows, nodes, strict=True)]
        if "edges" in wanted
        else []
    )
    info = NOT_SELECTED
    if "pageInfo" in wanted:
        start, end = (cursors.write(place_of(row)) for row in (rows[0], rows[-1])) if rows else (None, None)
        info = page_info(window, page.more, start, end)
    return Connection(edges=edges, nodes=nodes, page_info=info, total_count=total)


NOT_SELECTED = PageInfo(has_next_page=False, has_previous_page=False, start_cursor=None, end_cursor=None)


def page_info(window: Window | OrphanWindow, more: bool, start: str | None, end: str | None) -> PageInfo:
    """Returns the page information of a window. `more`: rows follow in the direction of the window."""
    # a cursor names a row of this very list: there is a row on its other side
    after, before = window.after is not None, window.before is not None
    return PageInfo(
        has_next_page=before if window.backward else more or before,
        has_previous_page=more or after if window.backward else after,
        start_cursor=start,
        end_cursor=end,
    )


def selected(info: Info) -> frozenset[str]:
    """Returns the names of the fields that the request selects on this field, through fragments."""
    found: set[str] = set()
    for node in info._raw_info.field_nodes:
        _collect(node.selection_set, info._raw_info.fragments, found)
    return frozenset(found)


def _collect(selection_set: SelectionSetNode | None, fragments: Any, found: set[str]) -> None:
    for selection in selection_set.selections if selection_set else ():
        match selection:
            case FieldNode():
                found.add(selection.name.value)
            case InlineFragmentNode():
                _collect(selection.selection_set, fragments, found)
            case FragmentSpreadNode():
                _collect(fragments[selection.name.value].selection_set, fragments, found)
