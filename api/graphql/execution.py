"""Executes one operation, by the compiled executor or by graphql-core, and returns GraphQL's response format."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

import msgspec
from graphql import GraphQLError, OperationType, parse
from sqlalchemy.exc import DBAPIError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType as AllowedOperation

from api.graphql.context import Context
from api.graphql.errors import Code, Refusal
from api.graphql.limits import Price, operation_of, refuse_beyond
from api.graphql.plan.documents import ValidDocument
from api.graphql.plan.operations import Operation
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema, as_of, cost_of
from schema.program.logs import log_event
from schema.tables.postgresql import is_passing

log = logging.getLogger(__name__)


class ValidatedQuery(NamedTuple):
    """A query whose document was validated before, and its price with the variables of this request."""

    document: ValidDocument
    operation: Operation
    price: Price


def find_validated(schema: Schema, request: GraphQLRequest) -> ValidatedQuery | None:
    """Returns what `execute_compiled` executes; None if graphql-core must execute the request, or explain its error."""
    document = schema.documents.find(request.query) if schema.compiles else None
    operation = None if document is None else document.query(request.operation_name)
    if document is None or operation is None:
        return None
    try:
        price = operation.price(request.variables or {})
        refuse_beyond(schema.limits, price, operation.aliases)
    except Exception as error:
        _note_fallback(schema, document, error)
        return None
    return ValidatedQuery(document, operation, price)


def execute_compiled(schema: Schema, query: ValidatedQuery, request: GraphQLRequest, context: Context) -> bytes | None:
    """Returns the response as JSON, None if graphql-core must execute the query. Reads the database in this thread."""
    try:
        data = query.operation.execute(context, request.variables or {})
    except DBAPIError as error:
        if is_passing(error):
            raise  # the caller reads it again
        _note_fallback(schema, query.document, error)
        return None
    except Exception as error:
        # graphql-core executes it again from the start: its errors are exact, and rows are counted from 0
        _note_fallback(schema, query.document, error)
        return None
    extensions = msgspec.json.encode(cost_of(schema.limits, query.price, context) | as_of(context))
    return b'{"data":%b,"extensions":%b}' % (data.encode(), extensions)


def _note_fallback(schema: Schema, document: ValidDocument, error: Exception) -> None:
    """Counts that graphql-core has to execute a request, and logs it once a document."""
    reason = "refused" if isinstance(error, Refusal) else getattr(error, "reason", "exception")
    schema.fallbacks[reason] += 1
    if document.is_logged:
        return
    document.is_logged = True
    level = logging.DEBUG if reason in EXPECTED else logging.WARNING
    query, message = " ".join(document.text.split())[:200], f"{type(error).__name__}: {error}"
    log_event(log, level, "graphql-core executes a query", " ({reason}: {error}): {query}", reason, message, query)


EXPECTED = {"refused", "variables", "unsupported"}
"""Reasons of requests that are wrong, and of introspection, which is left to graphql-core."""


async def execute_ordinary(schema: Schema, request: GraphQLRequest, context: Context) -> dict[str, Any]:
    """Returns the response of graphql-core and Strawberry, which defines what is right."""
    try:
        result = await schema.execute(
            request.query,
            request.variables,
            context_value=context,
            operation_name=request.operation_name,
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
            f"A {error.operation_type.value} is not executed here: send a query. Subscribe over WebSocket "
            "(graphql-transport-ws) or with Accept: text/event-stream."
        )
    return _response(result)


async def subscribe(schema: Schema, request: GraphQLRequest, context: Context) -> AsyncGenerator[dict[str, Any], None]:
    """Yields the responses of a subscription. One without `data` is the last."""
    results = await schema.subscribe(
        request.query, request.variables, context_value=context, operation_name=request.operation_name
    )
    async with aclosing(results):
        async for result in results:
            yield _response(result)


def is_subscription(request: GraphQLRequest, max_tokens: int) -> bool:
    """Returns whether the requested operation is a subscription; False if the document cannot be parsed."""
    try:
        operation = operation_of(parse(request.query, max_tokens=max_tokens), request.operation_name)
    except GraphQLError:
        return False
    return operation is not None and operation.operation is OperationType.SUBSCRIPTION


def _refused(message: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": Code.BAD_REQUEST.value}}]}


def _response(result: ExecutionResult) -> dict[str, Any]:
    response: dict[str, Any] = {}
    if result.errors:
        response["errors"] = [error.formatted for error in result.errors]
    # an error without a path stopped the request before any field was executed
    if result.data is not None or any(error.path for error in result.errors or ()):
        response["data"] = result.data
        if result.extensions:
            response["extensions"] = result.extensions
    return response
