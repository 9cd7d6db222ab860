"""The lease of this process: waits until it is free, and renews it while it is held."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from logging import INFO, WARNING

from sqlalchemy.exc import DBAPIError

from indexer.errors import failure_text
from indexer.retry import AGAIN, Backoff, pause_after
from indexer.store.lease import BEAT_SECONDS, Lease
from schema.program.logs import log_event

log = logging.getLogger("certindex")


class LeaseKeeper:
    """Acquires one lease, as often as it is lost, and keeps it. `beating` is locked while a beat is written."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._backoff = Backoff()
        self.beating = asyncio.Lock()

    async def acquire(self, stopping: asyncio.Event) -> bool:
        """Waits for the lease. Returns False if `stopping` is set first; if the database fails, after a pause."""
        acquiring = asyncio.create_task(self.lease.acquire(wait=True))
        stopped = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait({acquiring, stopped}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            began, chain_id = time.monotonic(), self.lease.chain_id
            log_event(log, INFO, "standing by", ": another indexer writes chain {chain}", chain_id)
            await asyncio.wait({acquiring, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if acquiring.done() and acquiring.exception() is None:
                stood_by = time.monotonic() - began
                log_event(log, INFO, "took over", " chain={chain} stood_by={stood_by:.1f}s", chain_id, stood_by)
        stopped.cancel()
        if not acquiring.done():
            acquiring.cancel()
            with suppress(asyncio.CancelledError):
                await acquiring
            return False
        try:
            acquiring.result()
        except DBAPIError as error:
            log_event(log, WARNING, "standing by", AGAIN, self._backoff.seconds, failure_text(error))
            await self._backoff.wait(stopping, pause_after(error, self.lease.engine))
            return False
        self._backoff.reset()
        return True

    async def beat(self, clock_went_back: Callable[[], None]) -> None:
        """Shows other indexers that this one lives, timed by the monotonic clock.

        Calls `clock_went_back` when the system's clock was set back, which may be set at any time.
        """
        before = time.time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            async with self.beating:
                if self.lease.epoch >= 0:
                    with suppress(DBAPIError):  # the next step reports it
                        await asyncio.to_thread(self.lease.beat)
            now = time.time()
            if now < before:
                clock_went_back()
            before = now

    async def release(self) -> None:
        """Releases the lease, if it is held."""
        if self.lease.epoch >= 0:
            with suppress(DBAPIError):  # the next writer then waits until the beat has stood still
                await asyncio.to_thread(self.lease.release)
