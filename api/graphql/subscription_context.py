"""The turns of a subscription: one snapshot for each batch of messages, and none while it waits.

A batch is read, executed and encoded while its snapshot is open. It is closed before anything is sent, so that a slow
client holds nothing but its own batch.
"""

import asyncio
from contextlib import AsyncExitStack

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.graphql.context import Context, Freshness
from api.graphql.errors import NotReady
from api.reading.batching import LoopQueryRunner
from api.reading.change_watch import ChangeWatch
from api.reading.revisions import revisions_of
from api.reading.snapshot import Snapshot, open_snapshot


class Turns:
    """Opens and closes the snapshots of one subscription. `left` messages of its batch are still to come.

    `deadline` is armed while a snapshot is open: one turn may take so many seconds, waiting takes what it takes.
    """

    def __init__(
        self, engine: Engine, slots: asyncio.Semaphore, watch: ChangeWatch, deadline: asyncio.Timeout, seconds: float
    ) -> None:
        self.left = 0
        self._engine = engine
        self._slots = slots
        self._watch = watch
        self._deadline = deadline
        self._seconds = seconds
        self._stack: AsyncExitStack | None = None

    @property
    def is_open(self) -> bool:
        return self._stack is not None

    async def context(self, freshness: Freshness) -> Context:
        """Returns the context of the subscription, in its first turn. Raises NotReady."""
        return Context(LoopQueryRunner(await self._open()), freshness, turns=self)

    async def begin(self, context: Context) -> None:
        """Begins a turn of the context, unless one is open. Raises NotReady."""
        if not self.is_open:
            context.begin(LoopQueryRunner(await self._open()))

    async def end(self) -> None:
        """Ends the turn, if one is open."""
        stack, self._stack = self._stack, None
        if stack is not None:
            if not self._deadline.expired():
                self._deadline.reschedule(None)
            await stack.aclose()

    async def changed(self, context: Context) -> None:
        """Ends the turn, and waits until the database says more than the context's last snapshot."""
        await self.end()
        await self._watch.changed(revisions_of(context.snapshot.chains.values()))

    async def _open(self) -> Snapshot:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._slots)
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)
            try:
                snapshot = await stack.enter_async_context(open_snapshot(self._engine))
            except DBAPIError as error:
                raise NotReady("The database cannot be read; /readyz says why.") from error
            self._stack = stack.pop_all()
        return snapshot
