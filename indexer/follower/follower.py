"""Following the chain for ever: apscheduler wakes the loops, one takes steps until nothing is new, one verifies.

The one place that logs and retries. A step that fails leaves the database as it was; it is taken again after a pause
that grows, and meanwhile the database says since when and why.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from logging import ERROR, INFO, WARNING

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from msgspec.structs import asdict
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop, TryAgain
from indexer.observe.counters import Record
from indexer.opening import FollowedChain
from indexer.retry import AGAIN, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from indexer.rpc import HeadSocket
from indexer.store import Fenced, Store
from indexer.store.lease import BEAT_SECONDS, Lease
from indexer.store.statistics import maintain
from indexer.store.verification import Levels
from indexer.sync.step import Ahead, BackfillFinished, Indexed, Outcome, Pace, RolledBack, UpToDate, step
from indexer.verification.verifier import Tally, Verifier
from schema.program.logs import tell

log = logging.getLogger("certindex")

MAINTENANCE_SECONDS = 600.0
FIRST_EARLY_SECONDS = 0.1
MOST_EARLY_LOOKS = 8
REST = 9.0
"""While there is something to index, verifying rests so many times as long as it worked."""


class Every(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
    """Fires so many seconds after it fired last: once, however far the clock was put forward meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self.interval


class Follower:
    """Follows one chain until it is told to stop; with `verify` raises what is final to RECEIPTS meanwhile."""

    def __init__(
        self,
        opened: FollowedChain,
        poll_interval: float,
        *,
        verify: bool,
        keep_proofs: bool,
        ws_url: str | None = None,
        record: Record | None = None,
    ) -> None:
        self.opened = opened
        self.ws_url = ws_url
        self.poll_interval = poll_interval
        self.verify = verify
        self.keep_proofs = keep_proofs
        self.record = record or Record()
        self.lease = Lease(opened.engine, opened.chain_id)
        self._wake = asyncio.Event()
        self._verify_wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tending = asyncio.Lock()
        self._is_idle = False
        self._pause = FIRST_PAUSE_SECONDS
        self._socket: HeadSocket | None = None
        self._head_source: str | None = None
        self._promised = -1
        self._early = 0

    def stop(self) -> None:
        """Ends `run` after the step under way."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Follows the chain; stands by while another indexer does."""
        scheduler = AsyncIOScheduler(timezone="UTC")
        for job, seconds in ((self._wake_up, self.poll_interval), (self._maintain, MAINTENANCE_SECONDS)):
            scheduler.add_job(job, Every(seconds), max_instances=1, misfire_grace_time=None)
        scheduler.start()
        beating = asyncio.create_task(self._beat(scheduler))
        try:
            while not self._stopping.is_set():
                if await self._stand_by():
                    self.record.leases += 1
                    self.record.is_writing = True
                    await self._work()
                    self.record.is_writing = False
        finally:
            scheduler.pause()
            await asyncio.sleep(0)  # what is due begins
            async with self._tending:  # a job that is cut short would be told as an error
                scheduler.shutdown(wait=False)
                beating.cancel()
            if self.lease.epoch >= 0:
                with suppress(DBAPIError):  # the next writer then waits until the beat has stood still
                    await asyncio.to_thread(self.lease.release)

    async def _stand_by(self) -> bool:
        """Waits for the lease. False: told to stop meanwhile, or the database failed."""
        acquiring = asyncio.create_task(self.lease.acquire(wait=True))
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({acquiring, stopping}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            began = time.monotonic()
            chain = self.opened.chain_id
            tell(log, INFO, "standing by", ": another indexer writes chain {chain}", chain=chain)
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if acquiring.done() and acquiring.exception() is None:
                stood_by = time.monotonic() - began
                tell(log, INFO, "took over", " chain={chain} stood_by={stood_by:.1f}s", chain=chain, stood_by=stood_by)
        stopping.cancel()
        if not acquiring.done():
            acquiring.cancel()
            with suppress(asyncio.CancelledError):
                await acquiring
            return False
        try:
            acquiring.result()
        except DBAPIError as error:
            tell(log, WARNING, "standing by", AGAIN, pause=self._pause, error=_said(error))
            await self._wait_longer()
            return False
        return True

    async def _work(self) -> None:
        """Indexes, verifies and listens for heads side by side, for as long as the lease is ours."""
        hosts = ", ".join(host.name for host in self.opened.pool.hosts)
        tell(log, INFO, "following", " chain={chain} hosts={hosts}", chain=self.opened.chain_id, hosts=hosts)
        store = self.opened.store(self.lease)
        store.work = self.record.work
        following = asyncio.create_task(self._follow(store))
        tasks = {following, asyncio.create_task(self._listen(store))}
        if self.verify:
            tasks.add(asyncio.create_task(self._verify_behind()))
        try:
            while not following.done():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, store: Store) -> None:
        pace = Pace()
        while not self._stopping.is_set():
            self._wake.clear()
            began = time.monotonic()
            try:
                outcome = await step(self.opened.chain, store, pace)
            except Fenced as error:
                tell(log, WARNING, "fenced off", ": {error}", error=str(error))
                return
            except (TryAgain, Stop, DBAPIError) as error:
                self.record.failed(error, time.monotonic() - began)
                await self._fail(store, error)
                continue
            self._pause = FIRST_PAUSE_SECONDS
            elapsed = time.monotonic() - began
            self.record.stepped(outcome, elapsed, pace.blocks)
            log_outcome(outcome, elapsed)
            if self._socket is not None and isinstance(outcome, Indexed | UpToDate):
                self._socket.expect(outcome.head if isinstance(outcome, Indexed) else outcome.number)
            if isinstance(outcome, UpToDate | Ahead):
                self._is_idle = True
                await self._rest(outcome.number)
                self._is_idle = False

    async def _rest(self, indexed: int) -> None:
        """Waits to be woken; not for long where a head was announced that the provider polled has not got yet."""
        if self._promised <= indexed or self._early >= MOST_EARLY_LOOKS:
            await self._wake.wait()
            return
        self._early += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), FIRST_EARLY_SECONDS * 2**self._early)

    # Heads over WebSocket

    async def _listen(self, store: Store) -> None:
        await self._tell_head_source(store, None)
        if self.ws_url is not None:
            self._socket = HeadSocket(
                self.ws_url,
                self.opened.chain_id,
                announced=self._announced,
                told=lambda connected, said: self._socket_is(store, connected, said),
            )
            await self._socket.listen()

    def _announced(self, number: int) -> None:
        if number >= 0:
            self.record.announced_heads += 1
            self._promised, self._early = number, 0
        self._wake.set()

    async def _socket_is(self, store: Store, connected: bool, said: str) -> None:
        self.record.socket_connected = connected
        self.record.socket_drops += not connected
        source = f"from {said}" if connected else f"by polling; {said}"
        if source == self._head_source:
            return  # one that is down for a day is told once
        if connected:
            tell(log, INFO, "new heads come over WebSocket", " from {source}", source=said)
        else:
            tell(log, WARNING, "no heads over WebSocket", ", polling goes on: {error}", error=said)
        await self._tell_head_source(store, source)

    async def _tell_head_source(self, store: Store, source: str | None) -> None:
        with suppress(DBAPIError):
            await asyncio.to_thread(store.note_head_source, source)
            self._head_source = source

    async def _verify_behind(self) -> None:
        verifier = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._verify_wake.clear()
            try:
                verifier = verifier or await self._open_verifier()
                tally = await verifier.advance()
            except Fenced:
                return
            except (TryAgain, DBAPIError) as error:
                tell(
                    log,
                    WARNING,
                    "verification failed",
                    ", again in {pause:.1f}s: {error}",
                    pause=pause,
                    error=_said(error),
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            if tally is None:
                await self._verify_wake.wait()
                continue
            log_tally(tally)
            await asyncio.sleep(0 if self._is_idle else tally.seconds * REST)

    async def _fail(self, store: Store, error: TryAgain | Stop | DBAPIError) -> None:
        level = WARNING if isinstance(error, TryAgain) else ERROR
        said, kind = _said(error), type(error).__name__
        tell(log, level, "step failed", AGAIN, pause=self._pause, error=said, kind=kind)
        with suppress(DBAPIError):  # a database that is away cannot be told
            await asyncio.to_thread(store.note_failure, said, stopped=isinstance(error, Stop))
        await self._wait_longer()

    async def _wait_longer(self) -> None:
        """Waits, each time in a row for longer, or until told to stop."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _open_verifier(self) -> Verifier:
        opened = self.opened
        levels = Levels(opened.engine, opened.chain_id, epoch=self.lease.epoch, keep_proofs=self.keep_proofs)
        return await asyncio.to_thread(opened.verifier, levels)

    # What the scheduler does; coroutines all, since it runs functions in threads, where events may not be set

    async def _wake_up(self) -> None:
        self._wake.set()
        self._verify_wake.set()

    async def _maintain(self) -> None:
        await self._tend(lambda: maintain(self.opened.engine))

    async def _beat(self, scheduler: AsyncIOScheduler) -> None:
        """Shows others that we live, by a clock that nobody sets, and minds the one that the scheduler goes by."""
        before = time.time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._tend(self.lease.beat)
            now = time.time()
            if now < before:  # jobs would wait until the clock has caught up
                for job in scheduler.get_jobs():
                    job.reschedule(job.trigger)
            before = now

    async def _tend(self, job: Callable[[], None]) -> None:
        async with self._tending:
            if self.lease.epoch >= 0:
                with suppress(DBAPIError):  # the next step says so
                    await asyncio.to_thread(job)


def _said(error: Exception) -> str:
    return f"the database failed: {error.orig}" if isinstance(error, DBAPIError) else str(error)


def log_tally(tally: Tally) -> None:
    """Writes one line for blocks that were judged."""
    if tally.blocks:
        tell(
            log,
            INFO,
            "verified",
            " blocks={blocks} events={events} unverifiable={unverifiable} alarms={alarms} elapsed={elapsed:.2f}s",
            blocks=tally.verified,
            events=tally.events,
            unverifiable=tally.unverifiable,
            alarms=tally.alarms,
            elapsed=tally.seconds,
        )


def log_outcome(outcome: Outcome, elapsed: float) -> None:
    """Writes one line for a step that did something. `elapsed` in seconds."""
    match outcome:
        case Indexed(first, last):
            details = " blocks={first}..{last} events={events} facts={facts} head={head} elapsed={elapsed:.2f}s"
            tell(log, INFO, "indexed", details, **asdict(outcome), blocks=last - first + 1, elapsed=elapsed)
        case RolledBack():
            details = " to={ancestor} from={old_head} events={events} elapsed={elapsed:.2f}s"
            tell(log, WARNING, "rolled back", details, **asdict(outcome), elapsed=elapsed)
        case BackfillFinished(number):
            details = " block={number} indexes=built elapsed={elapsed:.2f}s"
            tell(log, INFO, "backfill finished", details, number=number, elapsed=elapsed)
        case Ahead(number, head):
            tell(log, INFO, "node lags", " block={number} head={head}", number=number, head=head)
        case UpToDate():
            pass
