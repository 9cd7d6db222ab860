"""Lists of events, and single ones, as the types of the API."""

from typing import Any

from sqlalchemy import Row

from api.graphql.context import Context
from api.graphql.paging.connections import Build
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
    """Returns the event at a position; None where there is none by the pin."""
    row = await context.loaders.event.load(key_of(pin, position))
    return None if row is None else event_of(context, row, pin)


def event_of(context: Context, row: Row[Any], pin: Pin) -> LifecycleEvent:
    """Returns the event of a row; what hangs under it answers at the pin."""
    event = recorded_event(row)
    return to_event(event, read_event(context.snapshot.readers, event), pin)


def events_of(context: Context) -> Build[Any]:
    """Returns what makes events of the rows of a page."""
    return lambda row, pin: event_of(context, row, pin)


def events_listing(filter: Filter) -> Listing:
    """Returns the list of all events; UNMAPPED logs are in it only where the filter asks for that kind."""
    return EVENTS_AND_UNMAPPED if asks_for_unmapped(filter) else EVENTS


def asks_for_unmapped(wish: object) -> bool:
    """Tells whether a filter names the kind UNMAPPED."""
    return any(map(asks_for_unmapped, wish)) if isinstance(wish, tuple) else wish is Kind.UNMAPPED
