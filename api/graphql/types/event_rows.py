"""Events of rows: lists and single events as GraphQL types."""

from collections.abc import Awaitable
from functools import partial
from typing import Any

from sqlalchemy import Row

from api.graphql.context import Context, Info
from api.graphql.paging.arguments import PageArguments
from api.graphql.paging.connections import Connection, ListQuery, connect
from api.graphql.types.events import to_event
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.events import EVENTS, EVENTS_AND_UNMAPPED
from api.queries.recorded import recorded_event
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.pages import Listing
from api.reading.profile_readers import read_event
from schema.events import Kind


async def event_at(context: Context, pin: Pin, position: int) -> LifecycleEvent | None:
    """Returns the event at a position, None if there is none at or before the pin."""
    row = await context.loaders.event.load(key_of(pin, position))
    return None if row is None else event_of(context, row, pin)


def event_of(context: Context, row: Row[Any], pin: Pin) -> LifecycleEvent:
    """Returns the event of a row. Objects below it are read at the pin."""
    event = recorded_event(row)
    return to_event(event, read_event(context.snapshot.readers, event), pin)


def connect_events(
    info: Info, query: ListQuery, page: PageArguments, pins: tuple[Pin, ...]
) -> Awaitable[Connection[Any]]:
    """Returns a page of events. Raises BadUserInput."""
    return connect(info, query, page, pins, partial(event_of, info.context))


def events_listing(filter: Filter) -> Listing:
    """Returns the list of all events. It contains UNMAPPED logs only if the filter names that kind."""
    return EVENTS_AND_UNMAPPED if names_unmapped(filter) else EVENTS


def names_unmapped(filter: object) -> bool:
    """Returns whether a filter names the kind UNMAPPED."""
    return any(map(names_unmapped, filter)) if isinstance(filter, tuple) else filter is Kind.UNMAPPED
