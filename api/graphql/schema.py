"""The schema, and how an operation is executed: one dictionary of data, errors with codes, and where it stands."""

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import cache, lru_cache
from typing import Any, NamedTuple

import strawberry
from graphql import GraphQLError, OperationDefinitionNode, parse
from graphql import OperationType as OperationTypeNode
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import DisableIntrospection, SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.schema.name_converter import NameConverter
from strawberry.types.execution import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from api.graphql.compiled.documents import Document, Documents
from api.graphql.compiled.operations import Operation
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
from api.graphql.request import GraphQLRequest
from api.graphql.roots.query import Query
from api.graphql.roots.subscriptions import Subscription
from api.graphql.types.events import EVENT_TYPES
from api.graphql.vocabulary.scalars import SCALARS, block_time, rfc_3339

log = logging.getLogger(__name__)


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
        if context is None or context.opening is None:
            yield
            return
        async with context.opening(context):
            yield


class Standing(SchemaExtension):
    """Tells in `extensions.asOf` at which block of each network the answer stands."""

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        return standing_of(context) if context is not None and context.is_open else {}


def cost_of(limits: Limits, priced: Price, context: Context) -> dict[str, Any]:
    """Returns `extensions.cost`: what was promised, what was read, what is allowed."""
    return {
        "cost": {
            "actualQueryCost": context.loaders.rows,
            "requestedQueryCost": priced.cost,
            "maximumAvailable": limits.cost,
        }
    }


def standing_of(context: Context) -> dict[str, Any]:
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


class Ready(NamedTuple):
    """A query that was asked before, with what it costs this time."""

    operation: Operation
    priced: Price


def find_ready(schema: Schema, asked: GraphQLRequest) -> Ready | None:
    """Returns what `execute_compiled` answers; None where graphql-core is to answer, or to tell what is wrong."""
    document = schema.documents.find(asked.query) if schema.compiles else None
    operation = None if document is None else document.query(asked.operation_name)
    if operation is None:
        return None
    try:
        priced = operation.price(asked.variables or {})
        refuse_beyond(schema.limits, priced, operation.aliases)
    except Exception as error:
        log.debug("not answered by the plan", exc_info=error)
        return None
    return Ready(operation, priced)


def execute_compiled(schema: Schema, ready: Ready, asked: GraphQLRequest, context: Context) -> dict[str, Any] | None:
    """Returns the answer of a query; None where graphql-core is to answer. The context reads in this very thread."""
    try:
        data = ready.operation.execute(context, asked.variables or {})
    except Exception as error:
        # graphql-core answers: what it says of an error is exact, and what it reads is counted from the start
        log.debug("not answered by the plan", exc_info=error)
        return None
    return {"data": data, "extensions": cost_of(schema.limits, ready.priced, context) | standing_of(context)}


async def execute_ordinary(schema: Schema, asked: GraphQLRequest, context: Context) -> dict[str, Any]:
    """Returns the answer of graphql-core and Strawberry, which says what is right."""
    try:
        result = await schema.execute(
            asked.query,
            asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            allowed_operation_types=(OperationType.QUERY,),
        )
    except MissingQueryError:
        return _refused("The query is empty.")
    except CannotGetOperationTypeError as error:
        return _refused(
            "The document holds no operation."
            if error.operation_name is None
            else f'The document holds no operation "{error.operation_name}".'
        )
    except InvalidOperationTypeError as error:
        return _refused(
            f"A {error.operation_type.value} is not answered here: send a query; subscribe over WebSocket "
            "(graphql-transport-ws) or with Accept: text/event-stream."
        )
    return _answer(result)


async def subscribe(schema: Schema, asked: GraphQLRequest, context: Context) -> AsyncGenerator[dict[str, Any], None]:
    """Yields the answers of a subscription. One without `data` is the last."""
    results = await schema.subscribe(
        asked.query, asked.variables, context_value=context, operation_name=asked.operation_name
    )
    async with aclosing(results):
        async for result in results:
            yield _answer(result)


def is_subscription(asked: GraphQLRequest, max_tokens: int) -> bool:
    """Tells whether the operation asked for is a subscription; not of a document that cannot be read."""
    try:
        operation = operation_of(parse(asked.query, max_tokens=max_tokens), asked.operation_name)
    except GraphQLError:
        return False
    return operation is not None and operation.operation is OperationTypeNode.SUBSCRIPTION


def _refused(message: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": Code.BAD_REQUEST.value}}]}


def _answer(result: ExecutionResult) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    # an error that names no field stopped the request before any field was read
    if result.data is not None or any(error.path for error in result.errors or ()):
        answer["data"] = result.data
        if result.extensions:
            answer["extensions"] = result.extensions
    return answer
