"""The storm of deliveries: a chain that grows and reorgs, a receiver that fails at times, and a sender that is killed.

The receiver checks each message as it comes. Its signature must be right. It must be the next one of the subscription,
or one that came before, with the same id and the same bytes. A retraction must take back the newest event. At the end
the receiver must have the events of the canonical chain.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scripts.soaking.lives import KILL_POINTS, Life
from tests.support.api.feeding import Moving, minted, updated
from tests.support.api.receiving import Received, Receiver, answering, receiving, write_subscriptions
from tests.support.chain.fakechain import Log

IN_A_BLOCK = 100
DEVICES = 100
REORG_DEPTH = 2
PATIENCE = 120.0
"""How long no message may come, in seconds."""

TAKE = answering(204)
FAILURES = (answering(500), answering(429, Retry_After="1"), answering(302, Location="/"))
"""How the receiver fails; the first attempt after a failure comes 5 s or 1 s later."""


@dataclass
class Ledger:
    """What the receiver has taken. Raises AssertionError for a message that must not come now."""

    sent: list[tuple[str, bytes]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    duplicates: int = 0
    retractions: int = 0

    def take(self, received: Received) -> None:
        """Checks a message and applies it."""
        event = received.event
        sequence, digest = int(event["sequence"]), blake2b(received.body, digest_size=8).digest()
        if sequence <= len(self.sent):
            assert self.sent[sequence - 1] == (received.id, digest), f"message {sequence} is not what it was"
            self.duplicates += 1
            return
        assert sequence == len(self.sent) + 1, f"message {sequence} came after {len(self.sent)}"
        self.sent.append((received.id, digest))
        id = event["data"]["event"]["id"]
        if event["data"]["retracted"]:
            assert self.events.pop() == id, f"message {sequence} takes back another event than the newest"
            self.retractions += 1
        else:
            self.events.append(id)


class DeliveryStorm:
    """One storm. The sender dies at each point of its code once. Then one of four lives ends at a point, and the others
    after they delivered for `life` seconds, up to a half more or less.

    The receiver fails for a share of the requests, `failing`.
    `ends` counts the lives by the points at which they ended, None for a moment.
    """

    def __init__(self, url: str, folder: Path, *, events: int, seed: int, life: float, failing: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str | None] = Counter()
        self.seconds = 0.0
        self._folder = folder
        self._events = events
        self._life = life
        self._share = failing
        self._chain = Moving(url, finality=1000)
        self._error: AssertionError | None = None
        self._took_at = 0.0

    async def run(self) -> None:
        """Indexes half of the events, and the others while they are delivered. Raises AssertionError.

        More blocks follow until the sender has died at each point.
        """
        try:
            await self._chain.mine(*(log for token in range(1, DEVICES + 1) for log in minted(token)[1:]))
            await self._grow(self._events // 2)
            async with receiving(self._answer) as receiver:
                began = time.perf_counter()
                killing = asyncio.create_task(self._kill_senders(receiver))
                try:
                    await self._go_on()
                    await self._until_complete()
                    while not self.ends.keys() >= KILL_POINTS.keys():  # the senders delivered all before a kill
                        await self._chain.mine(*self._logs())
                        await self._until_complete()
                finally:
                    killing.cancel()
                    await asyncio.gather(killing, return_exceptions=True)
                self.seconds = time.perf_counter() - began
        finally:
            self._chain.close()

    # The chain

    async def _grow(self, events: int) -> None:
        for _ in range(-(-events // IN_A_BLOCK)):
            self._chain.node.mine(*self._logs())
        await self._chain.indexer.catch_up()

    async def _go_on(self) -> None:
        """Indexes the other half. After each five blocks, a reorg removes what the receiver has."""
        for number in range(1, self._events // 2 // IN_A_BLOCK + 1):
            await self._chain.mine(*self._logs())
            if number % 5 == 0:
                await self._until_taken(len(self._chain.ids()) - IN_A_BLOCK // 2)
                await self._chain.reorg(REORG_DEPTH, self._logs(), self._logs(), self._logs())
                self.counts["reorgs"] += 1

    async def _until_taken(self, events: int) -> None:
        """Waits until the receiver has so many events. Raises AssertionError if a message was wrong, or none comes."""
        self._took_at = time.monotonic()
        while len(self.ledger.events) < events:
            if self._error is not None:
                raise self._error
            assert time.monotonic() - self._took_at < PATIENCE, f"{len(self.ledger.events)} of {events} events came"
            await asyncio.sleep(0.05)

    def _logs(self) -> list[Log]:
        versions = (str(self.random.randrange(10**6)) for _ in range(IN_A_BLOCK))
        return [updated(self.random.randint(1, DEVICES), version) for version in versions]

    # The receiver

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> None:
        if self.random.random() < self._share:
            self.counts["failures of the receiver"] += 1
            await self.random.choice(FAILURES)(received, writer)
            return
        try:
            self.ledger.take(received)
        except AssertionError as error:
            self._error = error
        self._took_at = time.monotonic()
        await TAKE(received, writer)

    async def _until_complete(self) -> None:
        ids = self._chain.ids()
        while self.ledger.events != ids:
            await self._until_taken(len(ids))
            await asyncio.sleep(0.05)  # what a reorg removed may still be there

    # The sender

    async def _kill_senders(self, receiver: Receiver) -> None:
        """Starts one sender after the other. Each ends by SIGKILL: at a point of its code, or at a moment."""
        path = write_subscriptions(self._folder, {"url": receiver.url})
        environment = {
            "DATABASE_URL": self._chain.url,
            "DELIVERY_STATE": self._state(),
            "SUBSCRIPTIONS": str(path),
            "ALLOW_NETWORKS": "127.0.0.0/8",
        }
        for point in itertools.chain(KILL_POINTS, map(self._point, itertools.count())):
            nth = self.random.randint(1, KILL_POINTS[point].most) if point else 1
            life = await asyncio.to_thread(Life, environment, self._folder / "output", point, nth)
            try:
                await self._live(life, point)
            finally:
                life.kill()

    def _point(self, _: int) -> str | None:
        """Returns a point for one of four lives."""
        return self.random.choice((None, None, None, self.random.choice([*KILL_POINTS])))

    async def _live(self, life: Life, point: str | None) -> None:
        """Waits until a sender has ended at its point. Without a point, its time begins with its first message."""
        taken, ends = len(self.ledger.sent), None
        while not life.has_ended and (ends is None or time.monotonic() < ends):
            if ends is None and point is None and len(self.ledger.sent) > taken:
                ends = time.monotonic() + self._life * self.random.uniform(0.5, 1.5)
            await asyncio.sleep(0.01)
        if life.failure is not None:
            self._error = AssertionError(f"the sender ended by itself:\n{life.failure}")
        self.ends[point if life.has_ended else None] += 1

    def _state(self) -> str:
        if self._chain.url.startswith("sqlite"):
            return f"sqlite:///{self._folder / 'delivery.db'}"
        return self._chain.url

    def report(self) -> str:
        """Returns what happened, in one line."""
        sent = len(self.ledger.sent)
        counts: dict[str, Any] = {
            "messages": sent,
            "a second": round(sent / self.seconds),
            "duplicates": self.ledger.duplicates,
            "retractions": self.ledger.retractions,
            "lost": 0,
            "out of order": 0,
            **self.counts,
            "lives of the sender": self.ends.total(),
        }
        return ", ".join(f"{value} {name}" for name, value in counts.items())
