"""Snapshots: a request reads one state of the database, on one connection and in one read transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from api.queries.chains import chains, contracts
from api.queries.sql.as_of import Pin, pin_now
from api.reading.profile_readers import chains_to_rebuild, read_readers
from api.reading.replica import Replica, read_replica
from api.reading.revisions import revisions_of
from schema.licenses import hardware_licensing_is_whole, manufacturer_licensing_is_whole
from schema.profile.errors import ProfileError
from schema.profile.reader import Reader
from schema.program.tracing import carried
from schema.tables.damage import UNREADABLE, unreadable
from schema.tables.postgresql import is_passing

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


AGAIN_SECONDS = 0.05
"""Seconds between two interruptions: a statement may have begun just after the last one."""

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each repetition of a read: a standby may cancel several while it replays new tables."""

_STATEMENTS = ThreadPoolExecutor(16, "statements")
"""Threads that read for event loops: at least as many as snapshots of requests, subscriptions and bundles at a time."""

_ENDINGS = ThreadPoolExecutor(4, "endings")
"""Threads for interruptions alone, so that none waits behind a statement."""


class Interrupted(Exception):
    """The response is no longer awaited."""


class Snapshot:
    """One state of the database. Its statements run one after another. `failure` is the last that the database made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._lock = asyncio.Lock()
        self._closed = False
        self.is_interrupted = False
        self.failure: DBAPIError | None = None
        self.chains: Mapping[int, Row[Any]] = chains(connection)
        self.contracts, self.readers, self.chains_to_rebuild = _watch_set(connection, self.chains)
        self.pins: tuple[Pin, ...] = tuple(pin_now(chain) for chain in self.chains.values())

    @cached_property
    def final_numbers(self) -> Mapping[int, int]:
        """The last indexed block of each chain that is finalized, -1 if there is none."""
        return {
            id: -1 if chain.finalized_number is None else min(chain.finalized_number, chain.indexed_number)
            for id, chain in self.chains.items()
        }

    @cached_property
    def replica(self) -> Replica | None:
        """The replica that is read, None for the database that the indexer writes."""
        return self.read_now(read_replica)

    def may_be_behind(self, chain_id: int, number: int) -> bool:
        """Returns whether a block that is not known may be of a branch that this replica does not have yet."""
        return self.replica is not None and number > self.final_numbers.get(chain_id, -1)

    @cached_property
    def whole_manufacturing(self) -> frozenset[tuple[int, bytes]]:
        """The (chain id, contract) whose whole history of manufacturer licenses is indexed."""
        return self._whole(manufacturer_licensing_is_whole)

    @cached_property
    def whole_hardware(self) -> frozenset[tuple[int, bytes]]:
        """The (chain id, contract) whose whole history of hardware licenses is indexed."""
        return self._whole(hardware_licensing_is_whole)

    def _whole(self, is_whole: Callable[[Reader, Collection[bytes], bytes], bool]) -> frozenset[tuple[int, bytes]]:
        return frozenset(
            (chain_id, row.address)
            for chain_id, rows in self.contracts.items()
            for row in rows
            if is_whole(self.readers[chain_id], {contract.address for contract in rows if contract.whole}, row.address)
        )

    async def read(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        """Returns the result of the query, which runs in a thread."""
        async with self._lock:
            if self._closed:
                # the response is complete, perhaps with an error: resolvers that still run are not awaited
                raise asyncio.CancelledError
            work = _in_thread(partial(self._noting_failure, query, *args))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # the thread still uses the connection, which no one else may use before it has ended
                await to_the_end(end_work(work, self._interrupt))
                raise

    def read_now(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        """Returns the result of the query, in the thread that owns the snapshot. Raises Interrupted."""
        if self.is_interrupted:
            raise Interrupted
        return self._noting_failure(query, *args)

    def _noting_failure(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        try:
            return query(self._connection, *args)
        except DBAPIError as error:
            self.failure = error
            raise

    def interrupt(self) -> None:
        """Ends the statement that another thread runs, and prevents further ones. May be called repeatedly."""
        self.is_interrupted = True
        self._interrupt()

    def _interrupt(self) -> None:
        # ignores errors: a lost connection runs no statement, and if the server does not respond, the caller repeats
        with suppress(self._connection.dialect.loaded_dbapi.Error):
            if self._connection.dialect.name == "sqlite":
                self._driver.interrupt()
            else:
                self._driver.cancel_safe(timeout=5)

    async def close(self) -> None:
        """Ends the transaction, and the statement that still runs."""
        self._closed = True
        if self._lock.locked():
            acquiring = asyncio.ensure_future(self._lock.acquire())
            await end_work(acquiring, self._interrupt)
        await _in_thread(self.end)

    def end(self) -> None:
        """Ends the transaction and returns the connection, in the thread that owns the snapshot."""
        try:
            self.commit()
        finally:
            self._connection.close()

    def commit(self) -> None:
        """Ends the transaction, in the thread that owns the snapshot."""
        if not self._connection.invalidated:  # it is lost then, and the statement has raised
            try:
                # no rollback: it would make psycopg discard the statements that the server has prepared
                self._connection.commit()
            except DBAPIError:
                # a standby may cancel even a COMMIT. What has been read stays true, but the session may not have left
                # the transaction, and SQLAlchemy would not roll it back
                self._connection.invalidate()


class WatchSet(NamedTuple):
    """The watched contracts of each chain, the reader of its logs, and the chains that a rebuild is due for."""

    contracts: Mapping[int, tuple[Row[Any], ...]]
    readers: Mapping[int, Reader]
    chains_to_rebuild: frozenset[int]


_WATCH_SETS: WeakKeyDictionary[Engine, tuple[Hashable, WatchSet]] = WeakKeyDictionary()
"""The last state of each database. Every request needs it, and it seldom changes."""


def _watch_set(connection: Connection, chains: Mapping[int, Row[Any]]) -> WatchSet:
    revisions = revisions_of(chains.values())
    last, watch_set = _WATCH_SETS.get(connection.engine, (None, None))
    if watch_set is None or last != revisions:
        watch_set = WatchSet(contracts(connection), read_readers(connection), chains_to_rebuild(connection))
        _WATCH_SETS[connection.engine] = revisions, watch_set
    return watch_set


def _in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    return asyncio.get_running_loop().run_in_executor(_STATEMENTS, carried(work))


async def end_work(work: asyncio.Future[Any], interrupt: Callable[[], None]) -> None:
    """Interrupts work until it has ended. An interruption may be too early for a statement that begins just then."""
    while not work.done():
        await asyncio.get_running_loop().run_in_executor(_ENDINGS, interrupt)
        await asyncio.wait([work], timeout=AGAIN_SECONDS)
    if not work.cancelled():
        work.exception()  # retrieves it, so that asyncio does not log it


@asynccontextmanager
async def open_snapshot(engine: Engine) -> AsyncIterator[Snapshot]:
    """Opens a snapshot for the block. The engine is one of `connect(url, read_only=True)`."""
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
    """Opens a snapshot for the block, in the calling thread."""
    snapshot = _begin(engine)
    try:
        yield snapshot
    finally:
        snapshot.end()


class KeptConnection:
    """A connection of one thread, which opens snapshots one after another. The pool would check it for each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def open_snapshot(self) -> Iterator[Snapshot]:
        """Opens a snapshot for the block, in the calling thread."""
        snapshot = self._begin()
        try:
            yield snapshot
        finally:
            self._end(snapshot)

    def close(self) -> None:
        """Returns the connection to the pool."""
        if self._connection is not None:
            self._connection.close()

    def _begin(self) -> Snapshot:
        try:
            if self._connection is not None:
                return _begin_on(self._connection)
        except Exception:
            self._drop()  # the server may have ended it since: a new one shows the true reason
        try:
            self._connection = self._engine.connect()
            return _begin_on(self._connection)
        except BaseException:
            self._drop()
            raise

    def _end(self, snapshot: Snapshot) -> None:
        try:
            snapshot.commit()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


async def _close_once_open(opening: asyncio.Future[Snapshot]) -> None:
    # the thread continues: the snapshot that it opens must be closed
    await asyncio.wait([opening])
    if opening.exception() is None:
        await opening.result().close()


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Waits for the work, then raises CancelledError if cancelled: the caller may dispose of the engine next."""
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
        return _begin_on(connection)
    except BaseException:
        connection.close()
        raise


async def read_again(read: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Returns the result of a read of a snapshot, which is repeated after PAUSES while failures may be passing."""
    for pause in PAUSES:
        try:
            return await read()
        except DBAPIError as error:
            if not is_passing(error):
                raise
        await asyncio.sleep(pause)
    return await read()


def _begin_on(connection: Connection) -> Snapshot:
    connection.begin()
    try:
        snapshot = Snapshot(connection)
        if snapshot.chains or connection.dialect.name == "sqlite":
            return snapshot
        # PostgreSQL finds tables that `certindex rebuild --into` has switched meanwhile, and a snapshot that was taken
        # before sees no chain in them
        connection.commit()
        connection.begin()
        return Snapshot(connection)
    except (*UNREADABLE, ProfileError) as error:
        raise unreadable("The stored chain, contract or profile", error) from error
