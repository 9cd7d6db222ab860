"""Responses to queries: computed from the database, or cached since it was last in the same state.

An answer is a function of the document, its variables and the revisions of all chains: every commit that can change an
answer raises a revision. A field for which that does not hold marks its context as volatile.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.answering.admission import LIVE_SNAPSHOTS, REQUEST_SNAPSHOTS
from api.answering.workers import Workers
from api.graphql.context import Context
from api.graphql.errors import Damaged, NotReady, Refusal, TimedOut, database_failed
from api.graphql.execution import execute_compiled, execute_ordinary, find_validated
from api.graphql.inputs.min_block import awaited_of
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness
from api.reading.revisions import Revisions, revisions_of
from api.reading.snapshot import Snapshot, open_snapshot, read_again
from schema.tables.damage import DamagedData
from schema.tables.postgresql import is_passing

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
        charge = once(charge)
        with refusing_failures(self._max_seconds):
            async with asyncio.timeout(self._max_seconds):
                deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
                while True:
                    result = await self._kept_or_computed(request, admission, charge)
                    if isinstance(result, Answer):
                        return result
                    await self._wait_for_block(result, deadline)

    async def _wait_for_block(self, block: "AwaitedBlock", deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._watch.reached(*block)
        except TimeoutError:
            raise NotReady(
                f"Block {block.number} of chain {block.chain_id} was not indexed within {WAIT_SECONDS:g} s. Send the "
                "request again later, or query _meta for the progress of the index."
            ) from None

    async def _kept_or_computed(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge
    ) -> "Answer | AwaitedBlock":
        if self._kept.maxsize <= 0 or request.min_block is not None:
            result = await self._compute(request, admission, charge)
            return result if isinstance(result, AwaitedBlock) else result.answer
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
            result = await self._compute(request, admission, charge)
            if isinstance(result, AwaitedBlock):
                return result
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

    async def _compute(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge
    ) -> "ComputedAnswer | AwaitedBlock":
        async def compute() -> ComputedAnswer | AwaitedBlock:
            compiled = await self._compiled(request, admission, charge)
            return compiled or await self._ordinary(request, admission, charge)

        result = await read_again(compute)
        if isinstance(result, ComputedAnswer):
            self.errors.update(result.codes)
        return result

    async def _compiled(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge
    ) -> "ComputedAnswer | AwaitedBlock | None":
        """Returns the answer of the compiled executor, None if it has none."""
        ready = find_validated(self._schema, request)
        if ready is None:
            return None

        def compute(snapshot: Snapshot) -> ComputedAnswer | AwaitedBlock | None:
            context = Context(snapshot, self._freshness)
            _require_block(request, context)
            if context.awaited is not None:
                return _awaited_block(context)
            body = execute_compiled(self._schema, ready, request, context)
            return None if body is None else _computed(Answer(body), (), context)

        try:
            charge(ready.price.cost)
        except Refusal:
            return None  # graphql-core charges again, and answers with the refusal
        async with admission:
            return await self._workers.run(compute)

    async def _ordinary(
        self, request: GraphQLRequest, admission: asyncio.Semaphore, charge: Charge
    ) -> "ComputedAnswer | AwaitedBlock":
        """Returns the answer of graphql-core."""

        @asynccontextmanager
        async def open_reading(context: Context) -> AsyncIterator[None]:
            async with admission, AsyncExitStack() as stack:
                try:
                    snapshot = await stack.enter_async_context(open_snapshot(self._engine))
                except DBAPIError as error:
                    failures.append(error)
                    raise database_failed(error) from error
                context.read_from(snapshot)
                _require_block(request, context)
                if context.awaited is not None:
                    raise NotReady("A block is not indexed yet.")
                yield

        failures: list[DBAPIError] = []
        context = Context(None, self._freshness, charge=charge, open_snapshot=open_reading)
        response = await execute_ordinary(self._schema, request, context)
        if context.is_open and context.snapshot.failure is not None:
            failures.append(context.snapshot.failure)
        if failures and is_passing(failures[0]):
            raise failures[0]  # graphql-core has made errors of it
        return _awaited_block(context) if context.awaited is not None else _answer_of(response, context)

    async def close(self) -> None:
        """Ends the threads."""
        await self._workers.close()


def once(charge: Charge) -> Charge:
    """Returns a function that charges until it has succeeded once: a request that is executed again has paid."""
    is_paid = False

    def charge_once(cost: int) -> None:
        nonlocal is_paid
        if not is_paid:
            charge(cost)
            is_paid = True

    return charge_once


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


def _require_block(request: GraphQLRequest, context: Context) -> None:
    """Sets `context.awaited` if the block that the request names is not indexed. Raises BadUserInput."""
    if request.min_block is not None:
        context.awaited = awaited_of(context.snapshot, request.min_block)


def _awaited_block(context: Context) -> AwaitedBlock:
    assert context.awaited is not None  # the caller has checked
    return AwaitedBlock(revisions_of(context.snapshot.chains.values()), *context.awaited)


def _answer_of(response: dict[str, Any], context: Context) -> ComputedAnswer:
    codes = [error["extensions"]["code"] for error in response.get("errors", ())]
    return _computed(encode(response), codes, context)


def _computed(answer: Answer, codes: Sequence[str], context: Context) -> ComputedAnswer:
    revisions = revisions_of(context.snapshot.chains.values()) if context.is_open else ()
    return ComputedAnswer(answer, codes, not codes and not context.is_volatile, revisions)


def encode(response: dict[str, Any]) -> Answer:
    """Returns the answer of a response in GraphQL's format."""
    failed = response.get("data") is None and "errors" in response
    return Answer(msgspec.json.encode(response), response["errors"] if failed else None, "data" in response)


def refused(refusal: Refusal) -> Answer:
    """Returns the answer to a request that was refused before its execution."""
    return encode({"errors": [{"message": str(refusal), "extensions": refusal.extensions}]})
