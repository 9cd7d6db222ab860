"""The cache of slow counts: a later count reads only the rows that changed since the cached one.

The state after a final block does not change while one writer holds the lease: only a rebuild and a rollback rewrite
the past, and for these another one takes it. A count of a whole register is therefore cached as of the last final
block, or of the earlier one that `asOf` names. For a count at another block, the rows that the events in between
touched are counted at both: it is the cached count, less these rows then, plus these rows now.
"""

import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from sqlalchemy import Connection, Engine

from api.queries.sql.intervals import MOST_EVENTS, Groups, Interval, events_in
from api.queries.sql.keys import Key
from api.reading.snapshot import Snapshot
from schema.tables.values import end_of_block

LONG_SECONDS = 0.005
"""Shorter counts are not cached: to read what changed takes about as long."""

LONG_READS = 10
"""The result of a read is cached if the reads since its last short one took LONG_READS * LONG_SECONDS together. A
single one may be long by chance: while the machine is busy, or when a new connection to PostgreSQL plans it."""

MOST_READS = 1_024
"""Reads of a database that were long since their last short one."""

MOST_COUNTS, MOST_POINTS, MOST_GROUPS = 64, 4, 1_000
"""Counts that are cached of a database, points of each, and groups of each point: at most some 50 MB."""

Count = Callable[[Connection, Sequence[Key], Interval | None], Sequence[Groups]]
"""Counts rows for each key; of those that the interval touched, if there is one."""


class Point(NamedTuple):
    """A point of a chain, under one writer."""

    chain_id: int
    writer_epoch: int
    position: int


GroupsById = Mapping[int, Groups]
"""Groups by the ids of keys, which are those of parents, or 0."""


class LongReads:
    """The seconds that reads of one database took since their last short one, by name. Threads share it."""

    def __init__(self) -> None:
        self._seconds: LRUCache[Hashable, float] = LRUCache(MOST_READS)
        self._lock = Lock()

    def is_long(self, name: Hashable) -> bool:
        with self._lock:
            return self._seconds.get(name, -inf) >= LONG_READS * LONG_SECONDS

    def note(self, name: Hashable, seconds: float) -> None:
        """Notes what a read took."""
        with self._lock:
            before = self._seconds.get(name, 0.0)
            if seconds >= LONG_SECONDS:
                self._seconds[name] = before + seconds
            elif before > 0:
                del self._seconds[name]

    def ignore(self, name: Hashable) -> None:
        """Lets a read never be long."""
        with self._lock:
            self._seconds[name] = -inf


class CountCache:
    """The cached counts of one database, by the name of what is counted and by point. Threads share it."""

    def __init__(self) -> None:
        self.long = LongReads()
        self._counts: OrderedDict[Hashable, OrderedDict[Point, GroupsById]] = OrderedDict()
        self._lock = Lock()

    def nearest(self, name: Hashable, point: Point, final: int, ids: Sequence[int]) -> tuple[Point, GroupsById] | None:
        """Returns the nearest point under the same writer at which the counts of all ids are cached.

        It is not behind the position `final`: the events of a later point, of another replica, are not all here.
        """
        with self._lock:
            near = [
                (abs(other.position - point.position), other, groups)
                for other, groups in self._counts.get(name, {}).items()
                if other[:2] == point[:2] and other.position <= final and groups.keys() >= set(ids)
            ]
        return min(near)[1:] if near else None

    def add(self, name: Hashable, point: Point, counts: GroupsById) -> None:
        """Caches the counts at a point. If the cache is full, removes the oldest ones."""
        with self._lock:
            points = self._counts.setdefault(name, OrderedDict())
            points[point] = {**points.pop(point, {}), **counts}
            self._counts.move_to_end(name)
            while len(points) > MOST_POINTS:
                points.popitem(last=False)
            while len(self._counts) > MOST_COUNTS:
                self._counts.popitem(last=False)

    def forget(self, name: Hashable, point: Point) -> None:
        """Drops the counts at a point."""
        with self._lock:
            if points := self._counts.get(name):
                points.pop(point, None)


_CACHES: WeakKeyDictionary[Engine, CountCache] = WeakKeyDictionary()


def cached_count(
    snapshot: Snapshot, connection: Connection, name: Hashable, count: Count, keys: Sequence[Key]
) -> list[Groups]:
    """Returns the counts of each key, from the cache where it has them."""
    cache = _CACHES.setdefault(connection.engine, CountCache())
    by_point: dict[Point, list[Key]] = defaultdict(list)
    for key in keys:
        by_point[Point(key.chain_id, snapshot.chains[key.chain_id].writer_epoch, key.position)].append(key)
    counts: dict[Key, Groups] = {}
    for point, its_keys in by_point.items():
        final = end_of_block(snapshot.final_numbers[point.chain_id])
        base = point._replace(position=min(point.position, final))
        counts |= _Counting(connection, count, its_keys, cache, name, final).at(point, base)
    return [counts[key] for key in keys]


@dataclass(frozen=True, slots=True)
class _Counting:
    """A count of keys that are at one point. `final` is the last position that no reorg removes."""

    connection: Connection
    count: Count
    keys: Sequence[Key]
    cache: CountCache
    name: Hashable
    final: int

    def at(self, point: Point, base: Point) -> Mapping[Key, Groups]:
        """Returns the counts at a point, and caches those at its base, whose state is final."""
        began = time.perf_counter()
        nearest = self.cache.nearest(self.name, base, self.final, [key.id for key in self.keys])
        if nearest is not None:
            source, groups = nearest
            at_base = self._moved([groups[key.id] for key in self.keys], source, base)
            counts = at_base and self._moved(at_base, base, point)
            if at_base and counts:
                self._cache_at(base, at_base)
                return dict(zip(self.keys, counts, strict=True))
        in_vain = time.perf_counter() - began
        counted, seconds = self._counted(point, base)
        if nearest is not None and seconds < in_vain:
            self.cache.forget(self.name, nearest[0])
            self.cache.long.note(self._read, 0)
        return dict(zip(self.keys, counted, strict=True))

    @property
    def _read(self) -> Hashable:
        return self.name, *(key.id for key in self.keys)

    def _counted(self, point: Point, base: Point) -> tuple[Sequence[Groups], float]:
        """Returns the counts of all rows, and how many seconds it took to count them."""
        began = time.perf_counter()
        counts = self.count(self.connection, self.keys, None)
        seconds = time.perf_counter() - began
        self.cache.long.note(self._read, seconds)
        if self.cache.long.is_long(self._read) and (at_base := self._moved(counts, point, base)):
            self._cache_at(base, at_base)
        return counts, seconds

    def _cache_at(self, base: Point, counts: Sequence[Groups]) -> None:
        if base.position >= 0:
            self.cache.add(self.name, base, dict(zip([key.id for key in self.keys], counts, strict=True)))

    def _moved(self, counts: Sequence[Groups], source: Point, target: Point) -> Sequence[Groups] | None:
        """Returns the counts at the target from those at the source, None if too much happened between them."""
        low, high = sorted((source.position, target.position))
        interval = Interval(source.chain_id, low, high)
        events = events_in(self.connection, interval) if low < high else 0
        if events > MOST_EVENTS or any(len(groups) > MOST_GROUPS for groups in counts):
            return None
        if not events:
            return counts
        then, now = (self._touched(point, interval) for point in (source, target))
        return [_sum(*groups) for groups in zip(counts, then, now, strict=True)]

    def _touched(self, point: Point, interval: Interval) -> Sequence[Groups]:
        keys = [key._replace(position=point.position) for key in self.keys]
        return self.count(self.connection, keys, interval)


def _sum(base: Groups, then: Groups, now: Groups) -> Groups:
    groups = Counter(base)
    groups.update(now)
    groups.subtract(then)
    return Counter({group: count for group, count in groups.items() if count})
