"""Query runners: how resolvers read the database. A resolver awaits a loader, a `read`, or a `gather` of several.

There are two. `LoopQueryRunner` serves graphql-core, which runs resolvers on the event loop: each statement is sent to
a thread. `ThreadQueryRunner` serves the compiled executor, which makes a whole response in one thread: a statement is a
plain call, without event loop, tasks or hand-over. A resolver that awaits a loader is suspended; when all resolvers
are, each loader reads its new keys in one statement, and they continue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar, TypeVarTuple

from sqlalchemy import Connection
from strawberry.dataloader import DataLoader

from api.reading.snapshot import Snapshot

KeyT = TypeVar("KeyT", bound=Hashable)
RowT = TypeVar("RowT")
KeyT_contra = TypeVar("KeyT_contra", bound=Hashable, contravariant=True)
RowT_co = TypeVar("RowT_co", covariant=True)
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Query = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Loader(Protocol[KeyT_contra, RowT_co]):
    """Collects keys and reads each of them once, together with those of other resolvers."""

    def load(self, key: KeyT_contra) -> Awaitable[RowT_co]:
        """Returns the row of a key. The key is collected by the call, not only when the result is awaited."""
        ...


class QueryRunner(Protocol):
    """Runs queries on one snapshot."""

    snapshot: Snapshot

    def loader(self, query: Query) -> Loader[Any, Any]:
        """Returns a loader of the query's result for each of its keys."""
        ...

    async def read(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        """Returns the result of the query."""
        ...

    async def gather(self, *awaitables: Awaitable[Result]) -> list[Result]:
        """Returns all results; the awaitables' keys of one loader are read in one statement."""
        ...


# On the event loop


class LoopQueryRunner:
    """Runs queries in threads, for resolvers on an event loop."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def loader(self, query: Query) -> Loader[Any, Any]:
        return _LoopLoader(self.snapshot, query)

    async def read(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        return await self.snapshot.read(query, *args)

    async def gather(self, *awaitables: Awaitable[Result]) -> list[Result]:
        return list(await asyncio.gather(*awaitables))


class _LoopLoader(Generic[KeyT, RowT]):
    def __init__(self, snapshot: Snapshot, query: Query) -> None:
        async def load(keys: list[KeyT]) -> Sequence[RowT]:
            return await snapshot.read(query, keys)

        self._loader: DataLoader[KeyT, RowT] = DataLoader(load)

    def load(self, key: KeyT) -> Awaitable[RowT]:
        loading = asyncio.ensure_future(self._loader.load(key))
        # several resolvers await one future: if one of them is cancelled, the others must still get the row
        shielded = asyncio.shield(loading)
        for future in (loading, shielded):
            # an exception counts as retrieved, even if all resolvers were cancelled, or failed before they awaited it
            future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return shielded


# In a thread


class ThreadQueryRunner:
    """Runs queries by plain calls, for resolvers that `run` drives. It belongs to one thread."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._waiting: list[_ThreadLoader[Any, Any]] = []

    def loader(self, query: Query) -> Loader[Any, Any]:
        return _ThreadLoader(query, self._waiting)

    async def read(self, query: Callable[[Connection, *Arguments], Result], *args: *Arguments) -> Result:
        return self.snapshot.read_now(query, *args)

    async def gather(self, *awaitables: Awaitable[Result]) -> list[Result]:
        return await _Gather(awaitables)

    def run(self, awaitables: Sequence[Awaitable[Result]]) -> list[Result]:
        """Returns the results of coroutines that await only this runner and its loaders.

        Raises what the first coroutine to fail raises.
        """
        running = _Gather(awaitables).__await__()
        while True:
            try:
                next(running)
            except StopIteration as ended:
                results: list[Result] = ended.value
                return results
            if not self._waiting:
                running.close()
                raise RuntimeError("a resolver awaits something other than its query runner")
            for loader in self._waiting:
                loader.fetch(self.snapshot)
            self._waiting.clear()


class _Promise(Generic[RowT]):
    """The row of a key, once it is read."""

    __slots__ = ("is_kept", "row")

    row: RowT

    def __init__(self) -> None:
        self.is_kept = False

    def __await__(self) -> Generator[None, None, RowT]:
        while not self.is_kept:
            yield
        return self.row


class _ThreadLoader(Generic[KeyT, RowT]):
    def __init__(self, query: Query, waiting: "list[_ThreadLoader[Any, Any]]") -> None:
        self._query = query
        self._waiting = waiting
        self._promises: dict[KeyT, _Promise[RowT]] = {}
        self._new: dict[KeyT, _Promise[RowT]] = {}

    def load(self, key: KeyT) -> Awaitable[RowT]:
        promise = self._promises.get(key)
        if promise is None:
            if not self._new:
                self._waiting.append(self)
            promise = self._promises[key] = self._new[key] = _Promise()
        return promise

    def fetch(self, snapshot: Snapshot) -> None:
        """Reads the keys that were loaded since the last call."""
        new, self._new = self._new, {}
        rows = snapshot.read_now(self._query, list(new))
        for promise, row in zip(new.values(), rows, strict=True):
            promise.row = row
            promise.is_kept = True


class _Gather(Generic[Result]):
    """Runs awaitables in turn, each until it waits."""

    def __init__(self, awaitables: Sequence[Awaitable[Result]]) -> None:
        self._awaitables = awaitables

    def __await__(self) -> Generator[None, None, list[Result]]:
        running = {place: awaitable.__await__() for place, awaitable in enumerate(self._awaitables)}
        results: dict[int, Result] = {}
        try:
            while running:
                for place, coroutine in list(running.items()):
                    try:
                        next(coroutine)
                    except StopIteration as ended:
                        results[place] = ended.value
                        del running[place]
                if running:
                    yield
        finally:
            for coroutine in running.values():
                coroutine.close()
        return [results[place] for place in range(len(self._awaitables))]
