"""Stretches of a chain: what happened between two positions.

A count at the end of a stretch is the count at its start, and what the rows that the stretch touched add to it: their
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


class Stretch(NamedTuple):
    """The logs of a chain behind the position `low`, up to and including `high`."""

    chain_id: int
    low: int
    high: int


def stretch_values(stretch: Stretch | None) -> dict[str, Any]:
    """Returns the parameters that bind a stretch to `is_in_stretch`."""
    return {} if stretch is None else {f"stretch_{name}": value for name, value in stretch._asdict().items()}


def stretch_chain() -> ColumnElement[int]:
    """Returns the chain of the stretch."""
    return bindparam("stretch_chain_id", type_=BigInteger)


def is_in_stretch() -> ColumnElement[bool]:
    """The event is in the stretch."""
    low, high = (bindparam(f"stretch_{name}", type_=BigInteger) for name in ("low", "high"))
    return and_(event.chain_id == stretch_chain(), event.position > low, event.position <= high)


def touched_devices() -> Select[Any]:
    """Returns the SELECT of the ids of the devices that an event of the stretch is about."""
    return select(event.device_id).where(is_in_stretch(), event.device_id.is_not(None)).correlate(None)


def events_in(connection: Connection, stretch: Stretch) -> int:
    """Returns the number of events in a stretch, or one more than MOST_EVENTS if there are more."""
    return int(fetch(connection, _EVENTS, stretch_values(stretch))[0].events)


MOST_EVENTS = 20_000
"""With more, a count of all rows is worth it: each event takes about 1 us, twice as long as a row of a walk."""

_FIRST = select(literal_column("1")).where(is_in_stretch()).limit(literal_column(str(MOST_EVENTS + 1))).subquery()
_EVENTS = select(func.count().label("events")).select_from(_FIRST)
