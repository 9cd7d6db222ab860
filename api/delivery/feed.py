"""The change feed as a subscription reads it: pages of `changes`, and the cursors where it starts."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from graphql import FragmentDefinitionNode, GraphQLError, OperationDefinitionNode, parse
from msgspec import Raw, Struct

from api.answering.answers import Answer, Answers
from api.delivery.subscriptions import Subscription
from api.graphql.context import Context
from api.graphql.errors import BadUserInput, NotReady, Refusal
from api.graphql.execution import prepare
from api.graphql.request import GraphQLRequest
from api.graphql.roots.changes import Feed, cursors_of, feed_of, newest_position
from api.graphql.schema import Schema
from schema.program.settings import SettingsError

FOLDER = Path(__file__).parent
QUERY = (FOLDER / "changes.graphql").read_text("utf-8")
FIELDS = (FOLDER / "event.graphql").read_text("utf-8")
MAX_SECONDS = 60
"""Seconds that one page may take: more than a response may, since no client waits for it."""


class Block(Struct, rename="camel"):
    chain_id: str


class Device(Struct):
    token_did: str = msgspec.field(name="tokenDID")


class Envelope(Struct, rename="camel"):
    """What the attributes of a message are made of, whatever fields the subscription selects."""

    id: str
    kind: str
    record_time: str
    contract: str
    block: Block
    device: Device | None


class Change(Struct, rename="camel"):
    """A message of the feed. `event` is the JSON of the selected fields."""

    cursor: str
    retracted: bool
    envelope: Envelope
    event: Raw


class Page(Struct, rename="camel"):
    messages: list[Change]
    end_cursor: str
    has_more: bool


class _Data(Struct):
    changes: Page


class _Response(Struct):
    data: _Data


class CursorRefused(Exception):
    """The feed does not go on from the cursor of a subscription. The message states the reason and the way out."""


class EventFeed:
    """The feed of one subscription. Raises SettingsError if its filter or its fields are wrong."""

    def __init__(self, schema: Schema, answers: Answers, subscription: Subscription) -> None:
        self._schema = schema
        self._answers = answers
        self._admission = asyncio.Semaphore()  # a subscription reads one page at a time
        self._name = subscription.name
        self._finality = subscription.finality
        self.filter = subscription.filter
        self._query = self._document(subscription.fields)
        self._feed = self._feed_of(subscription.filter)

    async def page(self, after: str) -> Page:
        """Returns the page of the feed behind a cursor. Raises CursorRefused, Refusal."""
        request = self._request(self._query, self.filter, after)
        answer = await self._answers.answer(request, self._admission, lambda cost: None)
        refuse(answer)
        return msgspec.json.decode(answer.body, type=_Response).data.changes

    async def start(self, *, at_beginning: bool) -> str:
        """Returns the cursor before the first event, or behind the newest one."""

        def cursor(context: Context) -> str:
            position = {} if at_beginning else newest_position(context, self._feed)
            return cursors_of(context, self._feed).write(position)

        return await self._read(cursor)

    async def translated(self, cursor: str, filter: Mapping[str, Any]) -> str:
        """Returns the cursor at the same place of this feed as a cursor of another filter. Raises CursorRefused."""
        other = self._feed_of(filter)

        def translate(context: Context) -> str:
            return cursors_of(context, self._feed).write(cursors_of(context, other).read(cursor))

        try:
            return await self._read(translate)
        except BadUserInput as error:
            raise CursorRefused(str(error)) from None

    async def _read(self, work: Callable[[Context], str]) -> str:
        """Returns the result of work on the present state of the index. Raises Refusal."""

        async def work_here(context: Context) -> str:
            return await context.run(work, context)

        with self._answers.refusing():
            async with asyncio.timeout(MAX_SECONDS), self._admission:
                return await self._answers.execute(work, work_here)

    def _request(self, query: str, filter: Mapping[str, Any], after: str | None = None) -> GraphQLRequest:
        return GraphQLRequest(query, {"after": after, "filter": filter, "finality": self._finality})

    def _document(self, fields: str | None) -> str:
        """Returns the query. Raises SettingsError if the selected fields are wrong."""
        fragment = FIELDS if fields is None else "fragment Delivered on LifecycleEvent {\n" + fields + "\n}"
        query = f"{QUERY}\n{fragment}"
        try:
            kinds = [type(definition) for definition in parse(query).definitions]
            if kinds != [OperationDefinitionNode, FragmentDefinitionNode]:
                raise self._wrong("fields", "it is more than a selection of fields")
            prepare(self._schema, self._request(query, {}))
        except (GraphQLError, Refusal) as error:
            raise self._wrong("fields", str(getattr(error, "message", error))) from None
        return query

    def _feed_of(self, filter: Mapping[str, Any]) -> Feed:
        """Returns the feed that a filter selects. Raises SettingsError."""
        try:
            prepared = prepare(self._schema, self._request(self._query, filter))
            ((_, arguments),) = prepared.operation.root_fields(prepared.values)
            return feed_of(arguments["filter_by"], arguments["finality"])
        except Refusal as error:
            raise self._wrong("filter", str(error)) from None

    def _wrong(self, key: str, message: str) -> SettingsError:
        return SettingsError(f'subscription "{self._name}": {key}: {message}')


def refuse(answer: Answer) -> None:
    """Raises the error of an answer without data: CursorRefused, NotReady, or Refusal."""
    if answer.errors is None:
        return
    error = answer.errors[0]
    extensions, message = error["extensions"], error["message"]
    if extensions["code"] == "BAD_USER_INPUT":
        raise CursorRefused(message)
    if extensions["code"] in ("NOT_READY", "TIMEOUT"):
        raise NotReady(message)
    raise Refusal(message)
