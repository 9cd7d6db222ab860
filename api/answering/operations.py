"""Operations over a connection that stays open: a query has one answer, a subscription as many as the client reads."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from sqlalchemy import Engine

from api.answering.admission import Admission
from api.answering.answers import Answer, Answers, Charge, encode, once, refused, refusing_failures
from api.answering.persisted import DocumentSource
from api.graphql.errors import NotReady, Refusal
from api.graphql.execution import is_subscription, subscribe
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.graphql.subscription_context import SubscriptionContext
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness

BATCH_BYTES = 1_000_000
"""A batch that has grown so large is sent. Its other messages are read again, in the next snapshot."""


class TooManyConnections(NotReady):
    """The service has as many connections as it may have."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__("Too many connections: try again later.")

    @property
    def extensions(self) -> dict[str, Any]:
        return {**super().extensions, "retryAfter": self.retry_after}


class Operations:
    """Executes the operations of WebSockets and event streams. Belongs to one event loop."""

    def __init__(
        self,
        engine: Engine,
        schema: Schema,
        watch: ChangeWatch,
        freshness: Freshness,
        documents: DocumentSource,
        answers: Answers,
        admission: Admission,
        *,
        max_seconds: float,
        max_connections: int,
    ) -> None:
        self._engine = engine
        self._schema = schema
        self._watch = watch
        self._freshness = freshness
        self._documents = documents
        self._answers = answers
        self._admission = admission
        self._max_seconds = max_seconds
        self._max_connections = max_connections
        self.connections = 0
        self.subscriptions = 0

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Counts a connection while it is open. Raises TooManyConnections."""
        if self.connections >= self._max_connections:
            raise TooManyConnections
        self.connections += 1
        try:
            yield
        finally:
            self.connections -= 1

    async def execute(self, request: GraphQLRequest, charge: Charge) -> AsyncGenerator[list[Answer], None]:
        """Yields answers in batches. No snapshot is open while a batch is out: sending it may take long."""
        try:
            request = self._documents.resolve(request)
            if is_subscription(request, self._schema.limits.tokens):
                with refusing_failures(self._max_seconds):
                    async with aclosing(self._subscribe(request, charge)) as batches:
                        async for batch in batches:
                            yield batch
            else:
                yield [await self._answers.answer(request, self._admission, charge)]
        except Refusal as refusal:
            yield [refused(refusal)]

    async def _subscribe(self, request: GraphQLRequest, charge: Charge) -> AsyncGenerator[list[Answer], None]:
        self.subscriptions += 1
        try:
            async with asyncio.timeout(None) as deadline:
                context = SubscriptionContext(
                    self._engine,
                    self._admission,
                    self._watch,
                    deadline,
                    self._max_seconds,
                    self._freshness,
                    once(charge),
                )
                try:
                    async with aclosing(self._batches(request, context)) as batches:
                        async for batch in batches:
                            yield batch
                finally:
                    await context.end_batch()
        finally:
            self.subscriptions -= 1

    async def _batches(
        self, request: GraphQLRequest, context: SubscriptionContext
    ) -> AsyncGenerator[list[Answer], None]:
        await context.begin_batch()
        batch: list[Answer] = []
        async with aclosing(subscribe(self._schema, request, context)) as responses:
            async for response in responses:
                batch.append(encode(response))
                failed = batch[-1].errors is not None
                if failed or not context.left or sum(len(answer.body) for answer in batch) >= BATCH_BYTES:
                    await context.end_batch()
                    yield batch
                    batch = []
                if failed:
                    return
