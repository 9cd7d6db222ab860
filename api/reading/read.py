"""Reads rows and pages of one snapshot for a response: each key once, the keys of one field in one statement.

Nothing here waits. The compiled executor reads in the thread that makes the response; graphql-core, which runs on the
event loop, sends each batch of keys to a thread (`Snapshot.read`).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from sqlalchemy import Connection

from api.queries.blocks import are_canonical, blocks_at_times
from api.queries.events import EVENT
from api.queries.sql.as_of import BlockPoint, Pin, pin_at
from api.queries.sql.filters import Filter
from api.queries.sql.intervals import Groups, Interval
from api.queries.sql.keys import Key
from api.queries.sql.listings import Listing
from api.queries.sql.pages import Page, PageQuery, counts
from api.queries.sql.relations import Cells, Columns, Relation, rows_by_key
from api.reading.cached_counts import Count, cached_count
from api.reading.cached_pages import read_pages
from api.reading.profile_readers import EVENT_CELLS, read_events
from api.reading.snapshot import Snapshot
from schema.profile.reader import DecodedEvent

READING = "reading"
"""The cell of an event that is made and not stored: its log, decoded by the reader of its chain."""

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Query = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Shape(NamedTuple):
    """The cells that the rows of a relation have in a response: columns, and a reading behind them if it is needed."""

    columns: Columns
    reads: bool = False

    def place(self, cell: str) -> int:
        """Returns the index of a cell."""
        return len(self.columns) if cell == READING else self.columns.index(cell)


def shape_of(relation: Relation, cells: set[str]) -> Shape:
    """Returns the shape of rows with these cells, in the order of the relation."""
    if READING in cells:
        cells = cells | set(EVENT_CELLS)
    return Shape(tuple(name for name in relation.columns if name in cells), READING in cells)


NO_CELLS = Shape(())


@cache
def whole_shape(relation: Relation) -> Shape:
    """Returns the shape of rows with all cells."""
    return Shape(relation.columns, relation is EVENT)


class Read:
    """Reads one snapshot for one response. `rows_read` counts its rows.

    `shapes` are those of the relations that a compiled operation selects from; without it, rows have all cells.
    """

    def __init__(self, snapshot: Snapshot, shapes: Mapping[Relation, Shape] | None = None) -> None:
        self.snapshot = snapshot
        self.rows_read = 0
        self._shapes = shapes
        self._results: dict[Hashable, dict[Any, Any]] = {}

    def shape(self, relation: Relation) -> Shape:
        """Returns the shape that the rows of a relation have."""
        return whole_shape(relation) if self._shapes is None else self._shapes.get(relation, NO_CELLS)

    def rows(self, relation: Relation, keys: Sequence[Key]) -> list[Cells | None]:
        """Returns the row of each key's id, None if there is none."""
        shape = self.shape(relation)

        def query(connection: Connection, keys: Sequence[Key]) -> Sequence[Cells | None]:
            rows = rows_by_key(connection, relation, shape.columns, keys)
            return self._decoded(connection, shape, rows) if shape.reads else rows

        return self.each(query, keys, relation)

    def cells(self, relation: Relation, columns: Columns, keys: Sequence[Key]) -> list[Cells | None]:
        """Returns these columns of the row of each key's id, None if there is none."""
        return self.each(
            lambda connection, keys: rows_by_key(connection, relation, columns, keys), keys, (relation, columns)
        )

    def pages(self, query: PageQuery, keys: Sequence[Key], columns: Columns | None = None) -> list[Page]:
        """Returns a page of each key's list. Its rows have the shape of the listing's relation, or these columns."""
        shape = self.shape(query.listing.rows) if columns is None else Shape(columns)

        def read(connection: Connection, keys: Sequence[Key]) -> Sequence[Page]:
            pages = read_pages(self.snapshot, connection, query, keys, shape.columns)
            if not shape.reads:
                return pages
            rows = iter(self._decoded(connection, shape, [row for page in pages for row in page.rows]))
            return [Page(list(islice(rows, len(page.rows))), page.more) for page in pages]

        return self.each(read, keys, (query, columns))

    def counts(self, listing: Listing, filter: Filter, keys: Sequence[Key], page: PageQuery | None = None) -> list[int]:
        """Returns the length of each key's list. A list of which `page` was read, and is all, is not counted again."""

        def count(connection: Connection, keys: Sequence[Key], interval: Interval | None) -> list[Groups]:
            return [Groups({(): total}) for total in counts(connection, listing, keys, filter, interval)]

        name = (listing, filter, "count")
        if page is not None and page.window.after is None and page.window.before is None:
            self._count_whole(page, keys, name)
        return [groups[()] for groups in self.groups(count, keys, name, is_settled=listing.is_settled(filter))]

    def _count_whole(self, query: PageQuery, keys: Sequence[Key], name: Hashable) -> None:
        """Counts the lists whose only page was read. Each count is one row read, like any other."""
        pages, known = self._results.get((query, None), {}), self._results.setdefault(name, {})
        for key in keys:
            page = pages.get(key)
            if page is not None and not page.more and key not in known:
                known[key] = Groups({(): len(page.rows)})
                self.rows_read += 1

    def groups(self, count: Count, keys: Sequence[Key], name: Hashable, *, is_settled: bool) -> list[Groups]:
        """Returns the groups of each key. If `is_settled`, only rows that events touched change their group."""

        def query(connection: Connection, keys: Sequence[Key]) -> Sequence[Groups]:
            if is_settled:
                return cached_count(self.snapshot, connection, name, count, keys)
            return count(connection, keys, None)

        return self.each(query, keys, name)

    def now(self, query: Callable[[Connection, *Arguments], Result], *arguments: *Arguments) -> Result:
        """Returns the result of a query whose rows are not counted."""
        return self.snapshot.read_now(query, *arguments)

    def each(self, query: Query, keys: Sequence[Any], name: Hashable = None) -> list[Any]:
        """Returns the query's result for each key; a key is read once. `name` identifies a query that is made anew."""
        results = self._results.setdefault(name or query, {})
        new = [key for key in dict.fromkeys(keys) if key not in results]
        if new:
            read = self.snapshot.read_now(query, new)
            self.rows_read += sum(map(_row_count, read))
            results.update(zip(new, read, strict=True))
        return [results[key] for key in keys]

    def is_canonical(self, block: BlockPoint) -> bool:
        """Returns whether a block that was once indexed is still canonical."""
        finals = self.snapshot.final_numbers
        canonical: bool = self.each(
            lambda connection, blocks: are_canonical(connection, finals, blocks), [block], "is canonical"
        )[0]
        return canonical

    def pins_by(self, pins: Sequence[Pin], seconds: int) -> list[Pin]:
        """Returns each pin at an instant in unix seconds, which includes nothing behind the position of the pin."""
        earlier = [pin for pin in pins if pin.block is None or seconds < pin.clock or seconds < pin.block.time]
        keys = list(dict.fromkeys((pin.chain_id, seconds) for pin in earlier))
        blocks: dict[tuple[int, int], BlockPoint | None] = dict(
            zip(keys, self.each(blocks_at_times, keys), strict=True)
        )

        def then(pin: Pin) -> Pin:
            if pin.block is not None and seconds >= pin.clock and seconds >= pin.block.time:
                return pin._replace(clock=seconds)
            block = blocks[pin.chain_id, seconds]
            last = -1 if block is None else min(pin.position, pin_at(block, seconds).position)
            return pin._replace(position=last, clock=seconds)

        return [then(pin) for pin in pins]

    def fit(self, event: Cells) -> Cells:
        """Returns an event that has all columns in the shape that events have."""
        shape = self.shape(EVENT)
        row = tuple([event[EVENT.columns.index(name)] for name in shape.columns])
        return self.now(self._decoded, shape, [row])[0] if shape.reads else row

    def decode(self, event: Cells) -> DecodedEvent:
        """Returns the reading of an event that has all columns."""
        return self.now(read_events, self.snapshot.readers, [_log(event)])[0]

    def _decoded(self, connection: Connection, shape: Shape, rows: Sequence[Cells | None]) -> list[Any]:
        """Returns the rows, each with its reading behind the columns."""
        end, log = len(shape.columns), itemgetter(*_log_places(shape))
        logs = [log(row) for row in rows if row is not None]
        readings = iter(read_events(connection, self.snapshot.readers, logs))
        return [None if row is None else (*row[:end], next(readings), *row[end:]) for row in rows]


_log = itemgetter(*map(EVENT.columns.index, EVENT_CELLS))


@cache
def _log_places(shape: Shape) -> tuple[int, ...]:
    return tuple(map(shape.columns.index, EVENT_CELLS))


def _row_count(result: Any) -> int:
    """Returns the number of rows in the result for one key: of a page, a list, one row, or none.

    Groups are at least one row: a count is one without values.
    """
    if isinstance(result, Page):
        return len(result.rows)
    if isinstance(result, Counter):
        return max(len(result), 1)
    return len(result) if isinstance(result, list) else int(result is not None)
