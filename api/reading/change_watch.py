"""Detects changes of the database, over one connection.

Each request reads the revisions to decide whether a cached response is valid; concurrent requests share one read.
While a request or a subscription waits for a change, they are read twice a second as well. On PostgreSQL the indexer
notifies at each commit: where the server lets the connection listen (a replica does not), those who wait wake at once
and the polls become rare.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.reading.revisions import RevisionReader, Revisions
from schema.program.logs import log_event

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LISTENING_POLL_SECONDS = 5.0
"""A notification can be lost: in a connection pooler, or while the connection is replaced."""

LINGER_SECONDS = 10.0
"""How long the poller outlives its last waiter: a subscription that was woken reads, sends, and waits again."""


class ChangeWatch:
    """Reads revisions, and wakes those who wait for them to change. Belongs to one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._reader = RevisionReader(engine)
        self._thread = ThreadPoolExecutor(1, "revisions")  # a read never waits behind the SQL of answers
        self._running: asyncio.Future[Revisions] | None = None
        self._next: asyncio.Future[Revisions] | None = None
        self._reads = 0
        self._last: Revisions | None = None
        self._changed = asyncio.Event()
        self._notified = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._waiting = 0
        self._left_at = -LINGER_SECONDS

    async def revisions(self) -> Revisions:
        """Returns the revisions as they are at some moment after this call. Raises DBAPIError."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._read(self._running))
            # the requests that wait for it may all be cancelled
            self._next.add_done_callback(lambda read: read.cancelled() or read.exception())
        return await asyncio.shield(self._next)

    async def changed(self, seen: Revisions) -> None:
        """Returns when the revisions differ from those of a snapshot."""
        reads = self._reads
        await self._wait_until(lambda: self._has_changed(seen, reads))

    async def reached(self, seen: Revisions, chain_id: int, number: int) -> None:
        """Returns when the revisions have changed and a chain is indexed up to a block."""
        reads = self._reads
        await self._wait_until(
            lambda: (
                self._has_changed(seen, reads)
                and any(chain.chain_id == chain_id and chain.indexed_number >= number for chain in self._last or ())
            )
        )

    async def close(self) -> None:
        """Ends the poller and the connection. A read that is under way is waited for."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        while running := [read for read in (self._running, self._next) if read is not None and not read.done()]:
            await asyncio.wait(running)
        loop = asyncio.get_running_loop()
        if self._reader.listening_on is not None:
            loop.remove_reader(self._reader.listening_on)
        await loop.run_in_executor(self._thread, self._reader.disconnect)
        self._thread.shutdown()

    async def _read(self, running: asyncio.Future[Revisions] | None) -> Revisions:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        self._reads += 1
        loop, reader = asyncio.get_running_loop(), self._reader
        if reader.listening_on is not None:
            loop.remove_reader(reader.listening_on)  # what arrives now belongs to the read
        try:
            revisions = await loop.run_in_executor(self._thread, partial(reader.read, listen=self._is_wanted))
        finally:
            if reader.listening_on is not None:
                loop.add_reader(reader.listening_on, self._notified.set)
            if reader.is_notified:
                reader.is_notified = False
                self._notified.set()
        if revisions != self._last:
            self._last = revisions
            self._changed.set()
            self._changed = asyncio.Event()
        return revisions

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        if self._poller is None or self._poller.done():
            self._last = None  # it may be of a database that was replaced since
            self._poller = asyncio.create_task(self._poll())
        self._waiting += 1
        try:
            while not holds():
                await self._changed.wait()
        finally:
            self._waiting -= 1
            self._left_at = time.monotonic()

    def _has_changed(self, seen: Revisions, reads: int) -> bool:
        """Returns whether the last read of the revisions is newer than those `seen`, after which `reads` had begun.

        A read that had begun before may be older: then the number of a chain is lower. It is lower in a later read too
        if a database counts again, as a standby does that lacked commits when it was promoted.
        """
        if self._last is None or self._last == seen:
            return False
        last, then = ({chain.chain_id: chain.number for chain in chains} for chains in (self._last, seen))
        return self._reads > reads or last.keys() != then.keys() or any(last[id] > then[id] for id in then)

    @property
    def _is_wanted(self) -> bool:
        return self._waiting > 0 or time.monotonic() - self._left_at < LINGER_SECONDS

    async def _poll(self) -> None:
        while self._is_wanted or self._reader.listening_on is not None:
            self._notified.clear()
            try:
                await self.revisions()
            except DBAPIError as error:
                reason = " ".join(str(error.orig).split())
                log_event(log, logging.WARNING, "the revisions cannot be read", ": {error}", reason)
            if self._is_wanted:
                seconds = POLL_SECONDS if self._reader.listening_on is None else LISTENING_POLL_SECONDS
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._notified.wait()
