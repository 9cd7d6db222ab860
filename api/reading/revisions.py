"""The revisions of all chains: what tells one state of the database from another.

They are looked up for every request, one look-up at a time. Who asks while one is under way waits for the next: an
answer is never older than the request for it.
"""

import asyncio
from collections.abc import Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, Row
from sqlalchemy.exc import DBAPIError

STATEMENT = "SELECT chain_id, revision, indexed_hash FROM chain ORDER BY chain_id"
"""The hash tells a database that was restored from a backup, and counts again, from what it was."""


class Revisions:
    """Looks revisions up, in a thread of its own: it never waits behind the SQL of answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "revisions")
        self._connection: Any = None
        self._running: asyncio.Future[Hashable] | None = None
        self._next: asyncio.Future[Hashable] | None = None

    async def now(self) -> Hashable:
        """Returns the revisions as they are at some moment after this call. Raises DBAPIError."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._look_up(self._running))
            # those who asked may all be gone
            self._next.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Ends the connection. Look-ups that are under way end before it."""
        while running := [each for each in (self._running, self._next) if each is not None and not each.done()]:
            await asyncio.wait(running)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _look_up(self, running: asyncio.Future[Hashable] | None) -> Hashable:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read)

    def _read(self) -> Hashable:
        if self._connection is not None:
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                return self._execute()
            self._disconnect()  # it may have ended while nobody asked
        try:
            self._connect()
            return self._execute()
        except self._engine.dialect.loaded_dbapi.Error as error:
            self._disconnect()
            raise DBAPIError(STATEMENT, None, error) from error

    def _execute(self) -> Hashable:
        cursor = self._connection.execute(STATEMENT)
        return tuple((chain_id, revision, bytes(hash)) for chain_id, revision, hash in cursor.fetchall())

    def _connect(self) -> None:
        pooled = self._engine.raw_connection()
        self._connection = pooled.driver_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            self._connection.autocommit = True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                connection.close()


def revisions_of(chains: Iterable[Row[Any]]) -> Hashable:
    """Returns the revisions of a snapshot's chains, in the order of their ids."""
    return tuple((chain.chain_id, chain.revision, bytes(chain.indexed_hash)) for chain in chains)
