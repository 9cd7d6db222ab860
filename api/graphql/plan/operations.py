"""An operation of a valid document, with its prices and plans."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.execution.values import VariableValues
from strawberry import UNSET, Schema

from api.graphql.inputs.min_block import MinBlock
from api.graphql.limits import Price, count_aliases, each_node, price
from api.graphql.plan.compiling import RootField, compile_plan, root_fields
from api.graphql.plan.levels import Plan
from schema.program.tracing import span

MAX_VARIANTS = 16
"""Maximum number of prices, and of plans, that are kept of one operation."""


class Operation:
    """A query or a subscription. It keeps its latest prices and plans."""

    def __init__(self, schema: Schema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        self.node = node
        self.is_subscription = node.operation is OperationType.SUBSCRIPTION
        nodes = list(each_node(document))
        self.aliases = count_aliases(nodes)
        self._schema = schema
        self._document = document
        self._sizes = _variables_of(nodes, FieldNode, {"first", "last", "ids"})
        self._conditions = _variables_of(nodes, DirectiveNode, {"if"})
        self._names_blocks = any(isinstance(part, ArgumentNode) and part.name.value == MIN_BLOCK for part in nodes)
        self._prices: dict[Any, Price] = {}
        self._plans: dict[Any, Plan | None] = {}

    def span(self) -> AbstractContextManager[Any]:
        """Returns the span of an execution, by OpenTelemetry's conventions."""
        name = "" if self.node.name is None else self.node.name.value
        kind = self.node.operation.value
        return span(kind, graphql_operation_type=kind, graphql_operation_name=name)

    def price(self, variables: Mapping[str, Any]) -> Price:
        """Returns the price of the operation with these variables, as the request has them."""
        key = tuple([_size(variables.get(name)) for name in self._sizes])
        if key not in self._prices:
            _make_room(self._prices)
            self._prices[key] = price(self._schema._schema, self._document, self.node, variables)
        return self._prices[key]

    def plan(self, variables: VariableValues) -> Plan | None:
        """Returns the plan of the operation with these variables; None if it cannot be compiled."""
        conditions = {name: variables.coerced[name] for name in self._conditions if name in variables.coerced}
        key = tuple(conditions.items())
        if key not in self._plans:
            _make_room(self._plans)
            self._plans[key] = compile_plan(self._schema, self._document, self.node, conditions)
        return self._plans[key]

    def root_fields(self, variables: VariableValues) -> list[RootField]:
        """Returns the root fields that are selected with these variables."""
        return root_fields(self._schema, self._document, self.node, variables)

    def min_blocks(self, variables: VariableValues) -> list[MinBlock]:
        """Returns the blocks that the operation names, which must be indexed before it is executed."""
        fields = self.root_fields(variables) if self._names_blocks else []
        named = [(arguments.get("min_block"), arguments.get("chain_id", UNSET)) for _, arguments in fields]
        return [
            MinBlock(number, None if chain_id is UNSET else chain_id, MIN_BLOCK)
            for number, chain_id in named
            if number is not None and number is not UNSET
        ]


MIN_BLOCK = "minBlock"
"""The argument of `_meta`."""


def _variables_of(nodes: Sequence[Node], owner: type[FieldNode | DirectiveNode], arguments: set[str]) -> list[str]:
    """Returns the sorted names of the variables that are the value of one of these arguments."""
    return sorted(
        {
            argument.value.name.value
            for node in nodes
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
