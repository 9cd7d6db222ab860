"""Compiles a document to the levels of its plan.

graphql-core's own `collect_fields` collects the fields, so that fragments, merged fields and their order are the same.
It evaluates `@skip` and `@include` as well: a plan is valid for the values of the variables that they read.

Selections that are alike make one level, whatever their aliases: their rows are read and written together.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    is_leaf_type,
    print_ast,
)
from graphql.execution.collect_fields import FieldDetailsList, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from strawberry import Schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from api.graphql.limits import each_node
from api.graphql.plan.fields import PSEUDO_CELLS, Rule, interfaces_of_rows, relation_of, rule_of, types_of
from api.graphql.plan.levels import Arguments, Choice, Constant, Embedded, Inline, Level, Plan, Selected
from api.graphql.plan.write import JSON, Notation, text_of
from api.queries.sql.relations import Cells, Relation
from api.reading.read import Shape, shape_of


class NotCompiled(Exception):
    """Only graphql-core can execute this operation."""


def compile_plan(
    schema: Schema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    conditions: Mapping[str, Any],
    notation: Notation = JSON,
    *,
    for_exports: bool = False,
) -> Plan | None:
    """Returns the plan of a query; None if it cannot be compiled.

    The plan is valid for the values of `conditions`: the variables that `@skip` and `@include` read. CSV has no text
    for lists of objects.

    `for_exports`: it writes thousands of rows at a time, by column. Objects of several types are written with the
    fields of all; those that a type lacks are null.
    """
    try:
        return _Compiler(schema, document, operation, conditions, notation, for_exports).plan()
    except (NotCompiled, GraphQLError):
        return None


class _Compiler:
    def __init__(
        self,
        schema: Schema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        conditions: Mapping[str, Any],
        notation: Notation,
        for_exports: bool,
    ) -> None:
        self._strawberry = schema
        self._notation = notation
        self._for_exports = for_exports
        self._schema = schema._schema
        self._operation = operation
        self._conditions = VariableValues({}, dict(conditions))
        self._fragments = _fragments(document)
        self._levels: dict[Any, Level] = {}
        self._needs: dict[Relation, set[str]] = defaultdict(set)
        self._shapes: dict[Relation, Shape] = {}

    def plan(self) -> Plan:
        level = self._level(*_root(self._schema, self._fragments, self._operation, self._conditions))
        # a batch function may return a row of any relation that has a level
        self._shapes |= {relation: shape_of(relation, cells) for relation, cells in self._needs.items()}
        for each in self._levels.values():
            each.compile(self._shapes, by_column=self._for_exports)
        return Plan(level, self._shapes)

    # The fields of a type

    def _level(self, type_: GraphQLObjectType | GraphQLInterfaceType, fields: Mapping[str, FieldDetailsList]) -> Level:
        made = [self._field(type_, key, details) for key, details in fields.items()]
        name = (type_.name, *(alike for _, alike in made))
        level = self._levels.get(name)
        if level is None:
            relation = relation_of(type_)
            level = self._levels[name] = Level(relation, [field for field, _ in made], self._notation)
            if relation is not None:
                self._needs[relation] |= level.needs() - PSEUDO_CELLS
        return level

    def _field(
        self, parent: GraphQLObjectType | GraphQLInterfaceType, key: str, details: FieldDetailsList
    ) -> tuple[Selected | Inline | Embedded | Constant, Any]:
        """Returns a field, and what makes two fields alike."""
        node = details[0].node
        name = node.name.value
        if name == "__typename":
            return self._typename(parent, key), (key, name)
        definition = parent.fields.get(name)
        if definition is None:
            raise NotCompiled(f"{name} is a field of the schema itself")
        field: StrawberryField = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        rule = rule_of(field)
        named, is_list, required, items_required = _unwrapped(definition.type)
        arguments = ", ".join(print_ast(argument) for argument in node.arguments or ())
        if is_leaf_type(named):
            text = text_of(definition.type, self._notation)
            if rule.batch is None:
                return Inline(key, rule, text, definition.type), (key, name)
            child: Level | Choice | None = None
        else:
            text, child = None, self._child(named, details)
            if isinstance(child, Level) and not is_list and _is_embedded(relation_of(parent), rule, child):
                return Embedded(key, rule, child, required), (key, name, id(child))
        read = self._arguments(field, definition, node)
        selected = Selected(key, rule, read, child, text, is_list and child is not None, required, items_required)
        return selected, (key, name, arguments, id(child))

    def _typename(self, parent: GraphQLObjectType | GraphQLInterfaceType, key: str) -> Inline | Constant:
        if isinstance(parent, GraphQLObjectType):
            return Constant(key, f'"{parent.name}"')
        cell, types = types_of(parent)
        names = {kind: f'"{name}"' for kind, name in types.items()}
        return Inline(key, Rule((cell,), names.__getitem__), _as_it_is)

    def _arguments(self, field: StrawberryField, definition: GraphQLField, node: FieldNode) -> Arguments:
        if any(isinstance(part, VariableNode) for part in each_node(*(node.arguments or ()))):
            return lambda variables: _read_arguments(self._strawberry, field, definition, node, variables)
        constant = _read_arguments(self._strawberry, field, definition, node, VariableValues({}, {}))
        return lambda variables: constant

    # The level of the values of a field

    def _child(self, type_: Any, details: FieldDetailsList) -> Level | Choice:
        if isinstance(type_, GraphQLObjectType):
            return self._level(type_, self._subfields(type_, details))
        relation = relation_of(type_)
        if relation is None:
            rows = interfaces_of_rows(self._schema, type_)
            of_rows = {of.name: self._child(row, details) for of, row in rows.items()}
            if self._for_exports:
                of_rows = self._uniform(of_rows, details)
            return Choice(lambda row, of: of.name, of_rows, None)
        others = self._level(type_, self._subfields(type_, details))
        named = self._named_types(details, relation)
        if not named:
            return others
        cell, types = types_of(type_)
        self._needs[relation].add(cell)
        shapes = self._shapes

        def name_of(row: Cells, relation: Relation) -> str:
            return types[row[shapes[relation].place(cell)]]

        levels: dict[str, Level | Choice] = {
            type_.name: self._level(type_, self._subfields(type_, details)) for type_ in named
        }
        if self._for_exports:
            uniform = self._uniform({"": others, **levels}, details)
            return Choice(name_of, uniform, uniform[""])
        return Choice(name_of, levels, others)

    def _uniform(self, levels: Mapping[str, Level | Choice], details: FieldDetailsList) -> dict[str, Level | Choice]:
        """Returns levels with the same fields in the same order: a null for each that a level lacks."""
        keys = dict.fromkeys(_keys(details[0].node.selection_set))
        fields = {name: {field.key: field for field in _single(level).fields} for name, level in levels.items()}
        nulls = {key: next(_null_of(of[key], self._notation) for of in fields.values() if key in of) for key in keys}
        uniform: dict[str, Level | Choice] = {}
        for name, level in levels.items():
            made = [fields[name].get(key) or Constant(key, nulls[key]) for key in keys]
            key = ("uniform", id(level), *nulls.items())
            uniform[name] = self._levels.setdefault(key, replace(_single(level), fields=made))
        return uniform

    def _subfields(
        self, type_: GraphQLObjectType | GraphQLInterfaceType, details: FieldDetailsList
    ) -> Mapping[str, FieldDetailsList]:
        # a fragment on an interface fits an interface that implements it, as it fits an object
        return collect_subfields(
            self._schema, self._fragments, self._conditions, self._operation, cast(GraphQLObjectType, type_), details
        ).grouped_field_set

    def _named_types(self, details: FieldDetailsList, relation: Relation) -> list[GraphQLObjectType]:
        """Returns the object types of a relation that fragments of the selection name."""
        names: set[str] = set()
        waiting: list[SelectionSetNode | None] = [part.node.selection_set for part in details]
        seen: set[str] = set()
        while waiting:
            selection_set = waiting.pop()
            for part in selection_set.selections if selection_set else ():
                if isinstance(part, InlineFragmentNode):
                    names |= {part.type_condition.name.value} if part.type_condition else set()
                    waiting.append(part.selection_set)
                elif isinstance(part, FragmentSpreadNode) and part.name.value not in seen:
                    seen.add(part.name.value)
                    fragment = self._fragments[part.name.value].definition
                    names.add(fragment.type_condition.name.value)
                    waiting.append(fragment.selection_set)
        types = [self._schema.type_map[name] for name in sorted(names)]
        return [type_ for type_ in types if isinstance(type_, GraphQLObjectType) and relation_of(type_) is relation]


def _keys(selection_set: SelectionSetNode | None) -> Iterator[str]:
    """Returns the response keys of a selection in their order, with those in its inline fragments."""
    for part in selection_set.selections if selection_set else ():
        if isinstance(part, FieldNode):
            yield (part.alias or part.name).value
        elif isinstance(part, InlineFragmentNode):
            yield from _keys(part.selection_set)


def _single(level: Level | Choice) -> Level:
    assert isinstance(level, Level)  # a table names the types of a level once
    return level


def _null_of(field: Selected | Inline | Embedded | Constant, notation: Notation) -> str:
    child = getattr(field, "child", None)
    return child.null if child else notation.missing


def _is_embedded(relation: Relation | None, rule: Rule, child: Level) -> bool:
    """Whether a field of one object is written from the cells of a row of the relation."""
    is_made = relation is not None and rule.batch is None and child.relation is None
    return (rule.is_part or is_made) and not child.selected


RootField = tuple[StrawberryField, dict[str, Any]]
"""A root field that is selected, and its arguments."""


def root_fields(
    schema: Schema, document: DocumentNode, operation: OperationDefinitionNode, variables: VariableValues
) -> list[RootField]:
    """Returns the root fields of an operation in a request."""
    root, fields = _root(schema._schema, _fragments(document), operation, variables)
    nodes = [details[0].node for details in fields.values() if details[0].node.name.value in root.fields]
    definitions = [root.fields[node.name.value] for node in nodes]
    made = [definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF] for definition in definitions]
    return [
        (field, _read_arguments(schema, field, definition, node, variables))
        for field, definition, node in zip(made, definitions, nodes, strict=True)
    ]


def _root(
    schema: GraphQLSchema,
    fragments: dict[str, FragmentDetails],
    operation: OperationDefinitionNode,
    variables: VariableValues,
) -> tuple[GraphQLObjectType, Mapping[str, FieldDetailsList]]:
    type_ = schema.get_root_type(operation.operation)
    assert type_ is not None  # a valid operation has one
    return type_, collect_fields(schema, fragments, variables, type_, operation).grouped_field_set


def _fragments(document: DocumentNode) -> dict[str, FragmentDetails]:
    fragments = [part for part in document.definitions if isinstance(part, FragmentDefinitionNode)]
    return {part.name.value: FragmentDetails(part) for part in fragments}


def _read_arguments(
    schema: Schema, field: StrawberryField, definition: GraphQLField, node: FieldNode, variables: VariableValues
) -> dict[str, Any]:
    return convert_arguments(
        get_argument_values(definition, node, variables) if definition.args else {},
        field.arguments,
        scalar_registry=schema.schema_converter.scalar_registry,
        config=schema.config,
    )


def _as_it_is(text: str) -> str:
    return text


def _unwrapped(type_: GraphQLOutputType) -> tuple[Any, bool, bool, bool]:
    """Returns the named type, whether it is that of a list's items, and whether value and items must not be null."""
    required = isinstance(type_, GraphQLNonNull)
    inner: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    is_list = isinstance(inner, GraphQLList)
    item = inner.of_type if is_list else inner
    items_required = is_list and isinstance(item, GraphQLNonNull)
    return (item.of_type if items_required else item), is_list, required, items_required
