"""How resolvers read the database: whatever runs them, they await a loader, a `read`, or several `together`.

Two things run them. graphql-core runs them on the event loop, where SQL must not be waited for: it is sent to a thread,
statement by statement. The compiled executor runs all of an answer in one thread, where SQL is a plain call: no loop,
no tasks, no hand-over. A resolver that has asked a loader is suspended; when all are, what they asked is read, one
statement a loader, and they go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from strawberry.dataloader import DataLoader

from api.reading.snapshot import Snapshot

KeyT = TypeVar("KeyT", bound=Hashable)
RowT = TypeVar("RowT")
KeyT_contra = TypeVar("KeyT_contra", bound=Hashable, contravariant=True)
RowT_co = TypeVar("RowT_co", covariant=True)
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Query = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Loader(Protocol[KeyT_contra, RowT_co]):
    """Collects what is asked for at about the same time, and reads each thing once."""

    def load(self, key: KeyT_contra) -> Awaitable[RowT_co]:
        """Returns what the key names. It is asked for at once, whenever it is awaited."""
        ...


class Reading(Protocol):
    """A way to read one snapshot."""

    snapshot: Snapshot

    def loader(self, rows: Query) -> Loader[Any, Any]:
        """Returns a loader of what a query finds for each of its keys."""
        ...

    async def read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Returns what the query reads."""
        ...

    async def together(self, *waited: Awaitable[Result]) -> list[Result]:
        """Returns all results: what they ask of one loader is read at once."""
        ...


# On the event loop


class ReadingOnLoop:
    """Reads in threads, for resolvers on an event loop."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def loader(self, rows: Query) -> Loader[Any, Any]:
        return _LoaderOnLoop(self.snapshot, rows)

    async def read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        return await self.snapshot.read(query, *args, **kwargs)

    async def together(self, *waited: Awaitable[Result]) -> list[Result]:
        return list(await asyncio.gather(*waited))


class _LoaderOnLoop(Generic[KeyT, RowT]):
    def __init__(self, snapshot: Snapshot, rows: Query) -> None:
        async def load(keys: list[KeyT]) -> Sequence[RowT]:
            return await snapshot.read(rows, keys)

        self._loader: DataLoader[KeyT, RowT] = DataLoader(load)

    def load(self, key: KeyT) -> Awaitable[RowT]:
        loading = asyncio.ensure_future(self._loader.load(key))
        # those who asked may all be gone
        loading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        # several fields wait for one future: one that is cancelled must not cancel it for the others
        return asyncio.shield(loading)


# In a thread


class ReadingInThread:
    """Reads by plain calls, for resolvers that `complete` runs. Belongs to one thread."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._asked: list[_LoaderInThread[Any, Any]] = []

    def loader(self, rows: Query) -> Loader[Any, Any]:
        return _LoaderInThread(rows, self._asked)

    async def read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        return self.snapshot.read_now(query, *args, **kwargs)

    async def together(self, *waited: Awaitable[Result]) -> list[Result]:
        return await _Together(waited)

    def complete(self, waited: Sequence[Awaitable[Result]]) -> list[Result]:
        """Returns the results of coroutines that wait for nothing but this. Raises what the first of them raises."""
        running = _Together(waited).__await__()
        while True:
            try:
                next(running)
            except StopIteration as ended:
                results: list[Result] = ended.value
                return results
            if not self._asked:
                running.close()
                raise RuntimeError("a resolver waits for something that is not read here")
            for loader in self._asked:
                loader.fetch(self.snapshot)
            self._asked.clear()


class _Promise(Generic[RowT]):
    """What a key names, once it is read."""

    __slots__ = ("is_kept", "row")

    row: RowT

    def __init__(self) -> None:
        self.is_kept = False

    def __await__(self) -> Generator[None, None, RowT]:
        while not self.is_kept:
            yield
        return self.row


class _LoaderInThread(Generic[KeyT, RowT]):
    def __init__(self, rows: Query, asked: "list[_LoaderInThread[Any, Any]]") -> None:
        self._rows = rows
        self._asked = asked
        self._promises: dict[KeyT, _Promise[RowT]] = {}
        self._new: dict[KeyT, _Promise[RowT]] = {}

    def load(self, key: KeyT) -> Awaitable[RowT]:
        promise = self._promises.get(key)
        if promise is None:
            if not self._new:
                self._asked.append(self)
            promise = self._promises[key] = self._new[key] = _Promise()
        return promise

    def fetch(self, snapshot: Snapshot) -> None:
        """Reads what was asked for since the last time."""
        new, self._new = self._new, {}
        found = snapshot.read_now(self._rows, list(new))
        for promise, row in zip(new.values(), found, strict=True):
            promise.row = row
            promise.is_kept = True


class _Together(Generic[Result]):
    """Runs several by turns, each until it waits."""

    def __init__(self, waited: Sequence[Awaitable[Result]]) -> None:
        self._waited = waited

    def __await__(self) -> Generator[None, None, list[Result]]:
        running = {place: each.__await__() for place, each in enumerate(self._waited)}
        results: dict[int, Result] = {}
        try:
            while running:
                for place, each in list(running.items()):
                    try:
                        next(each)
                    except StopIteration as ended:
                        results[place] = ended.value
                        del running[place]
                if running:
                    yield
        finally:
            for each in running.values():
                each.close()
        return [results[place] for place in range(len(self._waited))]
