"""Messages for oneOf inputs (`by`, `asOf`) that do not have exactly one key: they name the argument and the key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    NamedTypeNode,
    Node,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    TypeNode,
    VariableDefinitionNode,
    VariableNode,
)
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.schema.schema_converter import GraphQLCoreConverter

from api.graphql.limits import each_node


def explain_literals(errors: Sequence[GraphQLError], document: DocumentNode) -> None:
    """Sets the messages of the validation's errors about oneOf literals, in place."""
    refused = {id(error.nodes[0]): error for error in errors if _is_of_one_of(error) and error.nodes}
    if not refused:
        return
    for node in each_node(document):
        for place, value in _values(node):
            error = refused.get(id(value))
            if error is not None and isinstance(value, ObjectValueNode):
                error.message = _explain_literal(place, value)


def explain_variables(
    errors: Sequence[GraphQLError],
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> None:
    """Sets the message of the execution's error about a oneOf variable, in place. Execution stops at the first one."""
    error = next((error for error in errors if _is_of_one_of(error) and not error.nodes), None)
    if error is None:
        return
    for definition in operation.variable_definitions or ():
        name, type_ = definition.variable.name.value, schema.type_map.get(_type_name(definition.type))
        value = variables.get(name)
        if isinstance(value, Mapping) and _is_one_of(type_):
            nulls = [key for key, item in value.items() if item is None]
            if nulls or len(value) != 1:
                error.message = _explain(f"${name}", list(value), nulls)
                return


def _is_of_one_of(error: GraphQLError) -> bool:
    return isinstance(error, StrawberryInputCoercionError)


def _values(node: Node) -> Iterator[tuple[str, Node | None]]:
    """Yields the value that an argument or a variable definition has, and its name as a message shows it."""
    match node:
        case ArgumentNode():
            yield node.name.value, node.value
        case VariableDefinitionNode():
            yield f"${node.variable.name.value}", node.default_value


def _type_name(node: TypeNode) -> str:
    return node.name.value if isinstance(node, NamedTypeNode) else _type_name(node.type)  # type: ignore[attr-defined]


def _is_one_of(type_: Any) -> bool:
    if not isinstance(type_, GraphQLInputObjectType):
        return False
    return bool(type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].is_one_of)


def _explain_literal(place: str, value: ObjectValueNode) -> str:
    keys = [field.name.value for field in value.fields]
    nulls = [field.name.value for field in value.fields if isinstance(field.value, NullValueNode)]
    if len(keys) == 1 and not nulls and isinstance(value.fields[0].value, VariableNode):
        variable = value.fields[0].value.name.value
        return f"{place}: {keys[0]} is ${variable}, which may be null; declare ${variable} with a non-null type."
    return _explain(place, keys, nulls)


def _explain(place: str, keys: Sequence[str], nulls: Sequence[str]) -> str:
    if nulls and len(keys) > 1:
        are, them = ("is", "it") if len(nulls) == 1 else ("are", "them")
        return f"{place}: {' and '.join(nulls)} {are} null; leave {them} out: null counts as a key."
    if nulls:
        return f"{place}: {nulls[0]} is null; give one key with a value."
    if keys:
        return f"{place}: {' and '.join(keys)} are given; give exactly one key."
    return f"{place} has no key; give exactly one."
