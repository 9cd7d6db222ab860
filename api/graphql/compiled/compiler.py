"""Compiles an operation to closures: a step for each field of each object type, a completion for each type of value."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    VariableNode,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetailsList, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from strawberry import Schema
from strawberry.schema.schema_converter import CustomGraphQLEnumType, GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from api.graphql.compiled.execution import Complete, NotAnswered, PendingValue, Plan, Run, Select, Step
from api.graphql.context import Context
from api.graphql.limits import each_node

Infos = Callable[[Run], GraphQLResolveInfo[Context]]
"""Returns the info of a field, the same for all objects of a request."""


class NotCompiled(Exception):
    """Only graphql-core can execute this operation."""


def compile_plan(
    schema: Schema, document: DocumentNode, operation: OperationDefinitionNode, conditions: Mapping[str, Any]
) -> Plan | None:
    """Returns the plan of a query; None if it cannot be compiled.

    The plan is valid for the values of `conditions`: the variables that `@skip` and `@include` read.
    """
    try:
        return _Compiler(schema, document, operation, conditions).plan()
    except (NotCompiled, GraphQLError):
        return None


class _Compiler:
    def __init__(
        self, schema: Schema, document: DocumentNode, operation: OperationDefinitionNode, conditions: Mapping[str, Any]
    ) -> None:
        self._strawberry = schema
        self._schema = schema._schema
        self._operation = operation
        self._conditions = VariableValues({}, dict(conditions))
        self._definitions = {
            part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
        }
        self._fragments = {name: FragmentDetails(node) for name, node in self._definitions.items()}

    def plan(self) -> Plan:
        root = self._schema.query_type
        assert root is not None  # the schema has a Query
        fields = collect_fields(self._schema, self._fragments, self._conditions, root, self._operation)
        return self._select(root, fields.grouped_field_set)

    # The fields of an object

    def _select(self, parent: GraphQLObjectType, fields: Mapping[str, FieldDetailsList]) -> Select:
        steps = [self._step(parent, key, details) for key, details in fields.items()]

        def select(source: Any, run: Run) -> dict[str, Any]:
            response: dict[str, Any] = {}
            for step in steps:
                step(source, response, run)
            return response

        return select

    def _step(self, parent: GraphQLObjectType, key: str, details: FieldDetailsList) -> Step:
        name = details[0].node.name.value
        if name == "__typename":
            return _typename(key, parent.name)
        definition = parent.fields.get(name)
        if definition is None:
            raise NotCompiled(f"{name} is a field of the schema itself")
        field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if not isinstance(field, StrawberryField) or field.extensions:
            raise NotCompiled(f"{parent.name}.{name} has extensions")
        infos = self._infos(parent, definition, details)
        complete = self._complete(definition.type, details, infos)
        if field.base_resolver is not None:
            return self._resolver(key, field, definition, details[0].node, infos, complete)
        if field.default_resolver is not getattr:
            raise NotCompiled(f"{parent.name}.{name} has its own default resolver")
        return _attribute(key, field.python_name, complete)

    def _resolver(
        self,
        key: str,
        field: StrawberryField,
        definition: GraphQLField,
        node: FieldNode,
        infos: Infos,
        complete: Complete,
    ) -> Step:
        resolver = field.base_resolver
        assert resolver is not None  # the caller has checked
        if resolver.self_parameter is None or resolver.parent_parameter or resolver.root_parameter:
            raise NotCompiled(f"the resolver of {field.name} does not take self")
        function: Any = resolver.wrapped_func
        info_name = resolver.info_parameter.name if resolver.info_parameter else None
        bare = not definition.args and info_name is None
        varies = any(isinstance(part, VariableNode) for part in each_node(*(node.arguments or ())))
        constant = None if varies else self._arguments(field, definition, node, VariableValues({}, {}))

        def arguments(run: Run) -> dict[str, Any]:
            """Returns the arguments of the resolver, the same for all objects of a request."""
            values = run.arguments.get(arguments)
            if values is None:
                values = self._arguments(field, definition, node, run.variables) if constant is None else dict(constant)
                if info_name is not None:
                    values[info_name] = self._strawberry.config.info_class(_raw_info=infos(run), _field=field)
                run.arguments[arguments] = values
            return values

        def waits(source: Any, response: dict[str, Any], run: Run) -> None:
            response[key] = None  # keeps the order of the fields; the value follows
            run.pending.append(PendingValue(function(source, **arguments(run)), response, key, complete))

        def plain(source: Any, response: dict[str, Any], run: Run) -> None:
            response[key] = complete(function(source), run)

        def with_arguments(source: Any, response: dict[str, Any], run: Run) -> None:
            response[key] = complete(function(source, **arguments(run)), run)

        if field.is_async:
            return waits
        return plain if bare else with_arguments

    def _arguments(
        self, field: StrawberryField, definition: GraphQLField, node: FieldNode, variables: VariableValues
    ) -> dict[str, Any]:
        """Returns the arguments as the resolver takes them. Raises if a value does not match its type."""
        return convert_arguments(
            get_argument_values(definition, node, variables) if definition.args else {},
            field.arguments,
            scalar_registry=self._strawberry.schema_converter.scalar_registry,
            config=self._strawberry.config,
        )

    def _infos(self, parent: GraphQLObjectType, definition: GraphQLField, details: FieldDetailsList) -> Infos:
        """Returns the function that makes the info of a field."""
        nodes = [part.node for part in details]

        def info(run: Run) -> GraphQLResolveInfo[Context]:
            return GraphQLResolveInfo(
                field_name=nodes[0].name.value,
                field_nodes=nodes,
                return_type=definition.type,
                parent_type=parent,
                path=None,  # type: ignore[arg-type]  # no resolver reads this
                schema=self._schema,
                fragments=self._definitions,
                root_value=None,
                operation=self._operation,
                variable_values=run.variables,
                context=run.context,
                is_awaitable=None,  # type: ignore[arg-type]  # nor these
                abort_signal=None,
                async_helpers=None,  # type: ignore[arg-type]
            )

        return info

    # The completion of a value, by its type

    def _complete(self, type_: GraphQLOutputType, details: FieldDetailsList, infos: Infos) -> Complete:
        match type_:
            case GraphQLNonNull():
                return _required(self._present(type_.of_type, details, infos))
            case _:
                return _optional(self._present(type_, details, infos))

    def _present(self, type_: GraphQLOutputType, details: FieldDetailsList, infos: Infos) -> Complete:
        """Returns the completion of a value that is not None."""
        if is_leaf_type(type_):
            return _leaf(type_)
        match type_:
            case GraphQLList():
                return _list(self._complete(type_.of_type, details, infos))
            case GraphQLInterfaceType():
                return self._interface(type_, details, infos)
            case GraphQLObjectType():
                return self._object(type_, details, infos)
            case _:
                raise NotCompiled(f"{type_} is a kind of type that no field of the schema has")

    def _interface(self, type_: GraphQLInterfaceType, details: FieldDetailsList, infos: Infos) -> Complete:
        completions: dict[type, Complete] = {}

        def complete(value: Any, run: Run) -> Any:
            completion = completions.get(type(value))
            if completion is None:
                assert type_.resolve_type is not None  # Strawberry gives each interface one
                concrete = self._schema.get_type(str(type_.resolve_type(value, infos(run), type_)))
                if not isinstance(concrete, GraphQLObjectType) or not self._schema.is_sub_type(type_, concrete):
                    raise NotAnswered(f"{value!r} is not of type {type_.name}")
                completion = completions[type(value)] = self._object(concrete, details, infos)
            return completion(value, run)

        return complete

    def _object(self, type_: GraphQLObjectType, details: FieldDetailsList, infos: Infos) -> Complete:
        fields = collect_subfields(self._schema, self._fragments, self._conditions, self._operation, type_, details)
        select = self._select(type_, fields.grouped_field_set)
        is_type_of = type_.is_type_of
        if is_type_of is None:
            return select
        checked: set[type] = set()

        def complete(value: Any, run: Run) -> Any:
            if type(value) not in checked:
                if not is_type_of(value, infos(run)):
                    raise NotAnswered(f"{value!r} is not of type {type_.name}")
                checked.add(type(value))
            return select(value, run)

        return complete


def _typename(key: str, name: str) -> Step:
    def step(source: Any, response: dict[str, Any], run: Run) -> None:
        response[key] = name

    return step


def _attribute(key: str, name: str, complete: Complete) -> Step:
    read = attrgetter(name)

    def step(source: Any, response: dict[str, Any], run: Run) -> None:
        response[key] = complete(read(source), run)

    return step


def _required(present: Complete) -> Complete:
    def complete(value: Any, run: Run) -> Any:
        if value is None:
            raise NotAnswered("null in a non-null field")
        return present(value, run)

    return complete


def _optional(present: Complete) -> Complete:
    def complete(value: Any, run: Run) -> Any:
        return None if value is None else present(value, run)

    return complete


def _list(item: Complete) -> Complete:
    def complete(values: Any, run: Run) -> Any:
        if not isinstance(values, list | tuple):
            raise NotAnswered(f"{values!r} is not a list")
        return [item(value, run) for value in values]

    return complete


def _leaf(type_: GraphQLLeafType) -> Complete:
    if isinstance(type_, CustomGraphQLEnumType):
        return _enum(type_)
    serialize = type_.coerce_output_value

    def complete(value: Any, run: Run) -> Any:
        output = serialize(value)
        if output is None:
            raise NotAnswered(f"{value!r} is not of type {type_.name}")
        return output

    return complete


def _enum(type_: CustomGraphQLEnumType) -> Complete:
    members: Any = type_.wrapped_cls
    names = {member: type_.coerce_output_value(member) for member in members}

    def complete(value: Any, run: Run) -> Any:
        # a member of an IntEnum equals the same plain number
        if not isinstance(value, members):
            raise NotAnswered(f"{value!r} is not of type {type_.name}")
        return names[value]

    return complete
