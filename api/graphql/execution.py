"""Executes one operation, by the compiled executor or by graphql-core, and returns GraphQL's response format."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from graphql import GraphQLError, OperationType, parse
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType as AllowedOperation

from api.graphql.compiled.operations import Operation
from api.graphql.context import Context
from api.graphql.errors import Code
from api.graphql.limits import Price, operation_of, refuse_beyond
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema, cost_of, standing_of

log = logging.getLogger(__name__)


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
            allowed_operation_types=(AllowedOperation.QUERY,),
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
    return operation is not None and operation.operation is OperationType.SUBSCRIPTION


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
