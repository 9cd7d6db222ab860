"""The process that delivers: it holds the lock of the state, and runs the loop of each subscription."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

from api.answering.answers import Answers
from api.delivery.addresses import parse_networks
from api.delivery.counts import Counts
from api.delivery.delivery import Delivery
from api.delivery.feed import MAX_SECONDS, EventFeed
from api.delivery.metrics import DeliveryMetrics
from api.delivery.receivers import Receiver
from api.delivery.settings import DeliverySettings
from api.delivery.state import Request, State, StateLost, state_url
from api.delivery.storage import Storage
from api.delivery.subscriptions import NATS, REDIS, Subscription, read_subscriptions
from api.graphql.limits import Limits
from api.graphql.schema import Schema, build_schema
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness
from schema.program.logs import log_event
from schema.program.metrics import serve_metrics
from schema.program.settings import SettingsError
from schema.tables.database import check_supported, connect

log = logging.getLogger("certindex.delivery")

STANDBY_SECONDS = 1.0
"""Pause between two tries to get the lock, and to reach a state that was lost."""

REQUEST_SECONDS = 1.0
"""Pause between two looks for requests of operators."""

GRACE_SECONDS = 5.0
"""At the end, how long requests that are under way may take."""

NAMES_THREADS = 8
"""Threads a subscription that look up names of hosts."""

LIMITS = Limits(cost=10**9, depth=100, aliases=10_000, tokens=100_000)
"""Limits of what a subscription selects: its author is the operator."""


class Index:
    """The index as subscriptions read it."""

    def __init__(self, settings: DeliverySettings) -> None:
        self.engine = connect(settings.database_url, read_only=True)
        check_supported(self.engine)
        self.schema = feed_schema()
        self.watch = ChangeWatch(self.engine)
        self.answers = Answers(
            self.engine, self.schema, self.watch, Freshness(), cache_bytes=0, max_seconds=MAX_SECONDS
        )

    def feed(self, subscription: Subscription) -> EventFeed:
        """Returns the feed of a subscription. Raises SettingsError if its filter or its fields are wrong."""
        return EventFeed(self.schema, self.answers, subscription)

    async def close(self) -> None:
        await self.watch.close()
        await self.answers.close()
        self.engine.dispose()


@cache
def feed_schema() -> Schema:
    return build_schema(limits=LIMITS)


@asynccontextmanager
async def open_index(settings: DeliverySettings) -> AsyncIterator[Index]:
    """Opens the index for the block."""
    index = Index(settings)
    try:
        yield index
    finally:
        await index.close()


class Sender:
    """Delivers the enabled subscriptions."""

    def __init__(self, settings: DeliverySettings, subscriptions: Sequence[Subscription], index: Index) -> None:
        self._subscriptions = {one.name: one for one in subscriptions if one.enabled}
        self._names = {one.name for one in subscriptions}
        self._file = settings.subscriptions
        self._feeds = _feeds(index, subscriptions)
        self._receivers = {name: receiver_of(one, settings) for name, one in self._subscriptions.items()}
        self._storage = Storage(state_url(settings.database_url, settings.delivery_state))
        self._watch = index.watch
        self._counts = Counts()
        self._deliveries: dict[str, Delivery] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.metrics = DeliveryMetrics(self._counts, lambda: list(self._deliveries.values()))

    async def run(self, stopping: asyncio.Event) -> None:
        """Delivers until stopped. Raises SettingsError, DatabaseError."""
        # a look-up of a host's name holds a thread until the resolver gives up, longer than an attempt may take
        threads = ThreadPoolExecutor(NAMES_THREADS * (1 + len(self._subscriptions)), "names")
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            while not stopping.is_set():
                await self._run_until_lost(stopping)
        finally:
            await self._storage.close()
            await asyncio.gather(*(receiver.close() for receiver in self._receivers.values()))

    async def _run_until_lost(self, stopping: asyncio.Event) -> None:
        """Delivers until stopped, or until the state is lost: another process may have the lock then."""
        try:
            await self._storage.run(State.open)
            await self._check_names()
            if await self._has_lock(stopping):
                await self._deliver(stopping)
        except StateLost as error:
            log_event(log, logging.ERROR, "the state failed; nothing is sent", ": {error}", str(error))
        finally:
            await self._storage.reset()
        if not stopping.is_set():
            await _pause(stopping, STANDBY_SECONDS)

    async def _check_names(self) -> None:
        """Raises SettingsError for a subscription that is stored and not in the file."""
        stored = await self._storage.run(lambda state: state.positions())
        if missing := sorted(stored.keys() - self._names):
            raise SettingsError(removed_text(self._file, missing[0], stored[missing[0]].progress.delivered))

    async def _has_lock(self, stopping: asyncio.Event) -> bool:
        """Waits for the lock. Returns False if stopped before."""
        is_logged = False
        while not await self._storage.run(State.try_lock):
            if not is_logged:
                log_event(log, logging.INFO, "standing by: another process delivers")
            is_logged = True
            if await _pause(stopping, STANDBY_SECONDS):
                return False
        return True

    async def _deliver(self, stopping: asyncio.Event) -> None:
        """Runs all loops. Raises StateLost."""
        for request in await self._storage.run(State.requests):
            await self._fulfill(request)
        log_event(log, logging.INFO, "delivering", " subscriptions={subscriptions}", len(self._subscriptions))
        background = [asyncio.create_task(self._storage.store_progress()), asyncio.create_task(self._take_requests())]
        stopped = asyncio.create_task(stopping.wait())
        for name in self._subscriptions:
            self._start(name)
        try:
            while not stopping.is_set():
                running = [*background, *self._tasks.values()]
                done, _ = await asyncio.wait(
                    [stopped, *running], timeout=REQUEST_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done - {stopped}:
                    if not task.cancelled():
                        task.result()
            await self._finish()
        finally:
            tasks = [stopped, *background, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._storage.flush()

    def _start(self, name: str) -> None:
        delivery = Delivery(
            self._subscriptions[name],
            self._feeds[name],
            self._receivers[name],
            self._storage,
            self._watch,
            self._counts,
        )
        self._deliveries[name] = delivery
        self._tasks[name] = asyncio.create_task(delivery.run())

    async def _finish(self) -> None:
        """Lets the requests that are under way end."""
        for name, delivery in self._deliveries.items():
            delivery.stop()
            if not delivery.is_sending:
                self._tasks[name].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=GRACE_SECONDS)

    async def _take_requests(self) -> None:
        """Carries out the requests of operators until cancelled. Raises StateLost."""
        while True:
            await asyncio.sleep(REQUEST_SECONDS)
            for request in await self._storage.run(State.requests):
                await self._fulfill(request)

    async def _fulfill(self, request: Request) -> None:
        """Carries out a request; its subscription starts again with what is then stored."""
        task = self._tasks.get(request.name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._storage.flush()
        await self._storage.run(lambda state: state.fulfill(request))
        log_event(
            log,
            logging.INFO,
            "request carried out",
            " subscription={subscription} {action}",
            request.name,
            request.action,
        )
        if task is not None:
            self._start(request.name)


def _feeds(index: Index, subscriptions: Sequence[Subscription]) -> Mapping[str, EventFeed]:
    """Returns the feed of each subscription. Raises SettingsError with all that is wrong."""
    feeds, errors = {}, []
    for subscription in subscriptions:
        try:
            feeds[subscription.name] = index.feed(subscription)
        except SettingsError as error:
            errors.append(str(error))
    if errors:
        raise SettingsError("\n".join(errors))
    return feeds


def receiver_of(subscription: Subscription, settings: DeliverySettings) -> Receiver:
    """Returns the receiver of a subscription. Raises SettingsError, which names the extra that is missing."""
    if subscription.kind == NATS:
        from api.delivery.nats import Nats

        return Nats(subscription)
    if subscription.kind == REDIS:
        from api.delivery.redis import Redis

        return Redis(subscription)
    from api.delivery.webhook import Webhook

    return Webhook(subscription, parse_networks(settings.allow_networks))


def removed_text(file: str, name: str, delivered: int) -> str:
    """Returns the error for a subscription that was removed from the file, or renamed there."""
    return (
        f'{file} has no subscription "{name}", whose position is stored ({delivered} messages were delivered). Put it '
        f"back, with enabled = false if nothing is to be sent; or drop its position: certindex deliver forget {name}. "
        "A new name in the file starts anew."
    )


async def deliver(settings: DeliverySettings, stopping: asyncio.Event) -> None:
    """Delivers until stopped. Raises SettingsError, DatabaseError."""
    subscriptions = read_subscriptions(Path(settings.subscriptions))
    async with open_index(settings) as index:
        sender = Sender(settings, subscriptions, index)
        with serve_metrics([sender.metrics], settings.metrics_host, settings.metrics_port):
            await sender.run(stopping)


async def _pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Waits for some seconds. Returns True at once if stopped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
    return stopping.is_set()
