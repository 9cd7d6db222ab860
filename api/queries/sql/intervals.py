"""Intervals of a chain: what happened between two positions.

A count at the end of an interval is the count at its start plus what the rows that the interval touched add: their
count at the end less their count at the start.
"""

from collections import Counter
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, bindparam, func, literal_column, select

from api.queries.sql import tables
from api.queries.sql.prepared import fetch

event = tables.event.c


Groups = Counter[tuple[Any, ...]]
"""How many rows have the same values, by these values."""


class Interval(NamedTuple):
    """The logs of a chain behind the position `low`, up to and including `high`."""

    chain_id: int
    low: int
    high: int


def interval_values(interval: Interval | None) -> dict[str, Any]:
    """Returns the parameters that bind an interval to `is_in_interval`."""
    return {} if interval is None else {f"interval_{name}": value for name, value in interval._asdict().items()}


def interval_chain() -> ColumnElement[int]:
    """Returns the chain of the interval."""
    return bindparam("interval_chain_id", type_=BigInteger)


def is_in_interval() -> ColumnElement[bool]:
    """The event is in the interval."""
    low, high = (bindparam(f"interval_{name}", type_=BigInteger) for name in ("low", "high"))
    return and_(event.chain_id == interval_chain(), event.position > low, event.position <= high)


def touched_devices() -> Select[Any]:
    """Returns the SELECT of the ids of the devices that an event of the interval is about."""
    return select(event.device_id).where(is_in_interval(), event.device_id.is_not(None)).correlate(None)


def events_in(connection: Connection, interval: Interval) -> int:
    """Returns the number of events in an interval, or one more than MOST_EVENTS if there are more."""
    return int(fetch(connection, _EVENTS, interval_values(interval))[0].events)


MOST_EVENTS = 20_000
"""With more, a count of all rows is worth it: each event takes about 1 us, twice as long as a row of a walk."""

_FIRST = select(literal_column("1")).where(is_in_interval()).limit(literal_column(str(MOST_EVENTS + 1))).subquery()
_EVENTS = select(func.count().label("events")).select_from(_FIRST)
