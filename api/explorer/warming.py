"""Counts the whole register for pages when the process starts, so that the first reader does not wait."""

import asyncio
import logging

from sqlalchemy import Connection, Engine

from api.answering.answers import Answers
from api.explorer.pages import PAGES
from api.graphql.request import GraphQLRequest
from api.queries.sql.intervals import MOST_EVENTS, Interval, events_in
from api.reading.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

TASK = "warming"
"""The name of the task."""


async def warm(engine: Engine, answers: Answers, admission: asyncio.Semaphore) -> None:
    """Answers the documents of the pages that count a large register, so that their counts are kept."""
    try:
        async with open_snapshot(engine) as snapshot:
            is_large = await snapshot.read(_is_large, snapshot)
        for page in PAGES if is_large else ():
            if page.counts_register:
                async with admission:
                    await answers.rehearse(GraphQLRequest(page.document, {}))
    except Exception as error:  # a reader will meet the reason, if it lasts
        log.debug("the counts of the pages are not made before they are read: %s", error)


def _is_large(connection: Connection, snapshot: Snapshot) -> bool:
    """Returns whether a chain has so many events that a count may take long."""
    return any(events_in(connection, Interval(pin.chain_id, -1, pin.position)) > MOST_EVENTS for pin in snapshot.pins)
