"""The loop that indexes: one step after another, a pause after a failure, a rest when nothing is new."""

import asyncio
import logging
import time
from contextlib import suppress
from logging import ERROR, INFO, WARNING

from sqlalchemy.exc import DBAPIError

from indexer.chain.chain import Chain
from indexer.errors import Stop, TryAgain, failure_text
from indexer.follower.heads import HeadListener
from indexer.observe.counters import Counters
from indexer.retry import AGAIN, Backoff, Pause, pause_after
from indexer.store import Fenced, Store
from indexer.sync.interpretation import Interpretation
from indexer.sync.step import Ahead, BackfillFinished, Indexed, Outcome, Pace, RolledBack, UpToDate, step
from schema.program.logs import log_event
from schema.tables.notices import waiting_text

log = logging.getLogger("certindex")


class StepLoop:
    """Takes steps with one store. The only place that logs and retries them.

    A step that fails leaves the database as it was; it is taken again after a pause that grows, and meanwhile the
    database holds since when and why.
    """

    def __init__(
        self,
        chain: Chain,
        store: Store,
        interpretation: Interpretation,
        heads: HeadListener,
        counters: Counters,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.chain = chain
        self.store = store
        self.interpretation = interpretation
        self.heads = heads
        self.counters = counters
        self.is_idle = False
        self._pause = pause
        self._backoff = Backoff()

    async def run(self, stopping: asyncio.Event) -> None:
        """Takes steps until `stopping`, or until another writer takes over."""
        pace, origin = Pace(), (await asyncio.to_thread(self.store.origin)).number
        while not stopping.is_set():
            self.heads.wake.clear()
            self.counters.timings.waits_for = "node"
            began = time.monotonic()
            try:
                outcome = await step(self.chain, self.store, self.interpretation, pace)
            except Fenced as error:
                log_event(log, WARNING, "fenced off", ": {error}", str(error))
                return
            except (TryAgain, Stop, DBAPIError) as error:
                self.counters.failed(error, time.monotonic() - began)
                await self._report(error)
                self.counters.timings.waits_for = "database" if isinstance(error, DBAPIError) else "node"
                await self._backoff.wait(
                    stopping, self._pause if isinstance(error, TryAgain) else pause_after(error, self.store.engine)
                )
                continue
            self._backoff.reset()
            elapsed = time.monotonic() - began
            self.counters.succeeded(outcome, elapsed, pace.blocks)
            log_outcome(outcome, elapsed, origin)
            if isinstance(outcome, Indexed | UpToDate):
                self.heads.expect(outcome.head if isinstance(outcome, Indexed) else outcome.number)
            if isinstance(outcome, UpToDate | Ahead):
                self.is_idle = True
                self.counters.timings.waits_for = "nothing"
                await self.heads.next_head(outcome.number)
                self.is_idle = False

    async def _report(self, error: TryAgain | Stop | DBAPIError) -> None:
        level = WARNING if isinstance(error, TryAgain) else ERROR
        message = failure_text(error)
        log_event(log, level, "step failed", AGAIN, self._backoff.seconds, message, kind=type(error).__name__)
        with suppress(DBAPIError):  # a database that is away cannot hold it
            await asyncio.to_thread(self.store.note_failure, message, stopped=isinstance(error, Stop))


def log_outcome(outcome: Outcome, elapsed: float, origin: int) -> None:
    """Writes one line for a step that did something. `elapsed` in seconds; `origin` is the block before the first."""
    match outcome:
        case Indexed(first, last, events, facts, head):
            details = " blocks={first}..{last} events={events} facts={facts} head={head} elapsed={elapsed:.2f}s"
            log_event(log, INFO, "indexed", details, first, last, events, facts, head, elapsed, blocks=last - first + 1)
        case RolledBack(ancestor, old_head, events):
            details = " to={ancestor} from={old_head} events={events} elapsed={elapsed:.2f}s"
            log_event(log, WARNING, "rolled back", details, ancestor, old_head, events, elapsed)
        case BackfillFinished(number):
            details = " block={number} indexes=built elapsed={elapsed:.2f}s"
            log_event(log, INFO, "backfill finished", details, number, elapsed)
        case Ahead(number, head) if number == origin:
            log_event(log, INFO, "waiting", ": {text}", waiting_text(number, head), block=number, head=head)
        case Ahead(number, head):
            log_event(log, INFO, "node lags", " block={number} head={head}", number, head)
        case UpToDate():
            pass
