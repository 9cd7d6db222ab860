"""What is answered over a connection that stays: queries once, subscriptions as long as the client listens."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.answering.admission import Slots
from api.answering.answers import Answer, Answers, encode, refused
from api.answering.persisted import Documents
from api.graphql.context import Freshness
from api.graphql.errors import Code, Refusal
from api.graphql.execution import is_subscription, subscribe
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.graphql.subscription_context import Turns
from api.http.rates import Client, Rates
from api.settings import Settings

SNAPSHOTS = 4
"""Open at a time for all that is live, beside those of requests."""

BATCH_BYTES = 1_000_000
"""A batch that has grown so large is sent; the rest of it is read again."""


class TooMany(Exception):
    """No further connection is taken."""


class Live:
    """Answers the operations of WebSockets and event streams. Belongs to one event loop."""

    def __init__(
        self, engine: Engine, settings: Settings, schema: Schema, documents: Documents, answers: Answers
    ) -> None:
        self.settings = settings
        self.rates = Rates(settings)
        self.watch = answers.watch
        self._engine = engine
        self._schema = schema
        self._documents = documents
        self._answers = answers
        self._freshness = Freshness(settings.max_lag_seconds, settings.poll_stale_seconds)
        self.slots = Slots(SNAPSHOTS)
        self.connections = 0
        self.subscriptions = 0

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Counts a connection for as long as it lives. Raises TooMany."""
        if self.connections >= self.settings.max_connections:
            raise TooMany
        self.connections += 1
        try:
            yield
        finally:
            self.connections -= 1

    async def answers(self, asked: GraphQLRequest, client: Client) -> AsyncGenerator[list[Answer], None]:
        """Yields answers in batches. Nothing is open while a batch is out: it may be sent as slowly as it takes."""
        try:
            asked = self._documents.resolve(asked)
            if not is_subscription(asked, self.settings.max_tokens):
                yield [await self._answer(asked, client)]
                return
            self.subscriptions += 1
            try:
                async with asyncio.timeout(None) as deadline:
                    async with aclosing(self._turns(asked, client, deadline)) as batches:
                        async for batch in batches:
                            yield batch
            finally:
                self.subscriptions -= 1
        except TimeoutError:
            seconds = self.settings.max_seconds
            yield [_refused(f"The answer took more than {seconds:g} s and was given up: ask for less.", Code.TIMEOUT)]
        except DBAPIError:
            yield [_refused("The database cannot be read; /readyz says why.", Code.NOT_READY)]
        except Refusal as error:
            yield [refused(error)]

    async def _answer(self, asked: GraphQLRequest, client: Client) -> Answer:
        async with asyncio.timeout(self.settings.max_seconds):
            return await self._answers.answer(asked, self.slots, client.take_cost)

    async def _turns(
        self, asked: GraphQLRequest, client: Client, deadline: asyncio.Timeout
    ) -> AsyncGenerator[list[Answer], None]:
        turns = Turns(self._engine, self.slots, self.watch, deadline, self.settings.max_seconds)
        try:
            context = await turns.context(self._freshness)
            context.take_cost = client.take_cost
            batch: list[Answer] = []
            async with aclosing(subscribe(self._schema, asked, context)) as answers:
                async for answer in answers:
                    batch.append(encode(answer))
                    failed = batch[-1].errors is not None
                    if failed or not turns.left or sum(len(one.body) for one in batch) >= BATCH_BYTES:
                        await turns.end()
                        yield batch
                        batch = []
                    if failed:
                        return
        finally:
            await turns.end()


def _refused(message: str, code: Code) -> Answer:
    return encode({"errors": [{"message": message, "extensions": {"code": code.value}}]})
