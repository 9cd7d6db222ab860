"""The schema, and how an operation is executed: one dictionary of data, errors with codes, and where it stands."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLError, OperationDefinitionNode, parse
from graphql import OperationType as OperationTypeNode
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import DisableIntrospection, SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from api.graphql.context import Context
from api.graphql.errors import Code, mask, tell_code
from api.graphql.events import EVENT_TYPES
from api.graphql.limits import Limits, Price, operation_of, price, refuse_beyond
from api.graphql.query import Query
from api.graphql.scalars import SCALARS, block_time, rfc_3339
from api.graphql.subscriptions import Subscription
from api.requests import GraphQLRequest


class Codes(SchemaExtension):
    """Gives the errors of parsing and validation their codes."""

    def on_parse(self) -> Iterator[None]:
        yield
        tell_code(self.execution_context.pre_execution_errors or [], Code.GRAPHQL_PARSE_FAILED)

    def on_validate(self) -> Iterator[None]:
        yield
        tell_code(self.execution_context.pre_execution_errors or [], Code.GRAPHQL_VALIDATION_FAILED)


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

    def on_execute(self) -> Iterator[None]:
        asked = self.execution_context
        operation = operation_of(asked.graphql_document, asked._provided_operation_name)
        if asked.graphql_document is not None and operation is not None:
            self.priced = price(asked.schema._schema, asked.graphql_document, operation, asked.variables or {})
            refuse_beyond(self.limits, self.priced, asked.graphql_document)
        yield

    def get_results(self) -> dict[str, Any]:
        if self.priced is None:
            return {}
        context: Context | None = self.execution_context.context
        cost = {"requestedQueryCost": self.priced.cost, "maximumAvailable": self.limits.cost}
        return {"cost": cost if context is None else {"actualQueryCost": context.loaders.rows, **cost}}


class Standing(SchemaExtension):
    """Tells in `extensions.asOf` at which block of each network the answer stands."""

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        if context is None:
            return {}
        blocks = [pin.block for pin in context.snapshot.pins if pin.block is not None]
        return {
            "asOf": [
                {
                    "chainId": str(block.chain_id),
                    "number": str(block.number),
                    "hash": f"0x{block.hash.hex()}",
                    "timestamp": rfc_3339(block_time(block.time)),
                }
                for block in blocks
            ]
        }


class Schema(strawberry.Schema):
    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        mask(errors)


def build_schema(*, introspection: bool = True, limits: Limits | None = None) -> Schema:
    """Returns the schema; without `introspection` a request that asks for it is refused."""
    limited = limits or Limits()
    return Schema(
        query=Query,
        subscription=Subscription,
        types=EVENT_TYPES,
        extensions=[
            Codes,
            OneOperation,
            lambda: Limited(limited),
            Standing,
            *([] if introspection else [DisableIntrospection]),
        ],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


@cache
def sdl() -> str:
    """Returns the schema as SDL."""
    return print_schema(build_schema()) + "\n"


async def execute(schema: Schema, asked: GraphQLRequest, context: Context) -> dict[str, Any]:
    """Returns the answer as GraphQL's response format has it; `data` is left out where nothing was executed."""
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
