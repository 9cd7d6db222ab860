"""Connections as Relay specifies them: pages of a list that stays at its block while the index moves on."""

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
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.pages import Listing, Order, Page, Place, Window, merged, place_of
from api.reading.loaders import CountQuery, PageQuery

NodeT = TypeVar("NodeT")


@strawberry.type(description="Information about a page, as Relay specifies it.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list has rows after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list has rows before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first row of the page. Null if the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last row of the page: pass it as `after` to get the next page. Null if the "
        "page is empty."
    )


@strawberry.type(description="One row of a page, with its cursor.")
class Edge(Generic[NodeT]):
    cursor: str = strawberry.field(description="The place of the row in the list, for `after` and `before`. Opaque.")
    node: NodeT = strawberry.field(description="The row.")


@strawberry.type(
    description="A page of a list. All pages of a sequence are read at the block of the first page. Once a newer "
    "block is indexed, the ids of later pages include that block."
)
class Connection(Generic[NodeT]):
    edges: list[Edge[NodeT]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[NodeT] = strawberry.field(description="The rows.")
    page_info: PageInfo = strawberry.field(
        description="Whether there are rows before and after the page, and the cursors of its ends."
    )
    total_count: int = strawberry.field(
        description="The number of rows in the whole list. It is counted only if it is selected."
    )


class ListQuery(NamedTuple):
    """The list that a field returns: a listing in an order, of one parent (0: without a parent), with a filter."""

    listing: Listing
    order: Order
    parent: int = 0
    filter: Filter = ()


Build = Callable[[Row[Any], Pin], NodeT]


async def connect(
    info: Info, query: ListQuery, arguments: PageArguments, pins: tuple[Pin, ...], build: Build[NodeT]
) -> Connection[NodeT]:
    """Returns a page of a list on the chains of the pins. Raises BadUserInput."""
    context, selection = info.context, selected(info)
    # the digest is needed only to read or to write a cursor
    digest = _digest(query, pins) if selection & CURSOR_FIELDS or arguments.has_cursor else b""
    window, bookmarks = _window(arguments, digest, query.order)
    if bookmarks:
        pins = await _pins_of(context, bookmarks, pins)
    keys = [key_of(pin, query.parent) for pin in pins]
    pages, counts = [], []
    # all are requested before one is awaited, so that they are read together
    if selection & PAGE_FIELDS:
        page_of = PageQuery(query.listing, query.order, window, query.filter)
        pages = [context.loaders.page(page_of, key) for key in keys]
    if "totalCount" in selection:
        count_of = CountQuery(query.listing, query.filter)
        counts = [context.loaders.count(count_of, key) for key in keys]
    chain_pages = [await page for page in pages]
    total = sum([await count for count in counts])
    page = chain_pages[0] if len(chain_pages) == 1 else merged(query.order, chain_pages, window)
    cursors, pin_of = ListCursors(digest, pins), {pin.chain_id: pin for pin in pins}
    return to_connection(
        page,
        total,
        window,
        lambda row: cursors.write(place_of(row)),
        lambda row: build(row, pin_of[row.chain_id]),
        selection,
    )


CURSOR_FIELDS = frozenset({"edges", "pageInfo"})
PAGE_FIELDS = CURSOR_FIELDS | {"nodes"}


def _digest(query: ListQuery, pins: tuple[Pin, ...]) -> bytes:
    parent = (pins[0].chain_id, query.parent) if query.parent and pins else None
    return digest_of(query.listing.name, parent, query.order.name, query.order.descending, query.filter)


def _window(arguments: PageArguments, digest: bytes, order: Order) -> tuple[Window[Place], list[Bookmark]]:
    size, backward = page_size(arguments.first, arguments.last)
    if not arguments.has_cursor:
        return Window(size, backward), []
    ends = arguments.ends(lambda text, name: read_list_cursor(text, digest, order, name))
    after, before = (None if end is None else end.place for end in ends)
    return Window(size, backward, after, before), [end for end in ends if end is not None]


async def _pins_of(context: Context, bookmarks: list[Bookmark], requested: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Returns the pins of the first page, at which all pages of a sequence are read. Raises BadUserInput.

    They are `past` where a newer block is indexed: the ids of the page must differ from those of the present, or a
    client's cache would overwrite the present with the past.
    """
    pins = bookmarks[0].pins
    points = {(pin.chain_id, pin.block, pin.clock) for pin in pins}
    others = [{(pin.chain_id, pin.block, pin.clock) for pin in bookmark.pins} for bookmark in bookmarks[1:]]
    if any(pin.is_in_ids for pin in requested):
        others.append({(pin.chain_id, pin.block, pin.clock) for pin in requested})
    elif any(pin.explicit for pin in pins):
        raise BadUserInput("The cursor is of a list that was read with asOf: use the same asOf.")
    if any(points != other for other in others):
        raise BadUserInput("The cursor is of this list at another block: use it with the asOf that returned it.")
    if not {pin.chain_id for pin in pins} <= context.snapshot.chains.keys():
        raise BadUserInput("The cursor is of a network that is not indexed here: start again without it.")
    await check_canonical(context, pins)
    explicit = any(pin.explicit for pin in requested)
    newest = {pin.chain_id: pin.block for pin in context.snapshot.pins}
    return tuple(pin._replace(explicit=explicit, past=pin.block != newest[pin.chain_id]) for pin in pins)


def to_connection(
    page: Page,
    total: int,
    window: Window[Any],
    cursor_of: Callable[[Row[Any]], str],
    node_of: Callable[[Row[Any]], NodeT],
    selection: frozenset[str],
) -> Connection[NodeT]:
    """Returns the connection of a page, with what is selected."""
    rows = page.rows
    nodes = [node_of(row) for row in rows] if selection & {"nodes", "edges"} else []
    edges = (
        [Edge(cursor=cursor_of(row), node=node) for row, node in zip(rows, nodes, strict=True)]
        if "edges" in selection
        else []
    )
    info = NOT_SELECTED
    if "pageInfo" in selection:
        start, end = (cursor_of(rows[0]), cursor_of(rows[-1])) if rows else (None, None)
        info = _page_info(window, page.more, start, end)
    return Connection(edges=edges, nodes=nodes, page_info=info, total_count=total)


NOT_SELECTED = PageInfo(has_next_page=False, has_previous_page=False, start_cursor=None, end_cursor=None)


def _page_info(window: Window[Any], more: bool, start: str | None, end: str | None) -> PageInfo:
    # a cursor names a row of this very list: there is a row on its other side
    after, before = window.after is not None, window.before is not None
    return PageInfo(
        has_next_page=before if window.backward else more or before,
        has_previous_page=more or after if window.backward else after,
        start_cursor=start,
        end_cursor=end,
    )


def selected(info: Info) -> frozenset[str]:
    """Returns the names of the fields that the request selects on this field, also through fragments."""
    names: set[str] = set()
    for node in info._raw_info.field_nodes:
        _collect(node.selection_set, info._raw_info.fragments, names)
    return frozenset(names)


def _collect(selection_set: SelectionSetNode | None, fragments: Any, names: set[str]) -> None:
    for selection in selection_set.selections if selection_set else ():
        match selection:
            case FieldNode():
                names.add(selection.name.value)
            case InlineFragmentNode():
                _collect(selection.selection_set, fragments, names)
            case FragmentSpreadNode():
                _collect(fragments[selection.name.value].selection_set, fragments, names)
