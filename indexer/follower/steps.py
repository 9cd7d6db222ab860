"""The loop that indexes: one step after another, a pause after a failure, a rest when nothing is new."""

import asyncio
import logging
import time
from contextlib import suppress
from logging import ERROR, INFO, WARNING

from msgspec.structs import asdict
from sqlalchemy.exc import DBAPIError

from indexer.chain.chain import Chain
from indexer.errors import Stop, TryAgain, failure_text
from indexer.follower.heads import HeadListener
from indexer.observe.counters import Record
from indexer.retry import AGAIN, Backoff
from indexer.store import Fenced, Store
from indexer.sync.interpretation import Interpretation
from indexer.sync.step import Ahead, BackfillFinished, Indexed, Outcome, Pace, RolledBack, UpToDate, step
from schema.program.logs import tell

log = logging.getLogger("certindex")


class StepLoop:
    """Takes steps with one store. The only place that logs and retries them.

    A step that fails leaves the database as it was; it is taken again after a pause that grows, and meanwhile the
    database holds since when and why.
    """

    def __init__(
        self, chain: Chain, store: Store, interpretation: Interpretation, heads: HeadListener, record: Record
    ) -> None:
        self.chain = chain
        self.store = store
        self.interpretation = interpretation
        self.heads = heads
        self.record = record
        self.is_idle = False
        self._backoff = Backoff()

    async def run(self, stopping: asyncio.Event) -> None:
        """Takes steps until `stopping`, or until another writer takes over."""
        pace = Pace()
        while not stopping.is_set():
            self.heads.wake.clear()
            began = time.monotonic()
            try:
                outcome = await step(self.chain, self.store, self.interpretation, pace)
            except Fenced as error:
                tell(log, WARNING, "fenced off", ": {error}", error=str(error))
                return
            except (TryAgain, Stop, DBAPIError) as error:
                self.record.failed(error, time.monotonic() - began)
                await self._report(error)
                await self._backoff.wait(stopping)
                continue
            self._backoff.reset()
            elapsed = time.monotonic() - began
            self.record.stepped(outcome, elapsed, pace.blocks)
            log_outcome(outcome, elapsed)
            if isinstance(outcome, Indexed | UpToDate):
                self.heads.expect(outcome.head if isinstance(outcome, Indexed) else outcome.number)
            if isinstance(outcome, UpToDate | Ahead):
                self.is_idle = True
                await self.heads.next_head(outcome.number)
                self.is_idle = False

    async def _report(self, error: TryAgain | Stop | DBAPIError) -> None:
        level = WARNING if isinstance(error, TryAgain) else ERROR
        message, kind = failure_text(error), type(error).__name__
        tell(log, level, "step failed", AGAIN, pause=self._backoff.seconds, error=message, kind=kind)
        with suppress(DBAPIError):  # a database that is away cannot hold it
            await asyncio.to_thread(self.store.note_failure, message, stopped=isinstance(error, Stop))


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
