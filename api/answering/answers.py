"""Responses to queries: computed from the database, or cached since it was last in the same state.

An answer is a function of the document, its variables and the revisions of all chains: every commit that can change an
answer raises a revision. A field for which that does not hold marks its context as volatile.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from cachetools import LRUCache
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.answering.admission import LIVE_SNAPSHOTS, REQUEST_SNAPSHOTS
from api.answering.workers import Workers
from api.graphql.context import Context
from api.graphql.errors import Damaged, NotReady, Refusal, TimedOut, database_failed
from api.graphql.execution import Prepared, execute_compiled, execute_ordinary, prepare
from api.graphql.inputs.min_block import awaited_of
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness
from api.reading.revisions import Revisions, revisions_of
from api.reading.snapshot import open_snapshot, read_again
from schema.tables.damage import DamagedData

Result = TypeVar("Result")
Charge = Callable[[int], None]
"""Charges a client with the cost of a request. Raises a Refusal if the client has not enough left."""

WAIT_SECONDS = 3.0
"""How long a request waits for the block that it names."""

WORKERS = REQUEST_SNAPSHOTS + LIVE_SNAPSHOTS
"""Threads that compute answers: a request that was admitted never waits for one."""

_to_json = json.JSONEncoder(sort_keys=True).encode

ENTRY_BYTES = 1000
"""Bytes of a cached response besides its texts."""


class Answer(NamedTuple):
    """A response in GraphQL's format, as JSON.

    `errors` is set if the response has no data. `executed` is False if the request was refused before its execution.
    """

    body: bytes
    errors: list[dict[str, Any]] | None = None
    executed: bool = True


class Answers:
    """Answers queries. Belongs to one event loop.

    `errors` counts the errors of responses by code; `cache_results` counts hits and misses of the cache; `fallbacks`
    counts the requests that the compiled executor left to graphql-core, by reason.
    """

    def __init__(
        self,
        engine: Engine,
        schema: Schema,
        watch: ChangeWatch,
        freshness: Freshness,
        *,
        cache_bytes: int,
        max_seconds: float,
    ) -> None:
        self._engine = engine
        self._schema = schema
        self._watch = watch
        self._freshness = freshness
        self._max_seconds = max_seconds
        self._workers = Workers(engine, WORKERS)
        self._under_way: dict[Hashable, asyncio.Event] = {}
        self._kept: LRUCache[Hashable, KeptAnswer] = LRUCache(cache_bytes, lambda kept: kept.bytes)
        self.errors: Counter[str] = Counter()
        self.fallbacks = schema.fallbacks
        self.cache_results: Counter[str] = Counter()

    async def answer(self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge) -> Answer:
        """Returns the answer of the database as it is now, or was after this call.

        The client is charged, and a place is taken, only if the database is read. If the request names a block, waits
        until it is indexed, and holds no place meanwhile. Raises Refusal.
        """
        with self.refusing():
            async with asyncio.timeout(self._max_seconds):
                deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
                if self._kept.maxsize <= 0 or request.min_block is not None:
                    return (await self._computed(request, admission, charge, deadline)).answer
                return await self._kept_or_computed(request, admission, charge, deadline)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Raises a Refusal in place of a timeout or an error of the database, and counts it."""
        try:
            with refusing_failures(self._max_seconds):
                yield
        except Refusal as refusal:
            self.errors.update(error["extensions"]["code"] for error in refusal.errors)
            raise

    async def execute(
        self, compiled: Callable[[Context], Result | None] | None, ordinary: Callable[[Context], Awaitable[Result]]
    ) -> Result:
        """Returns what `compiled` makes in a thread, else what `ordinary` makes: each of a snapshot."""
        return await read_again(partial(self._execute, compiled, ordinary))

    async def rehearse(self, request: GraphQLRequest) -> None:
        """Computes an answer without a limit of time, to fill the cache of counts. Raises Refusal."""
        await self.execute(None, partial(self._ordinary, prepare(self._schema, request)))

    async def _execute(
        self, compiled: Callable[[Context], Result | None] | None, ordinary: Callable[[Context], Awaitable[Result]]
    ) -> Result:
        if compiled is not None and self._schema.compiles:
            result = await self._workers.run(lambda snapshot: compiled(Context(snapshot, self._freshness)))
            if result is not None:
                return result
        async with open_snapshot(self._engine) as snapshot:
            return await ordinary(Context(snapshot, self._freshness))

    async def _kept_or_computed(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge, deadline: float
    ) -> Answer:
        variables = _to_json(request.variables) if request.variables else ""
        key = (request.query, request.operation_name, variables)
        kept = await self._find(key)
        if kept is None and key in self._under_way:
            # the same request is being answered: its answer may be recent enough
            await self._under_way[key].wait()
            kept = await self._find(key)
        self.cache_results["miss" if kept is None else "hit"] += 1
        if kept is not None:
            return kept.answer
        with self._announced(key):
            result = await self._computed(request, admission, charge, deadline)
            size = ENTRY_BYTES + len(request.query) + len(variables) + len(result.answer.body)
            if result.lasts and size <= self._kept.maxsize:
                self._kept[key] = KeptAnswer(result.answer, result.revisions, size)
        return result.answer

    async def _find(self, key: Hashable) -> "KeptAnswer | None":
        """Returns the kept answer if it still holds. The database is read only if one is kept."""
        kept = self._kept.get(key)
        return kept if kept is not None and kept.revisions == await self._watch.revisions() else None

    @contextmanager
    def _announced(self, key: Hashable) -> Iterator[None]:
        """Lets others that send the same request wait until this one is answered."""
        if key in self._under_way:
            yield
            return
        answered = self._under_way[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[key]
            answered.set()

    async def _computed(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge, deadline: float
    ) -> "ComputedAnswer":
        prepared = prepare(self._schema, request)
        charge(prepared.price.cost)
        with prepared.operation.span():
            while True:
                async with admission:
                    # a document that may never come again is not worth a plan
                    compiled = partial(self._compiled, prepared) if prepared.is_repeated else None
                    result = await self.execute(compiled, partial(self._ordinary, prepared))
                if isinstance(result, ComputedAnswer):
                    self.errors.update(result.codes)
                    return result
                await self._wait_for_block(result, deadline)

    def _compiled(self, prepared: Prepared, context: Context) -> "ComputedAnswer | AwaitedBlock | None":
        awaited = _awaited(context, prepared)
        if awaited is not None:
            return awaited
        bodies = execute_compiled(self._schema, prepared, context)
        return None if bodies is None else _of_context(Answer(bodies[0]), (), context)

    async def _ordinary(self, prepared: Prepared, context: Context) -> "ComputedAnswer | AwaitedBlock":
        awaited = await context.run(_awaited, context, prepared) if prepared.blocks else None
        if awaited is not None:
            return awaited
        (response,) = await execute_ordinary(self._schema, prepared, context)
        codes = [error["extensions"]["code"] for error in response.get("errors", ())]
        return _of_context(encode(response), codes, context)

    async def _wait_for_block(self, block: "AwaitedBlock", deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._watch.reached(*block)
        except TimeoutError:
            raise NotReady(
                f"Block {block.number} of chain {block.chain_id} was not indexed within {WAIT_SECONDS:g} s. Send the "
                "request again later, or query _meta for the progress of the index."
            ) from None

    async def close(self) -> None:
        """Ends the threads."""
        await self._workers.close()


@contextmanager
def refusing_failures(max_seconds: float) -> Iterator[None]:
    """Raises a Refusal in place of a timeout or an error of the database."""
    try:
        yield
    except TimeoutError:
        raise TimedOut(max_seconds) from None
    except DamagedData as error:
        raise Damaged(str(error)) from error
    except DBAPIError as error:
        raise database_failed(error) from error


class AwaitedBlock(NamedTuple):
    """A block that must be indexed before the request is answered, and the revisions that were read without it."""

    seen: Revisions
    chain_id: int
    number: int


class ComputedAnswer(NamedTuple):
    """An answer that was read from the database. If it `lasts`, it holds as long as the revisions do."""

    answer: Answer
    codes: Sequence[str]
    lasts: bool
    revisions: Revisions


class KeptAnswer(NamedTuple):
    answer: Answer
    revisions: Revisions
    bytes: int


def _awaited(context: Context, prepared: Prepared) -> AwaitedBlock | None:
    """Returns the block that the request waits for. Raises BadUserInput."""
    awaited = awaited_of(context.snapshot, prepared.blocks) if prepared.blocks else None
    return None if awaited is None else AwaitedBlock(revisions_of(context.snapshot.chains.values()), *awaited)


def _of_context(answer: Answer, codes: Sequence[str], context: Context) -> ComputedAnswer:
    revisions = revisions_of(context.snapshot.chains.values())
    return ComputedAnswer(answer, codes, not codes and not context.is_volatile, revisions)


def encode(response: dict[str, Any]) -> Answer:
    """Returns the answer of a response in GraphQL's format."""
    failed = response.get("data") is None and "errors" in response
    return Answer(msgspec.json.encode(response), response["errors"] if failed else None, "data" in response)


def refused(refusal: Refusal) -> Answer:
    """Returns the answer to a request that was refused before its execution."""
    return encode({"errors": refusal.errors})
