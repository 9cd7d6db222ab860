"""Pages of lists with few rows: a walk in the order of the list may pass the whole register to find them.

If a page took long, the ids of all rows of its list are kept as counts are, each as a group of one, and the next pages
read the rows with these ids.
"""

import time
from collections.abc import Hashable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from sqlalchemy import Connection, Engine

from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key
from api.queries.sql.pages import Listing, Order, Page, Place, Window, page_of_rows, pages, row_ids
from api.queries.sql.relations import Columns
from api.queries.sql.stretches import Groups, Stretch
from api.reading import kept_counts
from api.reading.kept_counts import MOST_GROUPS, Count, count_with_kept
from api.reading.snapshot import Snapshot

FEW_ROWS = 200
"""Lists with more rows are walked: among a million rows the walk finds one in 5,000, in 2 ms."""

MOST_LISTS = 256
"""Lists of a database that are known to take long."""

UNLIMITED = 2**31 - 1


class LongLists:
    """The lists of one database a page of which took long. Threads share it."""

    def __init__(self) -> None:
        self._may_be_few: LRUCache[Hashable, bool] = LRUCache(MOST_LISTS)
        self._lock = Lock()

    def may_be_few(self, name: Hashable) -> bool:
        """Returns whether a page of the list took long, and the list is not known to have more than FEW_ROWS."""
        with self._lock:
            return bool(self._may_be_few.get(name))

    def note(self, name: Hashable, *, may_be_few: bool) -> None:
        with self._lock:
            self._may_be_few[name] = may_be_few and self._may_be_few.get(name, True)


_LONG: WeakKeyDictionary[Engine, LongLists] = WeakKeyDictionary()


def read_pages(
    snapshot: Snapshot,
    connection: Connection,
    listing: Listing,
    order: Order,
    window: Window[Place],
    filter: Filter,
    keys: Sequence[Key],
    columns: Columns,
) -> Sequence[Page]:
    """Returns the page of each key, whose rows have these columns."""
    if not listing.is_settled(filter):
        return pages(connection, listing, order, keys, window, filter, columns)
    long, name = _LONG.setdefault(connection.engine, LongLists()), (listing, filter, "rows")
    if long.may_be_few(name):
        rows = count_with_kept(snapshot, connection, name, _ids_of(listing, filter), keys)
        if max(map(len, rows), default=0) <= FEW_ROWS:
            named = [[key._replace(id=id) for (id,) in ids] for key, ids in zip(keys, rows, strict=True)]
            return [page_of_rows(connection, listing, order, own, window, columns) for own in named]
        long.note(name, may_be_few=False)
    began = time.perf_counter()
    found = pages(connection, listing, order, keys, window, filter, columns)
    if time.perf_counter() - began >= kept_counts.LONG_SECONDS:
        long.note(name, may_be_few=True)
    return found


def _ids_of(listing: Listing, filter: Filter) -> Count:
    def ids(connection: Connection, keys: Sequence[Key], stretch: Stretch | None) -> list[Groups]:
        # more than MOST_GROUPS are not kept, so that those that are kept are all
        limit = MOST_GROUPS + 1 if stretch is None else UNLIMITED
        return [
            Groups(dict.fromkeys([(id,) for id in row_ids(connection, listing, key, filter, limit, stretch)], 1))
            for key in keys
        ]

    return ids
