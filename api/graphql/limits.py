"""The cost of a request, computed before any SQL, and the limits of a request.

The cost is the number of rows that a request can return. An object and a list cost 1, a connection 1 plus the page
size, a `totalCount` 10, statistics their maximum number of groups, a scalar nothing; each times the number of its
parents. Page sizes from variables count with their values. A fragment is priced once, however often it is spread: the
work is linear in the size of the document.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from api.graphql.errors import Code, Refusal

DEFAULT_PAGE = 20
COUNT_COST = 10
MOST_GROUPS = 1_000
"""Maximum number of groups of statistics."""

STATISTICS = frozenset({"deviceStatistics", "failureStatistics"})
"""The root fields that return groups."""

IN_A_CONNECTION = frozenset({"edges", "nodes", "node", "pageInfo"})
"""The fields inside a connection. Its rows are priced with the connection itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    cost: int = 10_000
    depth: int = 12
    aliases: int = 100
    tokens: int = 10_000


@dataclass(frozen=True, slots=True)
class Price:
    """The cost of a selection for one parent, and the number of its levels of fields."""

    cost: int = 0
    depth: int = 0


class MaxCostExceeded(Refusal):
    code = Code.MAX_COST_EXCEEDED

    def __init__(self, message: str, cost: int, limit: int) -> None:
        super().__init__(message)
        self.cost, self.limit = cost, limit

    @property
    def extensions(self) -> dict[str, Any]:
        return {**super().extensions, "cost": {"requestedQueryCost": self.cost, "maximumAvailable": self.limit}}


class MaxDepthExceeded(Refusal):
    code = Code.MAX_DEPTH_EXCEEDED


def price(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Price:
    """Returns the price of an operation of a valid document."""
    root = schema.get_root_type(OperationType(operation.operation))
    assert root is not None  # a valid operation has a root type
    return _Pricing(schema, document, _with_defaults(operation, variables)).selection(operation.selection_set, root)


def operations_named(document: DocumentNode, name: str | None) -> list[OperationDefinitionNode]:
    """Returns the operations of a name, all if it is None."""
    operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
    return [part for part in operations if name in (None, part.name.value if part.name else None)]


def count_aliases(nodes: Iterable[Node]) -> int:
    """Returns the number of aliases among the nodes of a document."""
    return sum(1 for node in nodes if isinstance(node, FieldNode) and node.alias is not None)


MOST_ALIKE = 50
"""Fields with one response name, or fragments, in one selection: validation compares all pairs."""


def most_alike(document: DocumentNode) -> int:
    """Returns the most fields with one response name, or fragments, that a selection of the document has."""
    return max((_alike(node) for node in each_node(document) if isinstance(node, SelectionSetNode)), default=0)


def _alike(selection: SelectionSetNode) -> int:
    counts: Counter[str] = Counter()
    waiting = list(selection.selections)
    while waiting:
        part = waiting.pop()
        if isinstance(part, FieldNode):
            counts[(part.alias or part.name).value] += 1
            continue
        counts["..."] += 1
        if isinstance(part, InlineFragmentNode):
            waiting.extend(part.selection_set.selections)
    return max(counts.values(), default=0)


def refuse_beyond(limits: Limits, price: Price, aliases: int) -> None:
    """Raises a Refusal that names the requested value and the limit."""
    if aliases > limits.aliases:
        raise MaxCostExceeded(
            f"The document has {aliases} aliases, at most {limits.aliases} are allowed: send several requests.",
            price.cost,
            limits.cost,
        )
    if price.depth > limits.depth:
        raise MaxDepthExceeded(
            f"The query is {price.depth} fields deep, at most {limits.depth} are allowed: query the inner objects by "
            "their ids."
        )
    if price.cost > limits.cost:
        raise MaxCostExceeded(
            f"The query costs {price.cost} rows, at most {limits.cost} are allowed: request smaller pages.",
            price.cost,
            limits.cost,
        )


class _Pricing:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self.schema = schema
        self.variables = variables
        self.fragments = {
            part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
        }
        self.priced: dict[str, Price] = {}
        self.counts: dict[str, int] = {}

    def selection(self, selected: SelectionSetNode | None, parent: GraphQLNamedType) -> Price:
        cost = depth = 0
        for part in selected.selections if selected else ():
            if isinstance(part, FieldNode):
                inside = self.field(part, parent)
            elif isinstance(part, InlineFragmentNode):
                condition = part.type_condition
                inner = self.schema.type_map[condition.name.value] if condition else parent
                inside = self.selection(part.selection_set, inner)
            else:
                assert isinstance(part, FragmentSpreadNode)
                inside = self.fragment(part.name.value)
            cost += inside.cost
            depth = max(depth, inside.depth)
        return Price(cost, depth)

    def fragment(self, name: str) -> Price:
        if name not in self.priced:
            fragment = self.fragments[name]
            inner = self.schema.type_map[fragment.type_condition.name.value]
            self.priced[name] = self.selection(fragment.selection_set, inner)
        return self.priced[name]

    def field(self, node: FieldNode, parent: GraphQLNamedType) -> Price:
        name = node.name.value
        in_connection = parent.name.endswith("Connection")
        if in_connection and name == "totalCount":
            return Price(COUNT_COST, 1)
        definition = self.schema.get_field(parent, name)  # type: ignore[arg-type]  # composite, as the document is valid
        if definition is None:
            return Price(0, 1)
        type_ = get_named_type(definition.type)
        if not is_composite_type(type_):
            return Price(0, 1)
        inside = self.selection(node.selection_set, type_)
        if name.startswith("__"):
            return Price(0, 1)  # introspection returns no rows, and graphql-core limits its nesting
        if in_connection or (parent.name.endswith("Edge") and name in IN_A_CONNECTION):
            return Price(inside.cost, inside.depth + 1)
        if isinstance(type_, GraphQLObjectType) and type_.name.endswith("Connection"):
            page = self.page_size(node)
            # totalCount is priced once for the connection, all other fields once for each row
            counts = COUNT_COST * self.counted(node.selection_set)
            return Price(1 + page + counts + page * (inside.cost - counts), inside.depth + 1)
        if type_.name == "ChangePage":
            return Price(1 + self.page_size(node) * inside.cost, inside.depth + 1)
        length = self.list_length(node) if is_list_type(get_nullable_type(definition.type)) else 1
        return Price(length * (1 + inside.cost), inside.depth + 1)

    def counted(self, selected: SelectionSetNode | None) -> int:
        """Returns how often a connection's own selection has `totalCount`."""
        count = 0
        for part in selected.selections if selected else ():
            if isinstance(part, FieldNode):
                count += part.name.value == "totalCount"
            elif isinstance(part, InlineFragmentNode):
                count += self.counted(part.selection_set)
            else:
                assert isinstance(part, FragmentSpreadNode)
                count += self.counted_in_fragment(part.name.value)
        return count

    def counted_in_fragment(self, name: str) -> int:
        if name not in self.counts:
            self.counts[name] = self.counted(self.fragments[name].selection_set)
        return self.counts[name]

    def page_size(self, node: FieldNode) -> int:
        sizes = [
            self.number(argument.value) for argument in node.arguments or () if argument.name.value in ("first", "last")
        ]
        return max((size for size in sizes if size is not None), default=DEFAULT_PAGE)

    def number(self, value: ValueNode) -> int | None:
        if isinstance(value, IntValueNode):
            return max(int(value.value), 0) if len(value.value) < 12 else None
        variable = self.variables.get(value.name.value) if isinstance(value, VariableNode) else None
        return max(variable, 0) if isinstance(variable, int) else None

    def list_length(self, node: FieldNode) -> int:
        """Returns the number of ids of a look-up by ids, the maximum number of groups, or 1 for any other list."""
        if node.name.value in STATISTICS:
            return MOST_GROUPS
        for argument in node.arguments or ():
            if argument.name.value == "ids":
                value = argument.value
                variable = self.variables.get(value.name.value) if isinstance(value, VariableNode) else None
                ids = value.values if isinstance(value, ListValueNode) else variable
                return len(ids) if isinstance(ids, list | tuple) else 1
        return 1


def _with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        definition.variable.name.value: int(definition.default_value.value)
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode) and len(definition.default_value.value) < 12
    }
    return defaults | dict(variables)


def each_node(*nodes: Node) -> Iterator[Node]:
    """Yields the nodes and all nodes inside them, without recursion: a document may be deep."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for key in node.keys:
            value = getattr(node, key, None)
            if isinstance(value, Node):
                waiting.append(value)
            elif isinstance(value, list | tuple):
                waiting.extend(item for item in value if isinstance(item, Node))
