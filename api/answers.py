"""The answer to a query: read from the database, or kept from when the database was the same.

An answer is a function of the document, its variables and the revisions of all chains, for every commit that can change
an answer raises one. What is not, tells its context that it is volatile.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from sqlalchemy import Engine

from api.graphql.context import Context, Freshness
from api.graphql.errors import NotReady, Refusal
from api.graphql.min_block import awaited_of
from api.graphql.schema import Schema, execute
from api.pulse import Pulse
from api.requests import GraphQLRequest
from api.revisions import Revisions, revisions_of
from api.settings import Settings
from api.snapshot import open_snapshot

WAIT_SECONDS = 3.0
"""How long a request waits for a block that it wants indexed."""

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
        self._revisions = Revisions(engine)
        self.pulse = Pulse(engine)
        self.errors: Counter[str] = Counter()
        self.looked_up: Counter[str] = Counter()
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
                await self.pulse.reached(*awaited)
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
        if self._kept.maxsize > 0 and asked.min_block is None:
            kept = self._kept.get((question, await self._revisions.now()))
            self.looked_up["miss" if kept is None else "hit"] += 1
            if kept is not None:
                return kept.answer
        async with slots, open_snapshot(self._engine) as snapshot:
            context = Context(snapshot, self._freshness, take_cost=charge)
            if asked.min_block is not None:
                context.awaited = awaited_of(snapshot.chains, asked.min_block)
            answer = {} if context.awaited else await execute(self._schema, asked, context)
        if context.awaited is not None:
            return Awaited({id: chain.revision for id, chain in snapshot.chains.items()}, *context.awaited)
        self.errors.update(error["extensions"]["code"] for error in answer.get("errors", ()))
        encoded = encode(answer)
        if "errors" not in answer and not context.is_volatile:
            size = ENTRY_BYTES + len(asked.query) + len(variables) + len(encoded.body)
            if size <= self._kept.maxsize:
                self._kept[question, revisions_of(snapshot.chains.values())] = Kept(encoded, size)
        return encoded

    async def close(self) -> None:
        """Lets go of the database."""
        await self.pulse.close()
        await self._revisions.close()


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

    seen: Mapping[int, int]
    chain_id: int
    number: int


class Kept(NamedTuple):
    answer: Answer
    bytes: int


def encode(answer: dict[str, Any]) -> Answer:
    """Returns an answer of GraphQL's response format."""
    failed = answer.get("data") is None and "errors" in answer
    return Answer(msgspec.json.encode(answer), answer["errors"] if failed else None, "data" in answer)


def refused(refusal: Refusal) -> Answer:
    """Returns the answer to a request that was refused before it was executed."""
    return encode({"errors": [{"message": str(refusal), "extensions": refusal.extensions}]})
