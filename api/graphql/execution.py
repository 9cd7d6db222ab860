"""Prepares an operation, then executes it: by its plan, or by graphql-core. Returns GraphQL's response format."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from graphql import DocumentNode, ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType, execute, parse
from graphql.execution.values import VariableValues, get_variable_values
from sqlalchemy.exc import DBAPIError
from strawberry.schema.schema import validate_document

from api.graphql.context import Context
from api.graphql.errors import BadRequest, Code, InvalidRequest, Refusal, TooManyAlike, mask, set_code
from api.graphql.inputs.min_block import MinBlock
from api.graphql.inputs.one_of import explain_literals, explain_variables
from api.graphql.limits import MOST_ALIKE, Limits, Price, most_alike, operations_named, refuse_beyond
from api.graphql.plan.documents import ValidDocument
from api.graphql.plan.operations import Operation
from api.graphql.plan.run import run_plan
from api.graphql.plan.write import NotAnswered
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.graphql.vocabulary.scalars import block_time, rfc_3339
from api.reading.read import Read
from api.reading.snapshot import Interrupted, end_work, to_the_end
from schema.program.logs import log_event
from schema.tables.postgresql import is_passing

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """An operation that may be executed: it is valid and within the limits, and its variables match their types.

    `values` are the variables, coerced. `blocks` must be indexed before it is executed. `is_repeated`: the document was
    validated for an earlier request.
    """

    document: ValidDocument
    operation: Operation
    request: GraphQLRequest
    price: Price
    values: VariableValues
    blocks: Sequence[MinBlock]
    is_repeated: bool


def prepare(schema: Schema, request: GraphQLRequest, *, live: bool = False) -> Prepared:
    """Returns the operation that a request names; a subscription only if it is `live`. Raises a Refusal."""
    document = schema.documents.find(request.query)
    is_repeated = document is not None
    if document is None:
        node = _parse(schema, request.query)
        _selected(node, request.operation_name, live)  # a missing operation is reported before what is invalid
        document = _validate(schema, request.query, node)
    operation = document.operation(_selected(document.node, request.operation_name, live))
    variables = request.variables or {}
    price = operation.price(variables)
    refuse_beyond(schema.limits, price, operation.aliases)
    values = get_variable_values(schema._schema, operation.node.variable_definitions or (), variables)
    if isinstance(values, list):
        explain_variables(values, schema._schema, operation.node, variables)
        raise _invalid(values, Code.BAD_USER_INPUT)
    blocks = [*([] if request.min_block is None else [request.min_block]), *operation.min_blocks(values)]
    return Prepared(document, operation, request, price, values, blocks, is_repeated)


def _parse(schema: Schema, text: str) -> DocumentNode:
    if not text:
        raise BadRequest("The query is empty.")
    try:
        return parse(text, max_tokens=schema.limits.tokens)
    except GraphQLError as error:
        raise _invalid([error], Code.GRAPHQL_PARSE_FAILED) from None


def _selected(document: DocumentNode, name: str | None, live: bool) -> OperationDefinitionNode:
    """Returns the operation of a document that a request executes. Raises BadRequest."""
    operations = operations_named(document, name)
    if not operations:
        named = "" if name is None else f' "{name}"'
        raise BadRequest(f"The document holds no operation{named}.")
    first = operations[0]
    if first.operation is not OperationType.QUERY and not (live and first.operation is OperationType.SUBSCRIPTION):
        raise BadRequest(
            f"A {first.operation.value} is not executed here: send a query. Subscribe over WebSocket "
            "(graphql-transport-ws) or with Accept: text/event-stream."
        )
    if len(operations) > 1:
        raise BadRequest("The document holds several operations: name one in operationName.")
    return first


def _validate(schema: Schema, text: str, node: DocumentNode) -> ValidDocument:
    """Returns the document, and keeps it for later requests. Raises InvalidRequest."""
    alike = most_alike(node)
    if alike > MOST_ALIKE:
        raise TooManyAlike(f"A selection has one field, or fragments, {alike} times; at most {MOST_ALIKE} are allowed.")
    errors = validate_document(schema._schema, node, schema.rules)
    if errors:
        explain_literals(errors, node)
        raise _invalid(errors, Code.GRAPHQL_VALIDATION_FAILED)
    document = ValidDocument(schema, text, node)
    schema.documents.keep(text, document)
    return document


def _invalid(errors: list[GraphQLError], code: Code) -> InvalidRequest:
    set_code(errors, code)
    return InvalidRequest([dict(error.formatted) for error in errors])


Roots = Callable[[Context], Sequence[Any]]
"""Returns the objects that an operation is executed for: one for a query, the messages of a batch for a subscription.
"""


def of_query(context: Context) -> Sequence[Any]:
    """Returns the root of a query, which has no cells."""
    return ((),)


def execute_compiled(
    schema: Schema, prepared: Prepared, context: Context, roots: Roots = of_query
) -> list[bytes] | None:
    """Returns the response for each root as JSON, None if graphql-core must execute the operation.

    Reads the database in this thread.
    """
    try:
        plan = prepared.operation.plan(prepared.values)
        if plan is None:
            raise NotAnswered("the operation cannot be compiled", "unsupported")
        context.read = Read(context.snapshot, plan.shapes)
        texts = run_plan(plan, context, prepared.values, roots(context))
    except Exception as error:
        if isinstance(error, Interrupted) or (isinstance(error, DBAPIError) and is_passing(error)):
            raise  # the client has disconnected, or the caller reads again
        # graphql-core executes it again from the start: its errors are exact, and rows are counted from 0
        _note_fallback(schema, prepared.document, error)
        return None
    extensions = msgspec.json.encode(_extensions(schema.limits, prepared.price, context))
    return [b'{"data":%b,"extensions":%b}' % (text.encode(), extensions) for text in texts]


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


EXPECTED = {"refused", "unsupported"}
"""Reasons of requests that are wrong, and of introspection, which is left to graphql-core."""


async def execute_ordinary(
    schema: Schema, prepared: Prepared, context: Context, roots: Roots = of_query
) -> list[dict[str, Any]]:
    """Returns the response of graphql-core for each root. It defines what is right."""

    async def response(root: Any) -> ExecutionResult:
        result = execute(
            schema._schema,
            prepared.document.node,
            root,
            context,
            prepared.request.variables,
            prepared.request.operation_name,
        )
        return result if isinstance(result, ExecutionResult) else await result

    values = await context.run(roots, context)
    work = asyncio.gather(*map(response, values))
    try:
        results = await asyncio.shield(work)
    except asyncio.CancelledError:
        # canceled, graphql-core would drop coroutines that have not begun; without further reads it ends at once
        await to_the_end(end_work(work, context.snapshot.interrupt))
        raise
    failure = context.snapshot.failure
    if failure is not None and is_passing(failure):
        raise failure  # graphql-core has made errors of it
    extensions = _extensions(schema.limits, prepared.price, context)
    return [_response(result, extensions) for result in results]


def _response(result: ExecutionResult, extensions: dict[str, Any]) -> dict[str, Any]:
    errors = result.errors or []
    mask(errors)
    formatted = {"errors": [error.formatted for error in errors]} if errors else {}
    return {**formatted, "data": result.data, "extensions": extensions}


def _extensions(limits: Limits, price: Price, context: Context) -> dict[str, Any]:
    """Returns `extensions`: what the request costs, and the newest block of each network in its snapshot."""
    return {
        "cost": {
            "actualQueryCost": context.read.rows_read,
            "requestedQueryCost": price.cost,
            "maximumAvailable": limits.cost,
        },
        "asOf": [
            {
                "chainId": str(pin.block.chain_id),
                "number": str(pin.block.number),
                "hash": f"0x{pin.block.hash.hex()}",
                "timestamp": rfc_3339(block_time(pin.block.time)),
            }
            for pin in context.snapshot.pins
            if pin.block is not None
        ],
    }
