"""The loop of one subscription: fills the outbox, sends its messages in order, and waits for the next change."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from api.delivery.counts import Counts
from api.delivery.feed import CursorRefused, EventFeed
from api.delivery.messages import Message, messages_of
from api.delivery.receivers import Outcome, Receiver, failed
from api.delivery.schedule import BROKER_SECONDS, MOST_SECONDS, delay_after
from api.delivery.state import Position, Progress, StateLost
from api.delivery.storage import Storage
from api.delivery.subscriptions import BEGINNING, WEBHOOK, Subscription
from api.graphql.errors import Refusal
from api.reading.change_watch import ChangeWatch
from schema.program.logs import log_event

log = logging.getLogger("certindex.delivery")

ResultT = TypeVar("ResultT")

PAUSE_SECONDS = 2.0
"""Pause after the index could not be read."""

DEFECT_SECONDS = 30.0
"""Pause after an error that this program did not expect."""


class Delivery:
    """The delivery of one subscription.

    `is_sending`: a request is under way. After `stop` the loop ends when that has ended.
    """

    def __init__(
        self,
        subscription: Subscription,
        feed: EventFeed,
        receiver: Receiver,
        storage: Storage,
        watch: ChangeWatch,
        counts: Counts,
    ) -> None:
        self.subscription = subscription
        self.name = subscription.name
        self.is_sending = False
        self.outbox: deque[Message] = deque()
        self.progress = Progress()
        self._feed = feed
        self._receiver = receiver
        self._storage = storage
        self._watch = watch
        self._counts = counts
        self._cursor = ""
        self._epoch = ""
        self._sequence = 0
        self._is_stopping = False
        self._is_unreadable = False
        self._longest_delay = MOST_SECONDS if subscription.kind == WEBHOOK else BROKER_SECONDS

    def stop(self) -> None:
        """Ends the loop before the next message."""
        self._is_stopping = True

    async def run(self) -> None:
        """Delivers until cancelled or stopped. Raises StateLost."""
        is_restored = False
        while not self._is_stopping:
            try:
                if not is_restored:
                    await self._restore()
                    is_restored = True
                if self.progress.stopped is not None:
                    await asyncio.Event().wait()  # until an operator's request restarts this loop
                await (self._attempt(self.outbox[0]) if self.outbox else self._fill())
            except StateLost:
                raise
            except CursorRefused as error:
                self._stop_for(str(error))
            except Exception:
                log.exception("unexpected error in the delivery", extra={"fields": {"subscription": self.name}})
                await asyncio.sleep(DEFECT_SECONDS)

    # The outbox

    async def _restore(self) -> None:
        """Reads the position and the outbox; stores a new subscription, or the place in the feed of a new filter."""
        positions = await self._storage.run(lambda state: state.positions())
        position = positions.get(self.name) or await self._begin()
        self.progress = position.progress
        self._cursor, self._epoch, self._sequence = position.cursor, position.epoch, position.sequence
        if position.filter != self._feed.filter:
            await self._change_filter(position)
        self.outbox = deque(await self._storage.run(lambda state: state.messages(self.name)))

    async def _begin(self) -> Position:
        at_beginning = self.subscription.start == BEGINNING
        cursor = await self._readable(lambda: self._feed.start(at_beginning=at_beginning))
        return await self._storage.run(lambda state: state.create(self.name, self._feed.filter, cursor))

    async def _change_filter(self, position: Position) -> None:
        self._cursor = await self._readable(lambda: self._feed.translated(position.cursor, position.filter))
        await self._storage.run(lambda state: state.move(self.name, self._feed.filter, self._cursor))
        log_event(log, logging.INFO, "the filter has changed", " subscription={subscription}", self.name)

    async def _fill(self) -> None:
        """Reads the next page of the feed into the outbox. If there is none, returns when the index has changed."""
        seen = await self._readable(self._watch.revisions)
        page = await self._readable(lambda: self._feed.page(self._cursor))
        if page.end_cursor != self._cursor:
            messages = messages_of(page.messages, self._epoch, self._sequence)
            await self._storage.run(lambda state: state.put(self.name, messages, page.end_cursor, self.progress))
            self._cursor, self._sequence = page.end_cursor, self._sequence + len(messages)
            self.outbox.extend(messages)
        if not self.outbox and not page.has_more:
            await self._watch.changed(seen)

    async def _readable(self, read: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Returns what is read of the index, once it can be read."""
        while True:
            try:
                result = await read()
            except (Refusal, DBAPIError) as error:
                if not self._is_unreadable:
                    reason = str(error) if isinstance(error, Refusal) else str(error.orig)
                    log_event(
                        log,
                        logging.WARNING,
                        "the index cannot be read",
                        " subscription={subscription}: {reason}",
                        self.name,
                        reason,
                    )
                self._is_unreadable = True
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._is_unreadable = False
                return result

    # Attempts

    async def _attempt(self, message: Message) -> None:
        """Sends a message when its time has come, and notes how that ended."""
        wait = self.progress.next_attempt_at - time.time()
        if wait > 0:
            await asyncio.sleep(min(wait, 2 * MOST_SECONDS))  # the clock may have been set back
        began = time.perf_counter()
        self.is_sending = True
        try:
            outcome = await self._receiver.send(message)
        except Exception as error:
            log.exception("unexpected error of a receiver", extra={"fields": {"subscription": self.name}})
            outcome = failed("error", f"unexpected error: {error!r}")
        finally:
            self.is_sending = False
        self._counts.add(self.name, outcome.result, time.perf_counter() - began)
        if outcome.delivered:
            self._has_delivered(message)
        else:
            self._has_failed(message, outcome)
        self._storage.note(self.name, self.progress)

    def _has_delivered(self, message: Message) -> None:
        if self.progress.failing_since is not None:
            log_event(log, logging.INFO, "the receiver takes messages again", " subscription={subscription}", self.name)
        self.progress = Progress(delivered=message.sequence, delivered_at=time.time())
        self.outbox.popleft()

    def _has_failed(self, message: Message, outcome: Outcome) -> None:
        now, last = time.time(), self.progress
        failures = last.failures + (outcome.retry_after is None)
        wait = delay_after(failures, self._longest_delay) if outcome.retry_after is None else outcome.retry_after
        self.progress = replace(
            last,
            attempts=last.attempts + 1,
            failures=failures,
            next_attempt_at=now + wait,
            failing_since=last.failing_since or now,
            error=outcome.detail,
        )
        if outcome.gone:
            self._stop_for(f"{outcome.detail}. It wants no more messages.")
            return
        log_event(
            log,
            logging.WARNING,
            "an attempt failed",
            " subscription={subscription} message={message} attempt={attempt} next_in={seconds:.0f}s: {error}",
            self.name,
            message.id,
            self.progress.attempts,
            wait,
            outcome.detail,
        )

    def _stop_for(self, reason: str) -> None:
        """Sends nothing more until an operator resumes or replays."""
        self.progress = replace(self.progress, stopped=reason)
        self._storage.note(self.name, self.progress)
        log_event(
            log, logging.ERROR, "a subscription is stopped", " subscription={subscription}: {reason}", self.name, reason
        )
