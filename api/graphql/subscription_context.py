"""The context of a subscription: one snapshot for each batch of messages, and none while it waits.

A batch is read, executed and encoded while its snapshot is open. The snapshot is closed before anything is sent: a slow
client holds nothing but its own batch.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.graphql.context import Context
from api.graphql.errors import database_failed
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness
from api.reading.revisions import revisions_of
from api.reading.snapshot import open_snapshot


class SubscriptionContext(Context):
    """A context that opens a snapshot for each batch. `left` messages of the open batch are still to come.

    `deadline` is armed while a snapshot is open: a batch may take `seconds`; waiting for a change has no limit.
    """

    def __init__(
        self,
        engine: Engine,
        admission: asyncio.Semaphore,
        watch: ChangeWatch,
        deadline: asyncio.Timeout,
        seconds: float,
        freshness: Freshness,
        charge: Callable[[int], None],
    ) -> None:
        super().__init__(None, freshness, charge=charge)
        self.left = 0
        self._engine = engine
        self._admission = admission
        self._watch = watch
        self._deadline = deadline
        self._seconds = seconds
        self._batch: AsyncExitStack | None = None

    @property
    def is_in_batch(self) -> bool:
        return self._batch is not None

    async def begin_batch(self) -> None:
        """Opens a snapshot, unless one is open. Raises NotReady."""
        if self._batch is not None:
            return
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._admission)
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)
            try:
                snapshot = await stack.enter_async_context(open_snapshot(self._engine))
            except DBAPIError as error:
                raise database_failed(error) from error
            self._batch = stack.pop_all()
        self.read_from(snapshot)

    async def end_batch(self) -> None:
        """Closes the snapshot, if one is open."""
        batch, self._batch = self._batch, None
        if batch is not None:
            if not self._deadline.expired():
                self._deadline.reschedule(None)
            await batch.aclose()

    async def wait_for_change(self) -> None:
        """Ends the batch, and returns when the database has changed since its snapshot."""
        await self.end_batch()
        await self._watch.changed(revisions_of(self.snapshot.chains.values()))
