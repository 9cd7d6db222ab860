"""The loops that follow one chain side by side, for as long as this process holds the lease."""

import asyncio
import logging
from datetime import datetime, timedelta
from logging import INFO, WARNING

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from indexer.follower.heads import HeadListener
from indexer.follower.lease import LeaseKeeper
from indexer.follower.steps import StepLoop
from indexer.follower.verification import verify_behind
from indexer.observe.counters import Counters
from indexer.opening import FollowedChain
from indexer.store.lease import Lease
from indexer.store.verification import VerificationStore
from indexer.urls import SiteHeaders
from indexer.verification.verifier import Verifier
from schema.program.logs import log_event

log = logging.getLogger("certindex")


class Every(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
    """Fires `seconds` after its last run, and only once if the clock was set forward."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self.interval


class Follower:
    """Follows one chain until stopped. With `verify`, raises final blocks to RECEIPTS meanwhile."""

    def __init__(
        self,
        opened: FollowedChain,
        poll_interval: float,
        *,
        verify: bool,
        keep_proofs: bool,
        ws_url: str | None = None,
        headers: SiteHeaders = (),
        counters: Counters | None = None,
    ) -> None:
        self.opened = opened
        self.poll_interval = poll_interval
        self.verify = verify
        self.keep_proofs = keep_proofs
        self.ws_url = ws_url
        self.headers = headers
        self.counters = counters or Counters()
        self.lease = Lease(opened.engine, opened.chain_id)
        self._keeper = LeaseKeeper(self.lease)
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._verify_wake = asyncio.Event()

    def stop(self) -> None:
        """Ends `run` after the step under way."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Follows the chain; stands by while another indexer does."""
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.add_job(self._wake_up, Every(self.poll_interval), max_instances=1, misfire_grace_time=None)
        scheduler.start()
        beats = asyncio.create_task(self._keeper.beat(clock_went_back=lambda: _reschedule(scheduler)))
        try:
            while not self._stopping.is_set():
                if await self._keeper.acquire(self._stopping):
                    self.counters.leases += 1
                    self.counters.is_writing = True
                    await self._work()
                    self.counters.is_writing = False
        finally:
            scheduler.pause()
            # a job whose time has come begins: one that is cut short would be logged as an error
            await asyncio.sleep(0)
            scheduler.shutdown(wait=False)
            async with self._keeper.beating:
                beats.cancel()
            await self._keeper.release()

    async def _work(self) -> None:
        """Indexes, verifies and listens for heads side by side, for as long as the lease is held."""
        opened = await asyncio.to_thread(self._reread)
        hosts = ", ".join(host.name for host in opened.pool.hosts)
        log_event(log, INFO, "following", " chain={chain} hosts={hosts}", opened.chain_id, hosts)
        store = opened.store(self.lease)
        store.timings = self.counters.timings
        heads = HeadListener(self.ws_url, opened.chain_id, store, self.counters, self._wake, self.headers)
        steps = StepLoop(opened.chain, store, opened.interpretation, heads, self.counters, opened.pool.pause)
        stepping = asyncio.create_task(steps.run(self._stopping))
        tasks = {stepping, asyncio.create_task(heads.listen())}
        if self.verify:
            verifying = verify_behind(
                self._open_verifier, self._verify_wake, is_idle=lambda: steps.is_idle, pause=opened.pool.pause
            )
            tasks.add(asyncio.create_task(verifying))
        try:
            while not stepping.done():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _reread(self) -> FollowedChain:
        """Returns the chain as it is stored now: another process had the lease, and may have used another profile."""
        before, self.opened = self.opened, self.opened.reread()
        if self.opened.profile.text != before.profile.text:
            chain_id, name = self.opened.chain_id, self.opened.profile.name
            log_event(log, WARNING, "the profile has changed", ": chain={chain} profile={name}", chain_id, name)
        return self.opened

    def _open_verifier(self) -> Verifier:
        opened = self.opened
        levels = VerificationStore(opened.engine, opened.chain_id, epoch=self.lease.epoch, keep_proofs=self.keep_proofs)
        return opened.verifier(levels)

    async def _wake_up(self) -> None:
        """A job of the scheduler, which runs functions in threads, where events may not be set."""
        self._wake.set()
        self._verify_wake.set()


def _reschedule(scheduler: AsyncIOScheduler) -> None:
    """Reschedules all jobs. After the clock was set back they would otherwise wait until it caught up."""
    for job in scheduler.get_jobs():
        job.reschedule(job.trigger)
