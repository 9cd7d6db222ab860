"""The answer to a query: read from the database, or kept from when the database was the same.

An answer is a function of the document, its variables and the revisions of all chains, for every commit that can change
an answer raises one. What is not, tells its context that it is volatile.
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

from api.answering.workers import Workers
from api.graphql.context import Context, Freshness
from api.graphql.errors import NotReady, Refusal
from api.graphql.execution import execute_compiled, execute_ordinary, find_ready
from api.graphql.inputs.min_block import awaited_of
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.reading.batching import LoopQueryRunner, ThreadQueryRunner
from api.reading.change_watch import ChangeWatch
from api.reading.revisions import Revisions, revisions_of
from api.reading.snapshot import Snapshot, open_snapshot
from api.settings import Settings

WAIT_SECONDS = 3.0
"""How long a request waits for a block that it wants indexed."""

WORKERS = 12
"""Threads that make answers: no fewer than there are slots."""

ENTRY_BYTES = 1000
"""What an entry takes beside its texts."""


class Answer(NamedTuple):
    """An answer as JSON. `errors` where it has no data; `executed` unless it was refused as a whole."""

    body: bytes
    errors: list[dict[str, Any]] | None = None
    executed: bool = True


class Answers:
    """Answers queries. Belongs to one event loop.

    `errors` counts those in answers by their code, `looked_up` the queries that the cache had or had not.
    """

    def __init__(self, engine: Engine, settings: Settings, schema: Schema) -> None:
        self._engine = engine
        self._schema = schema
        self._freshness = Freshness(settings.max_lag_seconds, settings.poll_stale_seconds)
        self.watch = ChangeWatch(engine)
        self.errors: Counter[str] = Counter()
        self.looked_up: Counter[str] = Counter()
        self._workers = Workers(engine, WORKERS)
        self._making: dict[Hashable, asyncio.Event] = {}
        self._kept: LRUCache[Hashable, Kept] = LRUCache(settings.cache_bytes, lambda kept: kept.bytes)

    async def answer(self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]) -> Answer:
        """Returns what the database says, at the earliest as it was at this call.

        To read it, a slot is taken and the cost is charged. A request that wants a block indexed first waits for it,
        and holds nothing meanwhile. Raises NotReady.
        """
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        charge_once = _once(charge)
        while True:
            found = await self._look(asked, slots, charge_once)
            if isinstance(found, Answer):
                return found
            await self._arrival(found, deadline)

    async def _arrival(self, awaited: "Awaited", deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self.watch.reached(*awaited)
        except TimeoutError:
            raise NotReady(
                f"Block {awaited.number} of chain {awaited.chain_id} was not indexed within {WAIT_SECONDS:g} s: ask "
                "again in a moment, or ask _meta how far the index is."
            ) from None

    async def _look(
        self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]
    ) -> "Answer | Awaited":
        variables = json.dumps(asked.variables, sort_keys=True)
        question = (asked.query, asked.operation_name, variables)
        if self._kept.maxsize <= 0 or asked.min_block is not None:
            found = await self._make(asked, slots, charge)
            return found if isinstance(found, Awaited) else found.answer
        kept = await self._find(question)
        if kept is None and question in self._making:
            # somebody asks the same just now: his answer may do
            await self._making[question].wait()
            kept = await self._find(question)
        self.looked_up["miss" if kept is None else "hit"] += 1
        if kept is not None:
            return kept.answer
        with self._noted(question):
            found = await self._make(asked, slots, charge)
            if isinstance(found, Awaited):
                return found
            size = ENTRY_BYTES + len(asked.query) + len(variables) + len(found.answer.body)
            if found.lasts and size <= self._kept.maxsize:
                self._kept[question] = Kept(found.answer, found.revisions, size)
        return found.answer

    async def _find(self, question: Hashable) -> "Kept | None":
        """Returns what is kept and still holds. The database is asked only where something is kept."""
        kept = self._kept.get(question)
        return kept if kept is not None and kept.revisions == await self.watch.revisions() else None

    @contextmanager
    def _noted(self, question: Hashable) -> Iterator[None]:
        """Lets others who ask the same wait until this one is answered."""
        if question in self._making:
            yield
            return
        made = self._making[question] = asyncio.Event()
        try:
            yield
        finally:
            del self._making[question]
            made.set()

    async def _make(
        self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]
    ) -> "Made | Awaited":
        found = await self._compiled(asked, slots, charge) or await self._ordinary(asked, slots, charge)
        if isinstance(found, Made):
            self.errors.update(found.codes)
        return found

    async def _compiled(
        self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]
    ) -> "Made | Awaited | None":
        """Returns the answer of the compiled executor, None where there is none."""
        ready = find_ready(self._schema, asked)
        if ready is None:
            return None

        def make(snapshot: Snapshot) -> Made | Awaited | None:
            context = Context(ThreadQueryRunner(snapshot), self._freshness)
            _await(asked, context)
            if context.awaited is not None:
                return _awaited(context)
            answer = execute_compiled(self._schema, ready, asked, context)
            return None if answer is None else _made(answer, context)

        try:
            charge(ready.priced.cost)
        except Refusal:
            return None
        async with slots:
            return await self._workers.run(make)

    async def _ordinary(
        self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]
    ) -> "Made | Awaited":
        """Returns the answer of graphql-core."""

        @asynccontextmanager
        async def opening(context: Context) -> AsyncIterator[None]:
            async with slots, AsyncExitStack() as stack:
                try:
                    snapshot = await stack.enter_async_context(open_snapshot(self._engine))
                except DBAPIError as error:
                    raise NotReady("The database cannot be read; /readyz says why.") from error
                context.begin(LoopQueryRunner(snapshot))
                _await(asked, context)
                if context.awaited is not None:
                    raise NotReady("A block is not indexed yet.")
                yield

        context = Context(None, self._freshness, take_cost=charge, opening=opening)
        answer = await execute_ordinary(self._schema, asked, context)
        return _awaited(context) if context.awaited is not None else _made(answer, context)

    async def close(self) -> None:
        """Lets go of the database."""
        await self.watch.close()
        await self._workers.close()


def _once(charge: Callable[[int], None]) -> Callable[[int], None]:
    """Returns what charges until it is paid once: a request that is executed again has paid, one refused has not."""
    paid = False

    def charge_once(cost: int) -> None:
        nonlocal paid
        if not paid:
            charge(cost)
            paid = True

    return charge_once


class Awaited(NamedTuple):
    """A block that a request wants indexed, and the revisions that were seen without it."""

    seen: Revisions
    chain_id: int
    number: int


class Made(NamedTuple):
    """An answer from the database. `codes` are those of its errors; it `lasts` while the revisions do."""

    answer: Answer
    codes: Sequence[str]
    lasts: bool
    revisions: Hashable


class Kept(NamedTuple):
    answer: Answer
    revisions: Hashable
    bytes: int


def _await(asked: GraphQLRequest, context: Context) -> None:
    """Notes a block that the request wants indexed first. Raises BadUserInput."""
    if asked.min_block is not None:
        context.awaited = awaited_of(context.snapshot.chains, asked.min_block)


def _awaited(context: Context) -> Awaited:
    assert context.awaited is not None  # or nobody asked
    return Awaited(revisions_of(context.snapshot.chains.values()), *context.awaited)


def _made(answer: dict[str, Any], context: Context) -> Made:
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
    revisions = revisions_of(context.snapshot.chains.values()) if context.is_open else ()
    return Made(encode(answer), codes, not codes and not context.is_volatile, revisions)


def encode(answer: dict[str, Any]) -> Answer:
    """Returns an answer of GraphQL's response format."""
    failed = answer.get("data") is None and "errors" in answer
    return Answer(msgspec.json.encode(answer), answer["errors"] if failed else None, "data" in answer)


def refused(refusal: Refusal) -> Answer:
    """Returns the answer to a request that was refused before it was executed."""
    return encode({"errors": [{"message": str(refusal), "extensions": refusal.extensions}]})
