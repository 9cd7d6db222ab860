"""Pages of lists by keyset: the next rows after a place in an order, never a number of rows to skip.

One statement returns the pages of many parents. For each parent the database walks the index of the order and stops
when the page is full. The key of an order may be absent; absent keys come last in both directions. A list is therefore
a segment of rows with a key and one segment for each condition under which it is absent, and a page is read in one walk
a segment. The id breaks all ties.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    BinaryExpression,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql import operators

from api.queries.sql.fields import with_parameters
from api.queries.sql.filters import Filter, matches
from api.queries.sql.intervals import Interval, interval_values
from api.queries.sql.keys import Key, PointSelect, indexes_by_chain, key_table, key_values, scope_of_chain, share_point
from api.queries.sql.listings import Listing, Order
from api.queries.sql.prepared import fetch, fetch_tuples
from api.queries.sql.relations import Cells, Columns
from api.queries.sql.scope import Scope, scope_of

PlaceT = TypeVar("PlaceT")
RowT = TypeVar("RowT")

MAX_STATEMENTS = 256


class Place(NamedTuple):
    """The place of a row in an order, among the rows of all chains. `key` is None if absent."""

    key: Any
    chain_id: int
    id: int


class Window(NamedTuple, Generic[PlaceT]):
    """The part of a list that a page returns: its size, its end of the list, and the places that it lies between."""

    size: int
    backward: bool = False
    after: PlaceT | None = None
    before: PlaceT | None = None


class Page(NamedTuple):
    """Rows in the list's order: the selected columns, then SORT_KEY and SORT_ID.

    `more`: there are further rows in the walk's direction, within the window's places.
    """

    rows: Sequence[Cells]
    more: bool


SORT_KEY, SORT_ID, PLACE = -3, -2, -1
"""Where a page's row has its key in the order, its id, and the index of the key that it was read for."""


class PageQuery(NamedTuple):
    """A page that is read for many parents."""

    listing: Listing
    order: Order
    window: Window[Place]
    filter: Filter = ()


def pages(connection: Connection, query: PageQuery, keys: Sequence[Key], columns: Columns) -> list[Page]:
    """Returns the page of each key, whose rows have these columns."""
    listing, order, window, _ = query
    filter, values = with_parameters(query.filter, listing.fields)
    values |= {
        "size": window.size + 1,
        **_place_values("after", window.after),
        **_place_values("before", window.before),
    }
    rows: list[list[Cells]] = [[] for _ in keys]
    for chain_id, unfilled in indexes_by_chain(keys).items():
        sides = _side(chain_id, window.after), _side(chain_id, window.before)
        one_point = share_point([keys[place] for place in unfilled])
        for segments in _segments(order, window.backward):
            for segment in segments:
                walk = Walk(window.backward, _has_key(window.after), _has_key(window.before), sides, segment)
                statement = _statement(connection.dialect.name, listing, order, filter, walk, columns, one_point)
                if statement is None or not unfilled:
                    continue
                parents = statement.values(connection, [keys[place] for place in unfilled])
                read = fetch_tuples(connection, statement.select, values | parents)
                if len(unfilled) == 1:
                    rows[unfilled[0]] += read
                    continue
                for row in read:
                    rows[unfilled[row[PLACE]]].append(row)
            unfilled = [place for place in unfilled if len(rows[place]) <= window.size]
    return [_page(order, rows_of_key, window) for rows_of_key in rows]


def row_ids(
    connection: Connection, listing: Listing, key: Key, filter: Filter, limit: int, interval: Interval | None = None
) -> list[int]:
    """Returns the ids of the rows in a list, at most `limit`; of those that the interval touched, if it is given."""
    filter, values = with_parameters(filter, listing.fields)
    statement = _ids_statement(connection.dialect.name, listing, filter, interval is not None)
    values |= {"size": limit, **interval_values(interval), **statement.values(connection, [key])}
    return [row[0] for row in fetch_tuples(connection, statement.select, values)]


def page_of_rows(
    connection: Connection, listing: Listing, order: Order, keys: Sequence[Key], window: Window[Place], columns: Columns
) -> Page:
    """Returns the page of a list that has the rows with these keys."""
    statement = _rows_statement(connection.dialect.name, listing, order, columns)
    rows = fetch_tuples(connection, statement, key_values(connection, keys))
    placed = [(row, Place(row[SORT_KEY], keys[0].chain_id, row[SORT_ID])) for row in rows]
    return _page(order, [row for row, place in placed if _is_within(order, place, window)], window)


def _is_within(order: Order, place: Place, window: Window[Place]) -> bool:
    after, before = window.after, window.before
    return (after is None or _is_behind(order, place, after)) and (before is None or _is_behind(order, before, place))


def _is_behind(order: Order, place: Place, other: Place) -> bool:
    """Returns whether a place is behind another one. Absent keys are behind all present ones."""
    if (place.key is None) != (other.key is None):
        return place.key is None
    ranks = [each[1:] if each.key is None else each for each in (place, other)]
    return ranks[0] < ranks[1] if order.descending else ranks[0] > ranks[1]


PRESENT = 0
"""The segment of rows with a key; segment n is that of the order's nth condition of absence."""


def _segments(order: Order, backward: bool) -> tuple[Sequence[int], ...]:
    """Returns the segments in the walk's order. Those of absence are one group: their rows are not yet sorted."""
    present, absent = (PRESENT,), range(1, 1 + len(order.absent))
    return (absent, present) if backward else (present, absent)


RowOfChain = tuple[Cells, int]
"""A row of a page, and the index of its chain's page."""


def merged(
    order: Order, pages: Sequence[Page], chain_ids: Sequence[int], window: Window[Place]
) -> tuple[Sequence[RowOfChain], bool]:
    """Returns one page from those of several chains, each row with the index of its page; and whether more follow."""
    rows = [(row, index) for index, page in enumerate(pages) for row in page.rows]
    shown, more = _cut(order, rows, lambda row: (row[0][SORT_KEY], chain_ids[row[1]], row[0][SORT_ID]), window)
    return shown, more or any(page.more for page in pages)


def counts(
    connection: Connection, listing: Listing, keys: Sequence[Key], filter: Filter = (), interval: Interval | None = None
) -> list[int]:
    """Returns the number of rows in the list of each key; of those that the interval touched, if it is given."""
    filter, values = with_parameters(filter, listing.fields)
    values |= interval_values(interval)
    totals = [0] * len(keys)
    for places in indexes_by_chain(keys).values():
        parents = [keys[place] for place in places]
        statement = _count_statement(
            connection.dialect.name, listing, filter, interval is not None, share_point(parents)
        )
        for row in fetch(connection, statement.select, values | statement.values(connection, parents)):
            totals[places[row.place]] = row.total
    return totals


def place_of(connection: Connection, listing: Listing, order: Order, key: Key, filter: Filter = ()) -> Place | None:
    """Returns the place of the row with the key's id in a list without a parent; None if the list has no such row."""
    filter, values = with_parameters(filter, listing.fields)
    scope, numbers = scope_of_chain(connection.dialect.name, one_point=True)
    conditions = (listing.within(scope), matches(scope, filter, listing.fields))
    walked, id = _walk(listing, scope, order.key, conditions)
    present = true() if order.present is None else order.present
    sort_key = literal_column("NULL") if order.key is None else case((present, order.key))
    statement = PointSelect(
        walked.with_only_columns(sort_key.label("key")).where(id == scope.id), numbers, one_point=True
    )
    row = connection.execute(statement.select, values | statement.values(connection, [key])).first()
    return None if row is None else Place(row.key, key.chain_id, key.id)


@lru_cache(MAX_STATEMENTS)
def _count_statement(dialect: str, listing: Listing, filter: Filter, is_touched: bool, one_point: bool) -> PointSelect:
    scope, numbers = scope_of_chain(dialect, one_point=one_point)
    ids = select_ids(listing, scope, filter, is_touched=is_touched)
    count = ids.with_only_columns(func.count()).correlate(scope.keys).scalar_subquery()
    return PointSelect(select(scope.keys.c.place, count.label("total")), numbers, one_point)


@lru_cache(MAX_STATEMENTS)
def _ids_statement(dialect: str, listing: Listing, filter: Filter, is_touched: bool) -> PointSelect:
    scope, numbers = scope_of_chain(dialect, one_point=True)
    ids = select_ids(listing, scope, filter, is_touched=is_touched)
    return PointSelect(ids.limit(bindparam("size", type_=Integer)), numbers, one_point=True)


@lru_cache(MAX_STATEMENTS)
def _rows_statement(dialect: str, listing: Listing, order: Order, columns: Columns) -> Select[Any]:
    scope = scope_of(key_table(dialect))
    key = literal_column("NULL") if order.key is None else order.key
    rows = listing.rows.make(scope, columns, key, listing.row_id, scope.keys.c.place)
    present = key if order.present is None else case((order.present, key))
    selected = [*rows.selected_columns]
    selected[SORT_KEY] = present.label("sort_key")
    return rows.with_only_columns(*selected).where(listing.rows.is_named(scope))


def select_ids(
    listing: Listing,
    scope: Scope,
    filter: Filter,
    columns: Sequence[ColumnElement[Any]] = (),
    *,
    is_touched: bool = False,
) -> Select[Any]:
    """Returns the SELECT of the ids of a list's rows that fit a filter at a scope, for use as a subquery.

    It joins the parts that the filter's conditions and `columns` use. With `is_touched`, it selects from the rows that
    an interval touched (`interval_values`).
    """
    fields = listing.fields_of_few if is_touched else listing.fields
    touched = listing.touched_by(filter) if is_touched else ()
    conditions = (listing.within(scope), matches(scope, filter, fields), *touched)
    return _walk(listing, scope, None, conditions, columns)[0]


Sides = tuple[int, int]
"""Where a chain lies from each end of a window: -1 before, 0 in, 1 behind it."""


class Walk(NamedTuple):
    """What makes the statement of a window different from others; all else about a window is a parameter.

    `after` and `before`: None without such a place, else whether it has a key.
    """

    backward: bool
    after: bool | None
    before: bool | None
    sides: Sides
    segment: int

    @property
    def present(self) -> bool:
        return self.segment == PRESENT


def _has_key(place: Place | None) -> bool | None:
    return None if place is None else place.key is not None


def _place_values(name: str, place: Place | None) -> dict[str, Any]:
    return {} if place is None else {f"{name}_key": place.key, f"{name}_id": place.id}


def _side(chain_id: int, place: Place | None) -> int:
    """Returns -1, 0 or 1: the chain lies before, in or behind that of the place."""
    return 0 if place is None else (chain_id > place.chain_id) - (chain_id < place.chain_id)


@lru_cache(MAX_STATEMENTS)
def _statement(
    dialect: str, listing: Listing, order: Order, filter: Filter, walk: Walk, columns: Columns, one_point: bool
) -> PointSelect | None:
    """Returns the SELECT of the pages of any parents in one segment, None if the segment is outside of the window.

    To make it takes many times as long as to execute it.
    """
    scope, numbers = scope_of_chain(dialect, one_point=one_point)
    conditions = (listing.within(scope), _segment(order, walk), matches(scope, filter, listing.fields))
    walked, id = _walk(listing, scope, order.key, conditions)
    bounds = _bounds(id, order, walk)
    if bounds is None:
        return None
    size = bindparam("size", type_=Integer)
    walked = walked.where(bounds).order_by(*_directions(id, order, walk)).limit(size)
    sort_key = literal_column("NULL") if order.key is None or not walk.present else order.key
    joined = scope._replace(chain_id=scope.keys.c.chain_id)
    rows = listing.rows.make(joined, columns, sort_key, listing.row_id, scope.keys.c.place)
    if dialect == "sqlite":
        return PointSelect(rows.where(listing.row_id.in_(walked.correlate(scope.keys))), numbers, one_point)
    picked = walked.with_only_columns(id.label("picked")).correlate(scope.keys).lateral("picked")
    return PointSelect(rows.select_from(picked).where(listing.row_id == picked.c.picked), numbers, one_point)


def _walk(
    listing: Listing,
    scope: Scope,
    key: ColumnElement[Any] | None,
    conditions: Sequence[ColumnElement[bool]],
    columns: Sequence[ColumnElement[Any]] = (),
) -> tuple[Select[Any], ColumnElement[int]]:
    """Returns the SELECT of the ids that fit, from the parts that key, conditions and columns use, and the ids' column.

    The part of the key is the first, so that the database can walk its index in order.
    """
    used = select(literal(1), *([] if key is None else [key]), *columns).where(*conditions).get_final_froms()
    parts = [part for part in listing.parts if part.table in used] or [listing.parts[0]]
    parts.sort(key=lambda part: key is None or getattr(key, "table", None) is not part.table)
    first, *others = parts
    joined = [part.id == first.id for part in others]
    held = [part.holds(scope, part.table) for part in parts]
    return select(first.id).where(*held, *joined, *conditions), first.id


def _segment(order: Order, walk: Walk) -> ColumnElement[bool]:
    if not walk.present:
        return order.absent[walk.segment - 1]
    if order.present is None or _implies_present(order, walk):
        return true()
    return order.present


def _implies_present(order: Order, walk: Walk) -> bool:
    """Whether a place bounds the keys at the same end as the limit of present ones.

    Of two bounds at one end SQLite may give the index the wider one, and would walk through all rows before the place.
    """
    bound = walk.before if order.present_ascends == order.descending else walk.after
    return bound is True


def _directions(id: ColumnElement[int], order: Order, walk: Walk) -> list[ColumnElement[Any]]:
    if order.key is None:
        columns = [id]
    elif walk.present or _is_equality(order.absent[walk.segment - 1]):
        columns = [order.key, id]
    else:
        # + 0 prevents a walk along an index of ids, which would pass all present rows to find the few absent ones
        columns = [id + literal_column("0")]
    return [column.desc() if order.descending != walk.backward else column.asc() for column in columns]


def _is_equality(condition: ColumnElement[bool]) -> bool:
    return isinstance(condition, BinaryExpression) and condition.operator in (operators.eq, operators.is_)


def _bounds(id: ColumnElement[int], order: Order, walk: Walk) -> ColumnElement[bool] | None:
    """Returns the condition of the window in one segment of one chain, None if the segment is outside of it."""
    conditions = []
    for name, has_key, side, behind in (
        ("after", walk.after, walk.sides[0], True),
        ("before", walk.before, walk.sides[1], False),
    ):
        if has_key is None:
            continue
        condition = _bound(id, order, name, has_key, side, behind, walk.present)
        if condition is None:
            return None
        conditions.append(condition)
    return and_(true(), *conditions)


def _bound(
    id: ColumnElement[int], order: Order, name: str, place_has_key: bool, side: int, behind: bool, present: bool
) -> ColumnElement[bool] | None:
    """Returns the condition that a row lies behind (or before) a place, None if no row of the segment can."""
    has_key = order.key is not None
    place_present = not has_key or place_has_key
    if present != place_present:
        # all absent keys are behind all present ones
        return true() if behind != present else None
    ascends = behind != order.descending
    of_chain = side if ascends else -side
    place_id = bindparam(f"{name}_id", type_=BigInteger)
    if not has_key or not present:
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


def _page(order: Order, rows: Sequence[Cells], window: Window[Place]) -> Page:
    """Returns the rows of all segments of one chain in the list's order, cut to the window's size."""
    return Page(*_cut(order, rows, itemgetter(SORT_KEY, SORT_ID), window))


def _cut(
    order: Order, rows: Sequence[RowT], rank: Callable[[RowT], tuple[Any, ...]], window: Window[Any]
) -> tuple[list[RowT], bool]:
    """Returns the rows in order, cut to the window's size, and whether any was cut off. Absent keys come last."""
    if order.key is None:
        ordered = sorted(rows, key=lambda row: rank(row)[1:], reverse=order.descending)
    else:
        absent = [row for row in rows if rank(row)[0] is None]
        present = [row for row in rows if rank(row)[0] is not None] if absent else rows
        ordered = sorted(present, key=rank, reverse=order.descending)
        ordered += sorted(absent, key=lambda row: rank(row)[1:], reverse=order.descending)
    if len(ordered) <= window.size:
        return ordered, False
    return ordered[-window.size :] if window.backward and window.size else ordered[: window.size], True
