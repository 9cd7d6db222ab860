"""Pages of lists with few rows: a walk in the order of the list may pass the whole register to find them.

If its pages take long, the ids of all rows of the list are cached. They are cached as a count is, each as a group of
one. The next pages read the rows with these ids.
"""

import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from api.queries.sql.filters import Filter
from api.queries.sql.intervals import Groups, Interval
from api.queries.sql.keys import Key
from api.queries.sql.listings import Listing
from api.queries.sql.pages import Page, PageQuery, page_of_rows, pages, row_ids
from api.queries.sql.relations import Columns
from api.reading.cached_counts import MOST_GROUPS, Count, LongReads, cached_count
from api.reading.snapshot import Snapshot

FEW_ROWS = 200
"""Lists with more rows are walked: among a million rows the walk finds one in 5,000, in 2 ms."""

UNLIMITED = 2**31 - 1


_LONG: WeakKeyDictionary[Engine, LongReads] = WeakKeyDictionary()
"""The pages of lists that take long. Those of lists with more than FEW_ROWS are ignored."""


def read_pages(
    snapshot: Snapshot,
    connection: Connection,
    query: PageQuery,
    keys: Sequence[Key],
    columns: Columns,
) -> Sequence[Page]:
    """Returns the page of each key, whose rows have these columns."""
    listing, order, window, filter = query
    if not listing.is_settled(filter):
        return pages(connection, query, keys, columns)
    long, name = _LONG.setdefault(connection.engine, LongReads()), (listing, filter, "rows")
    if long.is_long(name):
        rows = cached_count(snapshot, connection, name, _ids_of(listing, filter), keys)
        if max(map(len, rows), default=0) <= FEW_ROWS:
            named = [[key._replace(id=id) for (id,) in ids] for key, ids in zip(keys, rows, strict=True)]
            return [page_of_rows(connection, listing, order, own, window, columns) for own in named]
        long.ignore(name)
    began = time.perf_counter()
    read = pages(connection, query, keys, columns)
    long.note(name, time.perf_counter() - began)
    return read


def _ids_of(listing: Listing, filter: Filter) -> Count:
    def ids(connection: Connection, keys: Sequence[Key], interval: Interval | None) -> list[Groups]:
        # more than MOST_GROUPS are not cached, so cached ids are all ids of the list
        limit = MOST_GROUPS + 1 if interval is None else UNLIMITED
        return [
            Groups(dict.fromkeys([(id,) for id in row_ids(connection, listing, key, filter, limit, interval)], 1))
            for key in keys
        ]

    return ids
