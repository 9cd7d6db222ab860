"""One request reads one snapshot: one connection, one read transaction, whatever is indexed meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property, partial
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Row

from api.queries.chains import chains, contracts
from api.queries.sql.as_of import Pin, pin_now
from api.reading.profile_readers import read_readers
from api.reading.revisions import revisions_of
from schema.licenses import hardware_licensing_is_whole, manufacturer_licensing_is_whole
from schema.profile.model import Reader

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


AGAIN_SECONDS = 0.05
"""Until a statement is ended once more: it may have begun just after the last time."""

_STATEMENTS = ThreadPoolExecutor(16, "statements")
"""Read for event loops. No fewer than there may be snapshots, of requests, of what is live and of bundles."""

_ENDINGS = ThreadPoolExecutor(4, "endings")
"""Threads that nothing else takes: what ends a statement must not wait behind statements."""


class Interrupted(Exception):
    """Nobody waits for the answer any more."""


class Snapshot:
    """What one state of the database says. SQL runs one statement after another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._lock = asyncio.Lock()
        self._closed = False
        self.is_interrupted = False
        self.chains: Mapping[int, Row[Any]] = chains(connection)
        self.contracts, self.readers = _watched(connection, self.chains)
        self.pins: tuple[Pin, ...] = tuple(pin_now(chain) for chain in self.chains.values())

    @cached_property
    def final_numbers(self) -> Mapping[int, int]:
        """The last block of each chain that no reorg takes back; -1 where none is known."""
        return {
            id: -1 if chain.finalized_number is None else min(chain.finalized_number, chain.indexed_number)
            for id, chain in self.chains.items()
        }

    @cached_property
    def whole_manufacturing(self) -> frozenset[tuple[int, bytes]]:
        """The (chain id, contract) of whose Manufacturing Licenses the whole history is indexed."""
        return self._whole(manufacturer_licensing_is_whole)

    @cached_property
    def whole_hardware(self) -> frozenset[tuple[int, bytes]]:
        """The (chain id, contract) of whose hardware licences the whole history is indexed."""
        return self._whole(hardware_licensing_is_whole)

    def _whole(self, is_whole: Callable[[Reader, Collection[bytes], bytes], bool]) -> frozenset[tuple[int, bytes]]:
        return frozenset(
            (chain_id, row.address)
            for chain_id, rows in self.contracts.items()
            for row in rows
            if is_whole(self.readers[chain_id], {one.address for one in rows if one.whole}, row.address)
        )

    async def read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Returns what the query reads, off the event loop."""
        async with self._lock:
            if self._closed:
                # the answer is made, after an error perhaps: whoever still asks is not waited for
                raise asyncio.CancelledError
            work = _in_thread(partial(query, self._connection, *args, **kwargs))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # the thread still holds the connection: nobody else may use it before it is done
                await to_the_end(end_work(work, self._interrupt))
                raise

    def read_now(
        self,
        query: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Returns what the query reads, in the thread that has the snapshot to itself. Raises Interrupted."""
        if self.is_interrupted:
            raise Interrupted
        return query(self._connection, *args, **kwargs)

    def interrupt(self) -> None:
        """Ends the statement that another thread runs, and lets it begin none: may be called again and again."""
        self.is_interrupted = True
        self._interrupt()

    def _interrupt(self) -> None:
        # a connection that was lost runs nothing, and a server that does not answer is asked again
        with suppress(self._connection.dialect.loaded_dbapi.Error):
            if self._connection.dialect.name == "sqlite":
                self._driver.interrupt()
            else:
                self._driver.cancel_safe(timeout=5)

    async def close(self) -> None:
        """Ends the transaction. A statement that still runs is ended: nobody waits for it."""
        self._closed = True
        if self._lock.locked():
            waiting = asyncio.ensure_future(self._lock.acquire())
            await end_work(waiting, self._interrupt)
        await _in_thread(self.end)

    def end(self) -> None:
        """Ends the transaction, in the thread that has the snapshot to itself."""
        try:
            if not self._connection.invalidated:  # lost: the statement that found it out has told
                # not by a rollback: psycopg forgets with it the statements that the server has planned for good
                self._connection.commit()
        finally:
            self._connection.close()


class Watched(NamedTuple):
    """What is watched on each chain, and what reads its logs."""

    contracts: Mapping[int, tuple[Row[Any], ...]]
    readers: Mapping[int, Reader]


_WATCHED: WeakKeyDictionary[Engine, tuple[Hashable, Watched]] = WeakKeyDictionary()
"""Of each database as it was last seen: it seldom changes, and every request needs it."""


def _watched(connection: Connection, chains: Mapping[int, Row[Any]]) -> Watched:
    seen = revisions_of(chains.values())
    last, watched = _WATCHED.get(connection.engine, (None, None))
    if watched is None or last != seen:
        watched = Watched(contracts(connection), read_readers(connection))
        _WATCHED[connection.engine] = seen, watched
    return watched


def _in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    return asyncio.get_running_loop().run_in_executor(_STATEMENTS, work)


async def end_work(work: asyncio.Future[Any], interrupt: Callable[[], None]) -> None:
    """Returns once the work is over, its statements ended: again and again, as one may begin just then."""
    while not work.done():
        await asyncio.get_running_loop().run_in_executor(_ENDINGS, interrupt)
        await asyncio.wait([work], timeout=AGAIN_SECONDS)
    if not work.cancelled():
        work.exception()  # nobody else hears it


@asynccontextmanager
async def open_snapshot(engine: Engine) -> AsyncIterator[Snapshot]:
    """Opens a read transaction and ends it with the block. The engine is one of `connect(url, read_only=True)`."""
    opening = _in_thread(partial(_begin, engine))
    try:
        snapshot = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await to_the_end(_close_once_open(opening))
        raise
    try:
        yield snapshot
    finally:
        await to_the_end(snapshot.close())


@contextmanager
def open_snapshot_now(engine: Engine) -> Iterator[Snapshot]:
    """Opens a read transaction for the thread that calls, and ends it with the block."""
    snapshot = _begin(engine)
    try:
        yield snapshot
    finally:
        snapshot.end()


async def _close_once_open(opening: asyncio.Future[Snapshot]) -> None:
    # the thread goes on: what it opens must be closed
    await asyncio.wait([opening])
    if opening.exception() is None:
        await opening.result().close()


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Waits until the work is done, and only then lets itself be cancelled: what comes next may end the engine."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _begin(engine: Engine) -> Snapshot:
    connection = engine.connect()
    try:
        connection.begin()
        return Snapshot(connection)
    except BaseException:
        connection.close()
        raise
