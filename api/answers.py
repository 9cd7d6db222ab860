"""The answer to a query: read from the database, or kept from when the database was the same.

An answer is a function of the document, its variables and the revisions of all chains, for every commit that can change
an answer raises one. What is not, tells its context that it is volatile.
"""

import asyncio
import json
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from sqlalchemy import Engine

from api.graphql.context import Context, Freshness
from api.graphql.errors import Refusal
from api.graphql.schema import Schema, execute
from api.requests import GraphQLRequest
from api.revisions import Revisions, revisions_of
from api.settings import Settings
from api.snapshot import open_snapshot

ENTRY_BYTES = 1000
"""What an entry takes beside its texts."""


class Answer(NamedTuple):
    """An answer as JSON. `errors` where it has no data; `executed` unless it was refused as a whole."""

    body: bytes
    errors: list[dict[str, Any]] | None = None
    executed: bool = True


class Answers:
    """Answers queries. Belongs to one event loop."""

    def __init__(self, engine: Engine, settings: Settings, schema: Schema) -> None:
        self._engine = engine
        self._schema = schema
        self._freshness = Freshness(settings.max_lag_seconds, settings.poll_stale_seconds)
        self._revisions = Revisions(engine)
        self._kept: LRUCache[Hashable, Kept] = LRUCache(settings.cache_bytes, lambda kept: kept.bytes)

    async def answer(self, asked: GraphQLRequest, slots: asyncio.Semaphore, charge: Callable[[int], None]) -> Answer:
        """Returns what the database says, at the earliest as it was at this call.

        To read it, a slot is taken and the cost is charged.
        """
        variables = json.dumps(asked.variables, sort_keys=True)
        question = (asked.query, asked.operation_name, variables)
        if self._kept.maxsize > 0:
            kept = self._kept.get((question, await self._revisions.now()))
            if kept is not None:
                return kept.answer
        async with slots, open_snapshot(self._engine) as snapshot:
            context = Context(snapshot, self._freshness, take_cost=charge)
            answer = await execute(self._schema, asked, context)
        encoded = encode(answer)
        if "errors" not in answer and not context.is_volatile:
            size = ENTRY_BYTES + len(asked.query) + len(variables) + len(encoded.body)
            if size <= self._kept.maxsize:
                self._kept[question, revisions_of(snapshot.chains.values())] = Kept(encoded, size)
        return encoded

    async def close(self) -> None:
        """Lets go of the database."""
        await self._revisions.close()


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
