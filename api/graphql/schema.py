"""The schema, and the extensions that every execution runs through: error codes, limits, cost, `asOf`."""

from collections import Counter
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
from strawberry.types.field import StrawberryField

from api.graphql.context import Context
from api.graphql.errors import Code, mask, set_code
from api.graphql.inputs.one_of import explain_literals, explain_variables
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
from api.graphql.plan.documents import DocumentCache, ValidDocument
from api.graphql.plan.resolving import install_resolvers
from api.graphql.roots.query import Query
from api.graphql.roots.subscriptions import Subscription
from api.graphql.types.events import EVENT_TYPES
from api.graphql.vocabulary.scalars import SCALARS, block_time, rfc_3339


class ErrorCodes(SchemaExtension):
    """Sets the codes of errors in parsing and validation."""

    def on_parse(self) -> Iterator[None]:
        yield
        set_code(self.execution_context.pre_execution_errors or [], Code.GRAPHQL_PARSE_FAILED)

    def on_validate(self) -> Iterator[None]:
        yield
        errors, document = self.execution_context.pre_execution_errors or [], self.execution_context.graphql_document
        if document is not None:
            explain_literals(errors, document)
        set_code(errors, Code.GRAPHQL_VALIDATION_FAILED)


def _documents(execution: ExecutionContext) -> DocumentCache:
    assert isinstance(execution.schema, Schema)  # no other schema has these extensions
    return execution.schema.documents


class KeepDocuments(SchemaExtension):
    """Parses and validates each document once, and keeps the valid ones."""

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        document = _documents(execution).find(execution.query or "")
        if document is not None:
            execution.graphql_document = document.node
        yield

    def on_validate(self) -> Iterator[None]:
        execution = self.execution_context
        documents, text = _documents(execution), execution.query or ""
        document = documents.find(text)
        if document is not None:
            execution.pre_execution_errors = []
        yield
        if document is None and execution.graphql_document is not None and not execution.pre_execution_errors:
            documents.keep(text, ValidDocument(execution.schema, text, execution.graphql_document))


class OneOperation(SchemaExtension):
    """Refuses to choose among several operations. Strawberry would execute the first."""

    def on_validate(self) -> Iterator[None]:
        execution = self.execution_context
        definitions = execution.graphql_document.definitions if execution.graphql_document else ()
        if (
            execution._provided_operation_name is None
            and sum(isinstance(definition, OperationDefinitionNode) for definition in definitions) > 1
        ):
            execution.pre_execution_errors = [GraphQLError(SEVERAL, extensions={"code": Code.BAD_REQUEST.value})]
        yield


SEVERAL = "The document holds several operations: name one in operationName."


class EnforceLimits(SchemaExtension):
    """Prices a valid request before any SQL, refuses it beyond the limits, and adds its cost to the response."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.price: Price | None = None

    def on_operation(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = self.limits.tokens
        yield

    def on_validate(self) -> Iterator[None]:
        execution = self.execution_context
        if execution.pre_execution_errors is None and execution.graphql_document is not None:
            alike = most_alike(execution.graphql_document)
            if alike > MOST_ALIKE:
                message = f"A selection has one field, or fragments, {alike} times; at most {MOST_ALIKE} are allowed."
                code = {"code": Code.MAX_COST_EXCEEDED.value}
                execution.pre_execution_errors = [GraphQLError(message, extensions=code)]
        yield

    def on_execute(self) -> Iterator[None]:
        execution = self.execution_context
        operation = operation_of(execution.graphql_document, execution._provided_operation_name)
        if execution.graphql_document is not None and operation is not None:
            variables = execution.variables or {}
            self.price = price(execution.schema._schema, execution.graphql_document, operation, variables)
            refuse_beyond(self.limits, self.price, count_aliases(execution.graphql_document))
            if execution.context is not None:
                execution.context.charge(self.price.cost)
        yield

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        if self.price is None or context is None or not context.is_open:
            return {}
        return cost_of(self.limits, self.price, context)


class OpenSnapshot(SchemaExtension):
    """Opens a snapshot for a request that may be executed. A refused request reads nothing from the database."""

    async def on_execute(self) -> AsyncGenerator[None, None]:
        context: Context | None = self.execution_context.context
        if context is None or context.open_snapshot is None:
            yield
            return
        async with context.open_snapshot(context):
            yield


class AddAsOf(SchemaExtension):
    """Adds `extensions.asOf`, the newest indexed block of each network when the request was read."""

    def get_results(self) -> dict[str, Any]:
        context: Context | None = self.execution_context.context
        return as_of(context) if context is not None and context.is_open else {}


def cost_of(limits: Limits, price: Price, context: Context) -> dict[str, Any]:
    """Returns `extensions.cost`: the rows requested, the rows read, and the maximum."""
    return {
        "cost": {
            "actualQueryCost": context.read.rows_read,
            "requestedQueryCost": price.cost,
            "maximumAvailable": limits.cost,
        }
    }


def as_of(context: Context) -> dict[str, Any]:
    """Returns `extensions.asOf`: the newest block of each network in the snapshot of the request."""
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


class CachedNames(NameConverter):
    """Caches the GraphQL names of Python names: Strawberry converts them for each argument of each request."""

    @lru_cache(maxsize=1024)  # noqa: B019  # there is one converter, which lives as long as the process
    def from_field(self, field: StrawberryField) -> str:
        return super().from_field(field)


class Schema(strawberry.Schema):
    """The schema, its limits and its valid documents. If `compiles`, repeated documents are compiled.

    `fallbacks` counts the requests that were compiled and then left to graphql-core, by reason.
    """

    limits: Limits
    documents: DocumentCache
    fallbacks: Counter[str]
    compiles: bool

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        if execution_context is not None:
            operation = operation_of(execution_context.graphql_document, execution_context._provided_operation_name)
            if operation is not None:
                explain_variables(errors, self._schema, operation, execution_context.variables or {})
        mask(errors)


def build_schema(*, introspection: bool = True, limits: Limits | None = None, compiled: bool = True) -> Schema:
    """Returns the schema. Without `introspection`, introspection queries are refused."""
    enforced = limits or Limits()
    schema = Schema(
        query=Query,
        subscription=Subscription,
        types=EVENT_TYPES,
        extensions=[
            ErrorCodes,
            KeepDocuments,
            OneOperation,
            lambda: EnforceLimits(enforced),
            OpenSnapshot,
            AddAsOf,
            *([] if introspection else [DisableIntrospection]),
        ],
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=CachedNames()),
    )
    schema.limits, schema.documents, schema.compiles = enforced, DocumentCache(), compiled
    schema.fallbacks = Counter()
    install_resolvers(schema)
    return schema


@cache
def sdl() -> str:
    """Returns the schema as SDL."""
    return print_schema(build_schema()) + "\n"
