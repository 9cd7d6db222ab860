"""Following the chain for ever: apscheduler wakes the loop, the loop takes steps until nothing is new.

The one place that logs and retries. A step that fails leaves the database as it was; it is taken again after a pause
that grows, and meanwhile the database says since when and why.
"""

import asyncio
import logging
import time
from contextlib import suppress

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from indexer.errors import Stop, TryAgain
from indexer.opening import Opened, acquire
from indexer.store import Fenced, Store
from indexer.store.lease import BEAT_SECONDS, Lease
from indexer.sync import Ahead, BackfillFinished, Indexed, Outcome, Pace, RolledBack, UpToDate, step

log = logging.getLogger("certindex")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Follower:
    """Follows one chain until it is told to stop."""

    def __init__(self, opened: Opened, poll_interval: float) -> None:
        self.opened = opened
        self.poll_interval = poll_interval
        self.lease = Lease(opened.engine, opened.chain_id)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._pause = FIRST_PAUSE_SECONDS

    def stop(self) -> None:
        """Ends `run` after the step under way."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Follows the chain; stands by while another indexer does."""
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.add_job(self._wake.set, "interval", seconds=self.poll_interval, coalesce=True, max_instances=1)
        scheduler.add_job(self._beat, "interval", seconds=BEAT_SECONDS, coalesce=True, max_instances=1)
        scheduler.start()
        try:
            while not self._stopping.is_set():
                if await self._stand_by():
                    await self._follow(self.opened.store(self.lease))
        finally:
            scheduler.shutdown(wait=False)
            if self.lease.epoch >= 0:
                await asyncio.to_thread(self.lease.release)

    async def _stand_by(self) -> bool:
        """Waits for the lease. False: told to stop meanwhile."""
        acquiring = asyncio.create_task(acquire(self.lease, wait=True))
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({acquiring, stopping}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            log.info("standing by: another indexer writes chain %d", self.opened.chain_id)
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not acquiring.done():
            acquiring.cancel()
            with suppress(asyncio.CancelledError):
                await acquiring
            return False
        acquiring.result()
        return True

    async def _follow(self, store: Store) -> None:
        pace = Pace()
        while not self._stopping.is_set():
            self._wake.clear()
            began = time.monotonic()
            try:
                outcome = await step(self.opened.chain, store, pace)
            except Fenced as error:
                log.warning("%s", error)
                return
            except (TryAgain, Stop) as error:
                await self._fail(store, error)
                continue
            self._pause = FIRST_PAUSE_SECONDS
            log_outcome(outcome, time.monotonic() - began)
            if isinstance(outcome, UpToDate | Ahead):
                await self._wake.wait()

    async def _fail(self, store: Store, error: TryAgain | Stop) -> None:
        level = logging.ERROR if isinstance(error, Stop) else logging.WARNING
        log.log(level, "step failed, again in %.1fs: %s", self._pause, error)
        await asyncio.to_thread(store.note_failure, str(error))
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _beat(self) -> None:
        if self.lease.epoch >= 0:
            await asyncio.to_thread(self.lease.beat)


def log_outcome(outcome: Outcome, elapsed: float) -> None:
    """Writes one line for a step that did something. `elapsed` in seconds."""
    match outcome:
        case Indexed(first, last, events, facts, head):
            log.info(
                "indexed blocks=%d..%d events=%d facts=%d head=%d elapsed=%.2fs",
                first,
                last,
                events,
                facts,
                head,
                elapsed,
            )
        case RolledBack(ancestor, old_head, events):
            log.warning("rolled back to=%d from=%d events=%d elapsed=%.2fs", ancestor, old_head, events, elapsed)
        case BackfillFinished(number):
            log.info("backfill finished block=%d indexes=built elapsed=%.2fs", number, elapsed)
        case Ahead(number, head):
            log.info("node lags block=%d head=%d", number, head)
        case UpToDate():
            pass
