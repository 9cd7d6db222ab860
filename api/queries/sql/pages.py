"""Pages of lists, by key: the next rows after a place in an order, never by counting from the start.

A statement asks for the pages of many parents at once: for each, the database walks the index of the order and stops
when the page is full. An order has a key that may be absent; absent keys come last in both directions, so that a list
is the present and the absent, and a page some walks: one for each condition that an index finds. `id` breaks every tie.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BinaryExpression,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql import operators

from api.queries.sql.filters import LAST_SECOND, Fields, Filter, matches, with_slots
from api.queries.sql.keys import Key, key_table, key_values
from api.queries.sql.prepared import fetch
from api.queries.sql.scope import Scope, scope_of

KEPT_STATEMENTS = 256


@dataclass(frozen=True)
class Order:
    """By `key` where `present`, then by id; without a key by id alone. An order is its name and direction.

    `absent` are the conditions of which one holds where the key is not present, each found by an index.
    """

    name: str
    key: ColumnElement[Any] | None = field(default=None, compare=False)
    present: ColumnElement[bool] | None = field(default=None, compare=False)
    absent: Sequence[ColumnElement[bool]] = field(default=(), compare=False)
    descending: bool = False


@dataclass(frozen=True)
class Part:
    """One of the tables that hold what a list is of: `id` names its row, which `holds` at a scope."""

    table: FromClause
    id: ColumnElement[int]
    holds: Callable[[Scope], ColumnElement[bool]]


def by_time(name: str, key: ColumnElement[Any], descending: bool) -> Order:
    """Returns an order by a time, which is absent where it has no RFC 3339 form. Of those few the ids are sorted."""
    return Order(name, key, key <= LAST_SECOND, (key.is_(None), key > LAST_SECOND), descending)


def by_text(name: str, key: ColumnElement[Any], descending: bool) -> Order:
    """Returns an order by a key of a text, which is absent where it is empty."""
    return Order(name, key, key > "", (key == "",), descending)


def always(scope: Scope) -> ColumnElement[bool]:
    """Holds for every row: of a part that its list alone restricts."""
    return true()


@dataclass(frozen=True)
class Listing:
    """A list that can be paged, below a parent or of a whole chain. A listing is its name.

    `parts` are the rows as filters and orders see them, the main one first: a walk reads no more of them than it needs.
    `within` tells which are in the list of a scope, `rows` selects all that is told of some at the scopes of its keys,
    named by `row_id`.
    """

    name: str
    parts: Sequence[Part] = field(compare=False)
    within: Callable[[Scope], ColumnElement[bool]] = field(compare=False)
    rows: Callable[[Scope], Select[Any]] = field(compare=False)
    row_id: ColumnElement[int] = field(compare=False)
    fields: Fields = field(compare=False)


class Place(NamedTuple):
    """Where a row stands in an order, in the rows of all chains. `key` None: absent."""

    key: Any
    chain_id: int
    id: int


class Window(NamedTuple):
    """How much of a list, and which part: from the front or the back, between two places."""

    size: int
    backward: bool = False
    after: Place | None = None
    before: Place | None = None


class Page(NamedTuple):
    """Rows in the list's order. `more`: there are others, in the direction of the walk and within the places."""

    rows: Sequence[Row[Any]]
    more: bool


def pages(
    connection: Connection, listing: Listing, order: Order, keys: Sequence[Key], window: Window, filter: Filter = ()
) -> list[Page]:
    """Returns the page of each key."""
    asked, values = with_slots(filter, listing.fields)
    values |= {
        "size": window.size + 1,
        **_place_values("after", window.after),
        **_place_values("before", window.before),
    }
    found: list[list[Row[Any]]] = [[] for _ in keys]
    for sides, places in _by_sides(keys, window).items():
        left = places
        for segments in _segments(order, window.backward):
            for segment in segments:
                walk = Walk(window.backward, _edge(window.after), _edge(window.before), sides, segment)
                statement = _statement(connection.dialect.name, listing, order, asked, walk)
                if statement is None or not left:
                    continue
                for row in fetch(connection, statement, values | key_values(connection, [keys[at] for at in left])):
                    found[left[row.place]].append(row)
            left = [place for place in left if len(found[place]) <= window.size]
    return [_page(order, rows, window) for rows in found]


PRESENT = 0


def _segments(order: Order, backward: bool) -> tuple[Sequence[int], ...]:
    """Returns the segments as a walk comes to them: the present, and all that is absent, in no order yet."""
    present, absent = (PRESENT,), range(1, 1 + len(order.absent))
    return (absent, present) if backward else (present, absent)


def merged(order: Order, found: Sequence[Page], window: Window) -> Page:
    """Returns one page of the pages of several chains."""
    page = _page(order, [row for page in found for row in page.rows], window)
    return Page(page.rows, page.more or any(part.more for part in found))


def place_of(row: Row[Any]) -> Place:
    """Returns where a row of a page stands."""
    return Place(row.sort_key, row.chain_id, row.sort_id)


def counts(connection: Connection, listing: Listing, keys: Sequence[Key], filter: Filter = ()) -> list[int]:
    """Returns how many rows the list of each key holds."""
    asked, values = with_slots(filter, listing.fields)
    statement = _count_statement(connection.dialect.name, listing, asked)
    rows = fetch(connection, statement, values | key_values(connection, keys))
    totals = {row.place: row.total for row in rows}
    return [totals[place] for place in range(len(keys))]


@lru_cache(KEPT_STATEMENTS)
def _count_statement(dialect: str, listing: Listing, filter: Filter) -> Select[Any]:
    scope = scope_of(key_table(dialect))
    conditions = (listing.within(scope), matches(scope, filter, listing.fields))
    count = walk(listing, scope, conditions).with_only_columns(func.count()).correlate(scope.keys).scalar_subquery()
    return select(scope.keys.c.place, count.label("total"))


def select_ids(listing: Listing, scope: Scope, filter: Filter) -> Select[Any]:
    """Returns the SELECT of the ids of all rows of a list that fit a filter at a scope, for use as a subquery."""
    return walk(listing, scope, (listing.within(scope), matches(scope, filter, listing.fields)))


def walk(
    listing: Listing,
    scope: Scope,
    conditions: Sequence[ColumnElement[bool]],
    told: Sequence[ColumnElement[Any]] = (),
) -> Select[Any]:
    """Returns the SELECT of the ids that fit, in no order, of the parts that conditions and `told` columns name."""
    return _walk(listing, scope, None, conditions, told)[0]


Sides = tuple[int, int]


class Walk(NamedTuple):
    """What of a window makes a statement another one; all else of it are parameters.

    `after` and `before`: whether there is such a place, and whether it has a key. `segment`: PRESENT, or the number
    of a condition of absence.
    """

    backward: bool
    after: bool | None
    before: bool | None
    sides: Sides
    segment: int

    @property
    def present(self) -> bool:
        return self.segment == PRESENT


def _edge(place: Place | None) -> bool | None:
    return None if place is None else place.key is not None


def _place_values(name: str, place: Place | None) -> dict[str, Any]:
    return {} if place is None else {f"{name}_key": place.key, f"{name}_id": place.id}


def _by_sides(keys: Sequence[Key], window: Window) -> Mapping[Sides, list[int]]:
    """Groups the keys by whether their chain lies before (-1), in (0) or behind (1) that of each end of the window."""
    groups: dict[Sides, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[_side(key, window.after), _side(key, window.before)].append(place)
    return groups


def _side(key: Key, place: Place | None) -> int:
    return 0 if place is None else (key.chain_id > place.chain_id) - (key.chain_id < place.chain_id)


@lru_cache(KEPT_STATEMENTS)
def _statement(dialect: str, listing: Listing, order: Order, filter: Filter, walk: Walk) -> Select[Any] | None:
    """Returns the SELECT of the pages of any keys in one segment, None where the segment lies outside of the window.

    Making it takes many times as long as executing it.
    """
    scope = scope_of(key_table(dialect))
    conditions = (listing.within(scope), _segment(order, walk.segment), matches(scope, filter, listing.fields))
    walked, id = _walk(listing, scope, order.key, conditions)
    bounds = _bounds(id, order, walk)
    if bounds is None:
        return None
    present = walk.present
    size = bindparam("size", type_=Integer)
    walked = walked.where(bounds).order_by(*_directions(id, order, walk)).limit(size)
    sort_key = literal_column("NULL") if order.key is None or not present else order.key
    rows = listing.rows(scope).add_columns(
        scope.keys.c.place.label("place"), sort_key.label("sort_key"), listing.row_id.label("sort_id")
    )
    if dialect == "sqlite":
        return rows.where(listing.row_id.in_(walked.correlate(scope.keys)))
    picked = walked.with_only_columns(id.label("picked")).correlate(scope.keys).lateral("picked")
    return rows.select_from(picked).where(listing.row_id == picked.c.picked)


def _walk(
    listing: Listing,
    scope: Scope,
    key: ColumnElement[Any] | None,
    conditions: Sequence[ColumnElement[bool]],
    told: Sequence[ColumnElement[Any]] = (),
) -> tuple[Select[Any], ColumnElement[int]]:
    """Returns the SELECT of the ids that fit, of the parts that key, conditions and `told` name, and the ids' column.

    The part of the key goes first, so that its index can be walked in order.
    """
    named = select(literal(1), *([] if key is None else [key]), *told).where(*conditions).get_final_froms()
    parts = [part for part in listing.parts if part.table in named] or [listing.parts[0]]
    parts.sort(key=lambda part: key is None or getattr(key, "table", None) is not part.table)
    first, *others = parts
    joined = [part.id == first.id for part in others]
    return select(first.id).where(*(part.holds(scope) for part in parts), *joined, *conditions), first.id


def _segment(order: Order, segment: int) -> ColumnElement[bool]:
    if segment != PRESENT:
        return order.absent[segment - 1]
    return true() if order.present is None else order.present


def _directions(id: ColumnElement[int], order: Order, walk: Walk) -> list[ColumnElement[Any]]:
    if order.key is None:
        columns = [id]
    elif walk.present or _is_equality(order.absent[walk.segment - 1]):
        columns = [order.key, id]
    else:
        # a walk along an index of ids, past all that is present, would find the few that are absent last
        columns = [id + literal_column("0")]
    return [column.desc() if order.descending != walk.backward else column.asc() for column in columns]


def _is_equality(condition: ColumnElement[bool]) -> bool:
    return isinstance(condition, BinaryExpression) and condition.operator in (operators.eq, operators.is_)


def _bounds(id: ColumnElement[int], order: Order, walk: Walk) -> ColumnElement[bool] | None:
    """Returns the condition of the window in one segment of one chain, None where the segment lies outside of it."""
    conditions = []
    for name, keyed, side, behind in (
        ("after", walk.after, walk.sides[0], True),
        ("before", walk.before, walk.sides[1], False),
    ):
        if keyed is None:
            continue
        condition = _bound(id, order, name, keyed, side, behind, walk.present)
        if condition is None:
            return None
        conditions.append(condition)
    return and_(true(), *conditions)


def _bound(
    id: ColumnElement[int], order: Order, name: str, place_keyed: bool, side: int, behind: bool, present: bool
) -> ColumnElement[bool] | None:
    """Returns the condition of standing behind (or before) a place, None where no row of the segment can."""
    keyed = order.key is not None
    place_present = not keyed or place_keyed
    if present != place_present:
        # all that is absent stands behind all that is present
        return true() if behind != present else None
    ascends = behind != order.descending
    of_chain = side if ascends else -side
    place_id = bindparam(f"{name}_id", type_=BigInteger)
    if not keyed or not present:
        if of_chain:
            return true() if of_chain > 0 else None
        return _beyond(id, place_id, ascends)
    if order.key is None:
        raise TypeError(f"the order {order.name} has no key")
    key = bindparam(f"{name}_key", type_=order.key.type)
    if of_chain:
        beyond = _beyond(order.key, key, ascends)
        return or_(beyond, order.key == key) if of_chain > 0 else beyond
    return _beyond(tuple_(order.key, id), tuple_(key, place_id), ascends)


def _beyond(column: Any, value: Any, ascends: bool) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column > value if ascends else column < value
    return condition


def _page(order: Order, rows: Sequence[Row[Any]], window: Window) -> Page:
    """Returns the rows of all segments and chains in the list's order, cut to the window's size."""
    absent = [row for row in rows if order.key is not None and row.sort_key is None]
    present = [row for row in rows if order.key is None or row.sort_key is not None]
    ordered = sorted(present, key=_rank, reverse=order.descending) + sorted(absent, key=_rank, reverse=order.descending)
    if len(ordered) <= window.size:
        return Page(ordered, more=False)
    return Page(ordered[-window.size :] if window.backward and window.size else ordered[: window.size], more=True)


def _rank(row: Row[Any]) -> tuple[Any, int, int]:
    return (0 if row.sort_key is None else row.sort_key, row.chain_id, row.sort_id)
