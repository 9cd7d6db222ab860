"""Operations over an open connection: a query has one response, a subscription one for each batch of messages."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from api.answering.admission import Admission
from api.answering.answers import Answer, Answers, Charge, encode, refused
from api.answering.persisted import DocumentSource
from api.graphql.context import Context
from api.graphql.errors import NotReady, Refusal
from api.graphql.execution import Prepared, execute_compiled, execute_ordinary, prepare
from api.graphql.plan.fields import SOURCE
from api.graphql.request import GraphQLRequest
from api.graphql.roots.subscriptions import Batch
from api.graphql.schema import Schema
from api.reading.change_watch import ChangeWatch
from api.reading.revisions import Revisions, revisions_of

MAX_MESSAGES = 50
"""Of a batch."""


class TooManyConnections(NotReady):
    """The service has as many connections as it may have."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__("Too many connections: try again later.")


class Operations:
    """Executes the operations of WebSockets and event streams. Belongs to one event loop."""

    def __init__(
        self,
        schema: Schema,
        watch: ChangeWatch,
        documents: DocumentSource,
        answers: Answers,
        admission: Admission,
        *,
        max_seconds: float,
        max_connections: int,
    ) -> None:
        self._schema = schema
        self._watch = watch
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

    async def execute(
        self, request: GraphQLRequest, charge: Charge, resume: "ResumePoint | None" = None
    ) -> AsyncGenerator[list[Answer], None]:
        """Yields answers in batches. No snapshot is open while a batch is out: sending it may take long.

        The first batch of a subscription may be empty: all that is indexed after it was yielded is in later batches.
        `resume` is kept up to date while a subscription waits.
        """
        try:
            request = self._documents.resolve(request)
            prepared = self._subscription(request)
            if prepared is None:
                yield [await self._answers.answer(request, self._admission, charge)]
                return
            charge(prepared.price.cost)
            with self._counted():
                async with aclosing(self._batches(prepared, resume or ResumePoint())) as batches:
                    async for batch in batches:
                        yield batch
        except Refusal as refusal:
            yield [refused(refusal)]

    def _subscription(self, request: GraphQLRequest) -> Prepared | None:
        """Returns the subscription that a request starts, None if it is a query. Raises Refusal."""
        with self._answers.refusing():
            prepared = prepare(self._schema, request, live=True)
        return prepared if prepared.operation.is_subscription else None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.subscriptions += 1
        try:
            yield
        finally:
            self.subscriptions -= 1

    async def _batches(self, prepared: Prepared, resume: "ResumePoint") -> AsyncGenerator[list[Answer], None]:
        place = None
        while True:
            with self._answers.refusing(), prepared.operation.span():
                batch = await self._next(prepared, place)
            if batch.answers or place is None:
                yield batch.answers
            if any(answer.errors for answer in batch.answers):
                return
            place = batch.place
            if not batch.more:
                resume.cursor = batch.cursor
                await self._watch.changed(batch.revisions)
                resume.cursor = None

    async def _next(self, prepared: Prepared, place: Any) -> "AnsweredBatch":
        """Returns the batch behind a place, read from one snapshot."""
        ((field, arguments),) = prepared.operation.root_fields(prepared.values)
        # a batch costs no more than a query may
        size = max(1, min(MAX_MESSAGES, self._schema.limits.cost // prepared.price.cost))
        batch: Batch

        def messages(context: Context) -> Sequence[Any]:
            nonlocal batch
            batch = field.metadata[SOURCE](context, place, size, **arguments)
            return batch.messages

        def compiled(context: Context) -> AnsweredBatch | None:
            bodies = execute_compiled(self._schema, prepared, context, messages)
            return None if bodies is None else _of_context(list(map(Answer, bodies)), batch, context)

        async def ordinary(context: Context) -> AnsweredBatch:
            responses = await execute_ordinary(self._schema, prepared, context, messages)
            return _of_context(list(map(encode, responses)), batch, context)

        async with self._admission, asyncio.timeout(self._max_seconds):
            return await self._answers.execute(compiled, ordinary)


@dataclass
class ResumePoint:
    """The cursor from which a client resumes a subscription that has sent all it had, None while it sends."""

    cursor: str | None = None


class AnsweredBatch(NamedTuple):
    """The answers of a batch up to the first without data, the place behind it, and the revisions that it is of."""

    answers: list[Answer]
    place: Any
    more: bool
    cursor: str | None
    revisions: Revisions


def _of_context(answers: list[Answer], batch: Batch, context: Context) -> AnsweredBatch:
    failed = next((place for place, answer in enumerate(answers) if answer.errors), len(answers))
    revisions = revisions_of(context.snapshot.chains.values())
    return AnsweredBatch(answers[: failed + 1], batch.place, batch.more, batch.cursor, revisions)
