"""When the database has changed: one poller a process, however many wait for it.

Every commit that can change an answer raises a revision. They are read twice a second while somebody waits. The indexer
also notifies on PostgreSQL: where the server lets us listen (a replica does not), we wake at once and poll seldom.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from api.queries.sql import tables
from schema.program.logs import tell

if TYPE_CHECKING:
    from api.reading.notifications import Listener

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LISTENING_POLL_SECONDS = 5.0
"""A notification can be lost on the way: through a pooler, or while the connection is made anew."""

LINGER_SECONDS = 10.0
"""A reader that was woken reads and waits again: the poller outlives its pauses."""

Revisions = Mapping[int, int]
"""By chain id."""


class Pulse:
    """Wakes those who wait for a change. Belongs to one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._revisions: Revisions | None = None
        self._indexed: Mapping[int, int] = {}
        self._next = asyncio.Event()
        self._waiting = 0
        self._left_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def changed(self, seen: Revisions) -> None:
        """Returns when some revision is another than the one seen: greater, or of another database."""
        await self._until(lambda: self._tells_more(seen))

    async def reached(self, seen: Revisions, chain_id: int, number: int) -> None:
        """Returns when that is so and a chain is indexed up to a block."""
        await self._until(lambda: self._tells_more(seen) and self._indexed.get(chain_id, -1) >= number)

    async def close(self) -> None:
        """Ends the poller; who waits is told nothing more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _until(self, told: Callable[[], bool]) -> None:
        if self._watching is None or self._watching.done():
            self._revisions = None
            self._watching = asyncio.create_task(self._watch())
        self._waiting += 1
        try:
            while not told():
                await self._next.wait()
        finally:
            self._waiting -= 1
            self._left_at = time.monotonic()

    @property
    def _is_wanted(self) -> bool:
        return self._waiting > 0 or time.monotonic() - self._left_at < LINGER_SECONDS

    def _tells_more(self, seen: Revisions) -> bool:
        told = self._revisions
        # a poll may be older than the snapshot that was read
        return told is not None and (told.keys() != seen.keys() or any(told[id] > seen[id] for id in seen))

    async def _watch(self) -> None:
        listener: Listener | None = None
        try:
            while self._is_wanted:
                if listener is None:
                    listener = await _listen(self._engine)
                await self._poll()
                if listener is None:
                    await asyncio.sleep(POLL_SECONDS)
                elif not await listener.wait(LISTENING_POLL_SECONDS):
                    await listener.close()
                    listener = None
        finally:
            if listener is not None:
                await listener.close()

    async def _poll(self) -> None:
        try:
            found = await asyncio.to_thread(_read, self._engine)
        except DBAPIError as error:
            said = " ".join(str(error.orig).split())
            tell(log, logging.WARNING, "the revisions cannot be read", ": {error}", error=said)
            return
        revisions = {id: revision for id, (revision, _) in found.items()}
        if revisions != self._revisions:
            self._revisions = revisions
            self._indexed = {id: number for id, (_, number) in found.items()}
            self._next.set()
            self._next = asyncio.Event()


def _read(engine: Engine) -> Mapping[int, tuple[int, int]]:
    """Returns the revision of each chain, and the number of its newest indexed block."""
    chain = tables.chain.c
    query = select(chain.chain_id, chain.revision, chain.indexed_number)
    with engine.connect() as connection:
        return {row.chain_id: (row.revision, row.indexed_number) for row in connection.execute(query)}


async def _listen(engine: Engine) -> "Listener | None":
    """Returns a listener, None where the database has none to offer."""
    if engine.dialect.name != "postgresql":
        return None
    from api.reading.notifications import listen

    return await listen(engine)
