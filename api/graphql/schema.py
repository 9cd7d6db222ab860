"""The schema, and the extensions that every execution runs through: error codes, limits, cost, `asOf`."""

from collections.abc import AsyncGenerator, Iterator
from functools import cache, lru_cache
from typing import Any

import strawberry
from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import DisableIntrospection, SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.execution import ExecutionContext

from api.graphql.compiled.documents import Document, Documents
from api.graphql.context import Context
from api.graphql.errors import Code, mask, tell_code
from api.graphql.limits import (
    MOST_ALIKE,
    Limits,
    Price,
    count_aliases,
    most_alike,
    operation_of,
    price,
    refuse_beyond,
)
from api.graphql.roots.query import Query
from api.graphql.roots.subscriptions import Subscription
from api.graphql.types.events import EVENT_TYPES
from api.graphql.vocabulary.scalars import SCALARS, block_time, rfc_3339


class Codes(SchemaExtension):
    """Gives the errors of parsing and validation their codes."""

    def on_parse(self) -> Iterator[None]:
        yield
        tell_code(self.execution_context.pre_execution_errors or [], Code.GRAPHQL_PARSE_FAILED)

    def on_validate(self) -> Iterator[None]:
        yield
        tell_code(self.execution_context.pre_execution_errors or [], Code.GRAPHQL_VALIDATION_FAILED)


def _documents(asked: ExecutionContext) -> Documents:
    assert isinstance(asked.schema, Schema)  # no other has these extensions
    return asked.schema.documents


class Known(SchemaExtension):
    """Reads and validates a document once, and keeps the valid."""

    def on_parse(self) -> Iterator[None]:
        asked = self.execution_context
        known = _documents(asked).find(asked.query or "")
        if known is not None:
            asked.graphql_document = known.node
        yield

    def on_validate(self) -> Iterator[None]:
        asked = self.execution_context
        documents, text = _documents(asked), asked.query or ""
        known = documents.find(text)
        if known is not None:
            asked.pre_execution_errors = []
        yield
        if known is None and asked.graphql_document is not None and not asked.pre_execution_errors:
            documents.keep(text, Document(asked.schema, asked.graphql_document))


class OneOperation(SchemaExtension):
    """Refuses to choose among several operations; Strawberry would execute the first."""

    def on_validate(self) -> Iterator[None]:
        asked = self.execution_context
        parts = asked.graphql_document.definitions if asked.graphql_document else ()
        if (
            asked._provided_operation_name is None
            and sum(isinstance(part, OperationDefinitionNode) for part in parts) > 1
        ):
            asked.pre_execution_errors = [GraphQLError(SEVERAL, extensions={"code": Code.BAD_REQUEST.value})]
        yield


SEVERAL = "The document holds several operations: name one in operationName."


class Limited(SchemaExtension):
    """Prices a valid request before any SQL, refuses it beyond the limits, and tells its cost in the answer."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.priced: Price | None = None

    def on_operation(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = self.limits.tokens
        yield

    def on_validate(self) -> Iterator[None]:
        asked = self.execution_context
        if asked.pre_execution_errors is None and asked.graphql_document is not None:
            alike = most_alike(asked.graphql_document)
            if alike > MOST_ALIKE:
                told = f"A selection holds one field or fragments {alike} times, at most {MOST_ALIKE} are read."
                code = {"code": Code.MAX_COST_EXCEEDED.value}
                asked.pre_execution_errors = [GraphQLError(told, extensions=code)]
        yield

    def on_execute(self) -> Iterator[None]:
        asked = self.execution_context
        operation = operation_of(asked.graphql_document, asked._provided_operation_name)
        if asked.graphql_document is not None and operation is not None:
            self.priced = price(asked.schema._schema, asked.graphql_document, operation, asked.variables or {})
            refuse_beyond(self.limits, self.priced, count_aliases(asked.graphql_document))
            if asked.context is not None:
                asked.context.charge(self.priced.cost)
        yield

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        if self.priced is None or context is None or not context.is_open:
            return {}
        return cost_of(self.limits, self.priced, context)


class Opening(SchemaExtension):
    """Begins to read the database, for a request that may be executed: one that is refused asks nothing of it."""

    async def on_execute(self) -> AsyncGenerator[None, None]:
        context: Context | None = self.execution_context.context
        if context is None or context.open_snapshot is None:
            yield
            return
        async with context.open_snapshot(context):
            yield


class Standing(SchemaExtension):
    """Tells in `extensions.asOf` at which block of each network the answer stands."""

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        return as_of(context) if context is not None and context.is_open else {}


def cost_of(limits: Limits, priced: Price, context: Context) -> dict[str, Any]:
    """Returns `extensions.cost`: what was promised, what was read, what is allowed."""
    return {
        "cost": {
            "actualQueryCost": context.loaders.rows,
            "requestedQueryCost": priced.cost,
            "maximumAvailable": limits.cost,
        }
    }


def as_of(context: Context) -> dict[str, Any]:
    """Returns `extensions.asOf`: the block of each network that the answer stands at."""
    return {
        "asOf": [
            {
                "chainId": str(pin.block.chain_id),
                "number": str(pin.block.number),
                "hash": f"0x{pin.block.hash.hex()}",
                "timestamp": rfc_3339(block_time(pin.block.time)),
            }
            for pin in context.snapshot.pins
            if pin.block is not None
        ]
    }


class Names(NameConverter):
    """Remembers what a name of Python is in GraphQL: it is asked for each argument of each request."""

    @lru_cache  # noqa: B019  # one lives, as long as the process
    def apply_naming_config(self, name: str) -> str:
        return super().apply_naming_config(name)


class Schema(strawberry.Schema):
    """`compiles`: documents that come again are executed by `api.graphql.compiled`."""

    limits: Limits
    documents: Documents
    compiles: bool

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        mask(errors)


def build_schema(*, introspection: bool = True, limits: Limits | None = None, compiled: bool = True) -> Schema:
    """Returns the schema; without `introspection` a request that asks for it is refused."""
    limited = limits or Limits()
    schema = Schema(
        query=Query,
        subscription=Subscription,
        types=EVENT_TYPES,
        extensions=[
            Codes,
            Known,
            OneOperation,
            lambda: Limited(limited),
            Opening,
            Standing,
            *([] if introspection else [DisableIntrospection]),
        ],
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=Names()),
    )
    schema.limits, schema.documents, schema.compiles = limited, Documents(), compiled
    return schema


@cache
def sdl() -> str:
    """Returns the schema as SDL."""
    return print_schema(build_schema()) + "\n"
