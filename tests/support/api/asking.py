"""The API in process: the real schema over a real database, without HTTP."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Engine, event

from api.graphql.context import Context
from api.graphql.errors import Refusal
from api.graphql.execution import execute_compiled, execute_ordinary, prepare
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema, build_schema
from api.reading.snapshot import Snapshot, open_snapshot
from schema.tables.database import connect

SCHEMA = build_schema()
Json = dict[str, Any]


class Api:
    """The API over a database. `statements` are the SQL of the last request.

    Every request is executed twice: the compiled executor must return what graphql-core returns, byte for byte.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = connect(url, read_only=True)
        self.statements: list[str] = []
        self.schema = SCHEMA
        event.listen(self.engine, "before_cursor_execute", self._note)

    async def answer(self, query: str, **variables: Any) -> Json:
        """Returns the whole response: data, errors, extensions."""
        request, now = GraphQLRequest(query, variables), time.time()
        async with open_snapshot(self.engine) as snapshot:
            self.statements, unexpected = [], _unexpected_fallbacks(self.schema)
            answer = await answer_ordinary(self.schema, request, snapshot, now=lambda: now)
            ordinary, self.statements = self.statements, []
            compiled = answer_compiled(self.schema, request, snapshot, now=lambda: now)
        if compiled is None:
            assert "errors" in answer or "__schema" in query or "__type(" in query, query
            if not any(error["extensions"]["code"] in OURS for error in answer.get("errors", ())):
                assert _unexpected_fallbacks(self.schema) == unexpected, query
            self.statements = ordinary
        else:
            assert compiled == msgspec.json.encode(answer)
        return answer

    async def ask(self, query: str, **variables: Any) -> Json:
        """Returns the data of a response, which must have no errors."""
        answer = await self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: Json = answer["data"]
        return data

    async def refusal(self, query: str, **variables: Any) -> Json:
        """Returns the error of a response, which must have exactly one."""
        answer = await self.answer(query, **variables)
        assert len(answer.get("errors", ())) == 1, answer
        error: Json = answer["errors"][0]
        return error

    async def all_pages(self, query: str, field: str, **variables: Any) -> list[Json]:
        """Returns the edges of all pages of a root field whose query takes `$after`, and checks each page's info."""
        edges: list[Json] = []
        after = None
        while True:
            page = (await self.ask(query, after=after, **variables))[field]
            info = page["pageInfo"]
            assert info["hasPreviousPage"] == (after is not None)
            assert (info["startCursor"], info["endCursor"]) == (
                (page["edges"][0]["cursor"], page["edges"][-1]["cursor"]) if page["edges"] else (None, None)
            )
            edges += page["edges"]
            if not info["hasNextPage"]:
                return edges
            after = info["endCursor"]

    def _note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement)


OURS = {"INTERNAL_SERVER_ERROR", "DAMAGED_DATA", "NOT_READY"}
"""Codes of failures that are not the client's."""


def _unexpected_fallbacks(schema: Schema) -> int:
    """Returns how many requests the plan gave up for a reason that is not the client's."""
    return schema.fallbacks["value"] + schema.fallbacks["exception"]


def answer_compiled(schema: Schema, request: GraphQLRequest, snapshot: Snapshot, **context: Any) -> bytes | None:
    """Returns the response of the compiled executor; None if it is refused, or graphql-core has to execute it."""
    if not schema.compiles:
        return None
    try:
        prepared = prepare(schema, request)
    except Refusal:
        return None
    bodies = execute_compiled(schema, prepared, Context(snapshot, **context))
    return None if bodies is None else bodies[0]


async def answer_ordinary(schema: Schema, request: GraphQLRequest, snapshot: Snapshot, **context: Any) -> Json:
    """Returns the response of graphql-core, or the refusal of the request."""
    try:
        prepared = prepare(schema, request)
    except Refusal as refusal:
        return {"errors": refusal.errors}
    (response,) = await execute_ordinary(schema, prepared, Context(snapshot, **context))
    return response


async def execute(schema: Schema, request: GraphQLRequest, engine: Engine, **context: Any) -> Json:
    """Returns a response as a client gets it: of the compiled executor if it can, else of graphql-core."""
    async with open_snapshot(engine) as snapshot:
        answer = answer_compiled(schema, request, snapshot, **context)
        if answer is not None:
            decoded: Json = msgspec.json.decode(answer)
            return decoded
        return await answer_ordinary(schema, request, snapshot, **context)


@contextmanager
def asking(url: str) -> Iterator[Api]:
    """Yields the API over a database."""
    api = Api(url)
    yield api
    api.engine.dispose()
