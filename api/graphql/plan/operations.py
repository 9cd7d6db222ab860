"""An operation of a valid document, with its prices and plans."""

from collections.abc import Mapping
from typing import Any

from graphql import DirectiveNode, DocumentNode, FieldNode, OperationDefinitionNode, VariableNode
from graphql.execution.values import get_variable_values
from strawberry import Schema

from api.graphql.context import Context
from api.graphql.limits import Price, count_aliases, each_node, price
from api.graphql.plan.levels import Plan, compile_plan
from api.graphql.plan.run import run_plan
from api.graphql.plan.write import NotAnswered

MAX_VARIANTS = 16
"""Maximum number of prices, and of plans, that are kept of one operation."""


class Operation:
    """A query. It keeps its latest prices and plans."""

    def __init__(self, schema: Schema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        self._node = node
        self.aliases = count_aliases(document)
        self._schema = schema
        self._document = document
        self._sizes = _variables_of(document, FieldNode, {"first", "last", "ids"})
        self._conditions = _variables_of(document, DirectiveNode, {"if"})
        self._prices: dict[Any, Price] = {}
        self._plans: dict[Any, Plan | None] = {}

    def price(self, variables: Mapping[str, Any]) -> Price:
        """Returns the price of the operation with these variables, as the request has them."""
        key = tuple(_size(variables.get(name)) for name in self._sizes)
        if key not in self._prices:
            _make_room(self._prices)
            self._prices[key] = price(self._schema._schema, self._document, self._node, variables)
        return self._prices[key]

    def execute(self, context: Context, variables: Mapping[str, Any]) -> str:
        """Returns the data of a response without errors, as JSON. If it raises, graphql-core must execute the query."""
        values = get_variable_values(self._schema._schema, self._node.variable_definitions or (), dict(variables), 1)
        if isinstance(values, list):
            raise NotAnswered("the variables do not match their types", "variables")
        plan = self._plan(values.coerced)
        if plan is None:
            raise NotAnswered("the operation cannot be compiled", "unsupported")
        context.read_from(context.snapshot, plan.shapes)
        return run_plan(plan, context, values)

    def _plan(self, variables: Mapping[str, Any]) -> Plan | None:
        conditions = {name: variables[name] for name in self._conditions if name in variables}
        key = tuple(conditions.items())
        if key not in self._plans:
            _make_room(self._plans)
            self._plans[key] = compile_plan(self._schema, self._document, self._node, conditions)
        return self._plans[key]


def _variables_of(document: DocumentNode, owner: type[FieldNode | DirectiveNode], arguments: set[str]) -> list[str]:
    """Returns the sorted names of the variables that are the value of one of these arguments."""
    return sorted(
        {
            argument.value.name.value
            for node in each_node(document)
            if isinstance(node, owner)
            for argument in node.arguments or ()
            if argument.name.value in arguments and isinstance(argument.value, VariableNode)
        }
    )


def _size(value: Any) -> int | None:
    """Returns what the price depends on: the number, or the length of the list."""
    return len(value) if isinstance(value, list) else value if isinstance(value, int) else None


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= MAX_VARIANTS:
        del kept[next(iter(kept))]
