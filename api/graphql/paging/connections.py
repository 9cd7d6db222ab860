"""Connections as Relay specifies them: pages of a list that stays at its block while the index moves on."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import AsOf, AsOfArgument, check_canonical, pins_at
from api.graphql.paging.arguments import PageArguments, page_arguments, page_size
from api.graphql.paging.tokens import Bookmark, ListCursors, digest_of, read_list_cursor
from api.graphql.plan.fields import At, arguments_of, computed, value
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.listings import BY_POSITION, Listing, Order
from api.queries.sql.pages import SORT_ID, SORT_KEY, Page, PageQuery, Place, Window, merged
from api.queries.sql.relations import Cells

NodeT = TypeVar("NodeT")
ValueT = TypeVar("ValueT")


class Shown(NamedTuple):
    """The nodes of a page, and whether more rows follow in the page's direction."""

    nodes: Sequence[Any]
    more: bool


class ConnectionList:
    """A list of which a connection shows a page. `window`: which page."""

    window: Window[Any]

    @staticmethod
    def read(context: Context, lists: Sequence[Any]) -> list[Shown]:
        """Returns the page of each list of this class."""
        raise NotImplementedError

    @staticmethod
    def count(context: Context, lists: Sequence[Any]) -> list[int]:
        """Returns the length of each list of this class."""
        raise NotImplementedError

    def cursor(self, node: Any) -> str:
        """Returns the cursor of a node of the page."""
        raise NotImplementedError


class EdgeRow(NamedTuple):
    list: ConnectionList
    node: Any


def _read(context: Context, lists: Sequence[ConnectionList]) -> list[Shown]:
    return type(lists[0]).read(context, lists)


def _nodes(context: Context, lists: Sequence[ConnectionList]) -> list[Sequence[Any]]:
    return [shown.nodes for shown in _read(context, lists)]


def _edges(context: Context, lists: Sequence[ConnectionList]) -> list[list[EdgeRow]]:
    return [
        [EdgeRow(list, node) for node in shown.nodes] for list, shown in zip(lists, _read(context, lists), strict=True)
    ]


def _page_infos(context: Context, lists: Sequence[ConnectionList]) -> "list[PageInfo]":
    return [_page_info(list, shown) for list, shown in zip(lists, _read(context, lists), strict=True)]


def _page_info(list: ConnectionList, shown: Shown) -> "PageInfo":
    # a cursor names a row of this very list: there is a row on its other side
    window = list.window
    after, before = window.after is not None, window.before is not None
    return PageInfo(
        has_next_page=before if window.backward else shown.more or before,
        has_previous_page=shown.more or after if window.backward else after,
        start_cursor=list.cursor(shown.nodes[0]) if shown.nodes else None,
        end_cursor=list.cursor(shown.nodes[-1]) if shown.nodes else None,
    )


def _counts(context: Context, lists: Sequence[ConnectionList]) -> list[int]:
    return type(lists[0]).count(context, lists)


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
    cursor: str = value(
        "The place of the row in the list, for `after` and `before`. Opaque.",
        lambda list, node: list.cursor(node),
        "list",
        "node",
    )
    node: NodeT = strawberry.field(description="The row.")


@strawberry.type(
    description="A page of a list. All pages of a sequence are read at the block of the first page. Once a newer "
    "block is indexed, the ids of later pages include that block."
)
class Connection(Generic[NodeT]):
    edges: list[Edge[NodeT]] = computed("The rows with their cursors.", _edges, "self")
    nodes: list[NodeT] = computed("The rows.", _nodes, "self")
    page_info: PageInfo = computed(
        "Whether there are rows before and after the page, and the cursors of its ends.", _page_infos, "self"
    )
    total_count: int = computed(
        "The number of rows in the whole list. It is counted only if it is selected.", _counts, "self", is_late=True
    )


class ListQuery(NamedTuple):
    """A listing in an order, with a filter."""

    listing: Listing
    order: Order = BY_POSITION
    filter: Filter = ()


class RowPage(NamedTuple):
    """The rows of a page, the pin of each, and whether more follow in the page's direction."""

    rows: Sequence[Cells]
    pins: Sequence[Pin]
    more: bool


class RowList(ConnectionList):
    """A list of one parent (0: without a parent) on the chains of the pins."""

    def __init__(self, query: ListQuery, parent: int, window: Window[Place], pins: Sequence[Pin]) -> None:
        self.query = query
        self.parent = parent
        self.window = window
        self.pins = pins
        self.keys = [key_of(pin, parent) for pin in pins]

    @property
    def page(self) -> PageQuery:
        return PageQuery(self.query.listing, self.query.order, self.window, self.query.filter)

    @cached_property
    def cursors(self) -> ListCursors:
        return ListCursors(_digest(self.query, self.parent, self.pins), tuple(self.pins))

    def cursor(self, node: At) -> str:
        return self.cursors.write(Place(node.row[SORT_KEY], node.pin.chain_id, node.row[SORT_ID]))

    @staticmethod
    def read(context: Context, lists: "Sequence[RowList]") -> list[Shown]:
        def pages(shared: RowList, keys: list[Key]) -> list[Page]:
            return context.read.pages(shared.page, keys)

        return [list._shown(own) for list, own in zip(lists, _of_each(lists, pages), strict=True)]

    @staticmethod
    def count(context: Context, lists: "Sequence[RowList]") -> list[int]:
        def counts(shared: RowList, keys: list[Key]) -> list[int]:
            return context.read.counts(shared.query.listing, shared.query.filter, keys, shared.page)

        return list(map(sum, _of_each(lists, counts)))

    def read_rows(self, context: Context) -> RowPage:
        """Returns the page of the list as plain rows."""
        return self._joined(context.read.pages(self.page, self.keys))

    def _shown(self, pages: Sequence[Page]) -> Shown:
        relation = self.query.listing.rows
        rows, pins, more = self._joined(pages)
        return Shown([At(row, pin, relation) for row, pin in zip(rows, pins, strict=True)], more)

    def _joined(self, pages: Sequence[Page]) -> RowPage:
        if len(pages) == 1:
            (page,), (pin,) = pages, self.pins
            return RowPage(page.rows, [pin] * len(page.rows), page.more)
        rows, more = merged(self.query.order, pages, [pin.chain_id for pin in self.pins], self.window)
        return RowPage([row for row, _ in rows], [self.pins[index] for _, index in rows], more)


def _of_each(
    lists: Sequence[RowList], read: Callable[[RowList, list[Key]], Sequence[ValueT]]
) -> list[Sequence[ValueT]]:
    """Returns what is read for the keys of each list. Lists that share a query and a window are read together."""
    groups: dict[tuple[int, int], list[RowList]] = defaultdict(list)
    for each in lists:
        groups[id(each.query), id(each.window)].append(each)
    values = {
        name: iter(read(alike[0], [key for each in alike for key in each.keys])) for name, alike in groups.items()
    }
    return [list(islice(values[id(each.query), id(each.window)], len(each.keys))) for each in lists]


def many(description: str, query: Listing | Callable[..., ListQuery] | None, source: str = "id") -> Any:
    """Declares a field that is a page of a listing, whose parent's id is in the cell `source`.

    A function makes the query from its keyword-only parameters, which become arguments of the field. The four page
    arguments come before them. Without a query, the cell itself has the query of a list without a parent.
    """

    def batch(context: Context, rows: Sequence[tuple[Pin, Any]], **arguments: Any) -> list[Any]:
        page, rest = split_page(arguments)
        if query is None:
            return [list_of(context, own, 0, page, (pin,)) for pin, own in rows]
        shared = ListQuery(query) if isinstance(query, Listing) else query(**rest)
        if page.has_cursor:
            return [list_of(context, shared, id, page, (pin,)) for pin, id in rows]
        window: Window[Place] = Window(*page_size(page.first, page.last))
        return [RowList(shared, id, window, (pin,)) for pin, id in rows]

    made = computed(description, batch, "pin", source)
    made.arguments = PAGE_ARGUMENTS + (arguments_of(query) if callable(query) else [])
    return made


def list_field(description: str, make: Callable[..., Any]) -> Any:
    """Declares a root field that is a page of a list.

    `make(context, page, **arguments)` returns the `ConnectionList`; its keyword-only parameters become arguments.
    """

    def batch(context: Context, rows: Sequence[Any], **arguments: Any) -> list[Any]:
        page, rest = split_page(arguments)
        return [make(context, page, **rest)]

    made = computed(description, batch)
    made.arguments = PAGE_ARGUMENTS + arguments_of(make)
    return made


def root_list(description: str, make: Callable[..., ListQuery], *, has_past: bool = True) -> Any:
    """Declares a root field that is a page of a listing on all chains. With `has_past` it has the argument `asOf`.

    `make(context, **arguments)` returns the query; its keyword-only parameters become arguments.
    """

    def batch(
        context: Context, rows: Sequence[Any], *, as_of: AsOf | None = None, **arguments: Any
    ) -> list[RowList | BadUserInput]:
        page, rest = split_page(arguments)
        return [list_of(context, make(context, **rest), 0, page, pins_at(context, as_of))]

    made = computed(description, batch)
    made.arguments = PAGE_ARGUMENTS + arguments_of(make) + (AS_OF_ARGUMENT if has_past else [])
    return made


def _as_of(*, as_of: AsOfArgument = UNSET) -> None: ...


PAGE_ARGUMENTS = arguments_of(page_arguments)
AS_OF_ARGUMENT = arguments_of(_as_of)


def split_page(arguments: dict[str, Any]) -> tuple[PageArguments, dict[str, Any]]:
    """Returns the page arguments among the arguments of a field, and the others."""
    page = {name: value for name, value in arguments.items() if name in PageArguments._fields}
    return page_arguments(**page), {name: value for name, value in arguments.items() if name not in page}


def list_of(
    context: Context, query: ListQuery, parent: int, page: PageArguments, pins: Sequence[Pin]
) -> RowList | BadUserInput:
    """Returns the page of a list that the arguments select, or the refusal of the arguments."""
    size, backward = page_size(page.first, page.last)
    if not page.has_cursor:
        return RowList(query, parent, Window(size, backward), pins)
    try:
        digest = _digest(query, parent, pins)
        ends = page.ends(lambda text, name: read_list_cursor(text, digest, query.order, name))
        pins = _pins_of(context, [end for end in ends if end is not None], pins)
    except BadUserInput as refusal:
        return refusal
    after, before = (None if end is None else end.place for end in ends)
    return RowList(query, parent, Window(size, backward, after, before), pins)


def _digest(query: ListQuery, parent: int, pins: Sequence[Pin]) -> bytes:
    of = (pins[0].chain_id, parent) if parent and pins else None
    return digest_of(query.listing.name, of, query.order.name, query.order.descending, query.filter)


def _pins_of(context: Context, bookmarks: list[Bookmark], requested: Sequence[Pin]) -> tuple[Pin, ...]:
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
    check_canonical(context, pins)
    explicit = any(pin.explicit for pin in requested)
    newest = {pin.chain_id: pin.block for pin in context.snapshot.pins}
    return tuple(pin._replace(explicit=explicit, past=pin.block != newest[pin.chain_id]) for pin in pins)
