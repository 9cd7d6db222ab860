"""From a document to its levels: for each place in the response, the type, its relation, and how each field is made.

graphql-core's own `collect_fields` collects the fields, so that fragments, merged fields and their order are the same.
It evaluates `@skip` and `@include` as well: a plan is valid for the values of the variables that they read.

Selections that are alike make one level, whatever their aliases: their rows are read and written together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, ClassVar, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
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
    get_named_type,
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
from api.graphql.plan import text_columns
from api.graphql.plan.fields import PSEUDO_CELLS, Rule, interfaces_of_rows, itself, relation_of, rule_of, types_of
from api.graphql.plan.text_columns import Block, TextColumn, block_of, cell_of
from api.graphql.plan.write import JSON, Notation, Text, Texts, TextWriter, Writer, refuse_null, text_of, texts_of
from api.queries.sql.relations import Cells, Relation
from api.reading.read import Shape, shape_of


class NotCompiled(Exception):
    """Only graphql-core can execute this operation."""


Arguments = Callable[[VariableValues], dict[str, Any]]
"""Returns the arguments of a field in a request."""


@dataclass(eq=False)
class Selected:
    """A field of a level that is made for many rows at once.

    `child` is the level of its values; without one, `text` writes them. `is_list`: a value is a list. `required`: the
    value must not be null, `items_required`: nor may an item of its list. `cells` takes the cells of rows or, if the
    rule converts them, makes the values.
    """

    key: str
    rule: Rule
    arguments: Arguments
    child: "Level | Choice | None"
    text: Text | None
    is_list: bool
    required: bool
    items_required: bool
    cells: Callable[[Sequence[Cells], Sequence[Any]], list[Any]] = field(init=False)


@dataclass(eq=False)
class Inline:
    """A field that is written from the cells of its row. `type` is None for a text that is written as it is."""

    key: str
    rule: Rule
    text: Text
    type: GraphQLOutputType | None = None

    @property
    def has_few(self) -> bool:
        """Whether the values are of an enum, so that the plan keeps all their texts."""
        return isinstance(get_named_type(self.type), GraphQLEnumType)

    def texts(self, notation: Notation) -> TextWriter:
        """Returns what writes many values."""
        return TextWriter(lambda values: values, refuse_null) if self.type is None else texts_of(self.type, notation)


@dataclass(eq=False)
class Embedded:
    """A field of an object that is written from the cells of its row, like each of its own fields.

    The object is a part of the row, or is made from cells.
    """

    key: str
    rule: Rule
    child: "Level"
    required: bool

    def missing(self) -> str:
        """Returns the text of a missing object. Raises NotAnswered if there must be one."""
        return refuse_null() if self.required else self.child.null


@dataclass(eq=False)
class Constant:
    key: str
    text: str


@dataclass(eq=False)
class Level:
    """The selection of one type. `relation` is that of its rows, None for plain objects."""

    relation: Relation | None
    fields: list[Selected | Inline | Embedded | Constant]
    notation: Notation = JSON
    write: Callable[..., Sequence[str]] = field(init=False)

    @cached_property
    def selected(self) -> list[Selected]:
        return [field for field in self.fields if isinstance(field, Selected)]

    @cached_property
    def in_turn(self) -> list[Selected]:
        """The selected fields in the order in which they are made."""
        return sorted(self.selected, key=lambda field: field.rule.is_late)

    @cached_property
    def cells(self) -> int:
        """The number of leaves."""
        children = (getattr(part, "child", None) for part in self.fields)
        return sum(child.cells if child else 1 for child in children)

    @cached_property
    def null(self) -> str:
        """The text of a missing object."""
        return self.notation.null(self.cells)

    def needs(self) -> set[str]:
        """Returns the cells that the fields need."""
        return {cell for part in self.fields if not isinstance(part, Constant) for cell in part.rule.cells}

    def compile(self, shapes: Mapping[Relation, Shape], *, by_column: bool) -> None:
        """Makes the functions that take the cells of rows, and that write them: row by row, or thousands by column."""
        if by_column:
            write = self._column(shapes)
            block = Block if self.relation is None else block_of
            self.write = lambda rows, pins, *texts: write(block(rows, pins, selected=texts)) if rows else []
        else:
            writer = Writer(self.notation)
            self.write = writer.compile(self._expressions(writer, shapes))

    def _shape(self, shapes: Mapping[Relation, Shape]) -> Shape | None:
        return None if self.relation is None else shapes[self.relation]

    def _column(self, shapes: Mapping[Relation, Shape]) -> TextColumn:
        """Returns the column of whole rows."""
        shape, places = self._shape(shapes), count()

        def column(part: Selected | Inline | Embedded | Constant) -> TextColumn:
            if isinstance(part, Constant):
                return text_columns.constant(part.text)
            convert = None if part.rule.convert is itself else part.rule.convert
            cells = [cell_of(name, shape) for name in part.rule.cells]
            match part:
                case Inline():
                    texts = part.texts(self.notation)
                    if len(cells) == 1 and shape is not None and part.rule.cells[0] in shape.columns:
                        return text_columns.repeated(cells[0], convert, texts)
                    return text_columns.made(cells, part.rule.convert or itself, texts)
                case Embedded():
                    write, missing = part.child._column(shapes), part.missing
                    if convert is not None:
                        return text_columns.objects(cells, convert, write, missing)
                    return text_columns.parts(cells[2] if len(cells) > 2 else None, write, missing)
                case Selected():
                    part.cells = _cells(part.rule, shape)
                    return text_columns.selected(next(places))

        written = [(part.key, column(part)) for part in self.fields]
        keys = [key for key, _ in written]
        return lambda block: self.notation.rows(keys, [column(block) for _, column in written])

    def _expressions(self, writer: Writer, shapes: Mapping[Relation, Shape]) -> list[tuple[str, str]]:
        """Returns the key of each field and the expression that writes it."""
        shape = self._shape(shapes)

        def expression(part: Selected | Inline | Embedded | Constant) -> str:
            if isinstance(part, Constant):
                return writer.name(part.text)
            cells, convert = _expressions_of_cells(part.rule, shape), part.rule.convert
            match part:
                case Inline():
                    if part.has_few and shape and len(cells) == 1 and part.rule.cells[0] in shape.columns:
                        return f"{writer.name(Texts(_text_of_cell(part)))}[{cells[0]}]"
                    value = ", ".join(cells)
                    value = value if convert is itself else f"{writer.name(convert)}({value})"
                    return f"{writer.name(part.text)}({value})"
                case Embedded():
                    inner = writer.inner(part.child._expressions(writer, shapes))
                    null = f"{writer.name(refuse_null)}()" if part.required else writer.name(part.child.null)
                    if convert is not None:
                        value = f"{writer.name(convert)}({', '.join(cells)})"
                        return f"{inner}(o, p) if (o := {value}) is not None else {null}"
                    present = cells[2:]
                    return f"{inner}(r, p) if {present[0]} else {null}" if present else f"{inner}(r, p)"
                case Selected():
                    part.cells = _cells(part.rule, shape)
                    return writer.column()

        return [(part.key, expression(part)) for part in self.fields]


def _text_of_cell(part: Inline) -> Text:
    convert, text = part.rule.convert, part.text
    assert convert is not None  # an inline field is made by its own function
    return text if convert is itself else lambda value: text(convert(value))


def _expressions_of_cells(rule: Rule, shape: Shape | None) -> list[str]:
    """Returns the expression of each cell of a row `r` with its pin `p`."""

    def expression(name: str) -> str:
        if shape is None:
            return "r" if name == "self" else f"r.{name}"
        return {"row": "r", "pin": "p"}.get(name) or f"r[{shape.place(name)}]"

    return list(map(expression, rule.cells))


def _cells(rule: Rule, shape: Shape | None) -> Callable[[Sequence[Cells], Sequence[Any]], list[Any]]:
    """Returns the function that takes the cells of rows or, if the rule converts them, makes the values.

    Of a field that refers to rows it takes their ids.
    """
    cells = _expressions_of_cells(rule, shape)
    joined = ", ".join(cells)
    made = joined if rule.cells == ("self",) else f"({joined}{',' if cells else ''})"
    made = made if rule.convert is None else f"convert({joined})"
    made = made if rule.refers is None else cells[1]
    taken: Callable[..., list[Any]] = eval(
        f"lambda rows, pins: [{made} for r, p in zip(rows, pins)]", {"convert": rule.convert}
    )
    return taken


@dataclass(eq=False)
class Choice:
    """The levels of an interface, by what `name_of` returns for a row: the name of its relation, or of its own type.

    `others` is the level of types that no fragment names.
    """

    name_of: Callable[[Cells, Relation], str]
    levels: "Mapping[str, Level | Choice]"
    others: Level | None
    null: ClassVar[str] = JSON.missing
    cells: ClassVar[int] = 1

    def level_of(self, row: Cells, relation: Relation) -> Level:
        """Returns the level of a row."""
        chosen = self.levels.get(self.name_of(row, relation), self.others)
        assert chosen is not None  # one of the levels is that of the row's relation
        return chosen.level_of(row, relation) if isinstance(chosen, Choice) else chosen


@dataclass(eq=False)
class Plan:
    """A compiled operation, and the shape of the rows of each relation that it selects from."""

    root: Level
    shapes: Mapping[Relation, Shape]


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
    for lists of objects, nor for objects of several types.

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
            return Choice(
                lambda row, of: of.name, {of.name: self._child(row, details) for of, row in rows.items()}, None
            )
        others = self._level(type_, self._subfields(type_, details))
        named = self._named_types(details, relation)
        if not named:
            return others
        cell, types = types_of(type_)
        self._needs[relation].add(cell)
        shapes = self._shapes

        def name_of(row: Cells, relation: Relation) -> str:
            return types[row[shapes[relation].place(cell)]]

        levels = {type_.name: self._level(type_, self._subfields(type_, details)) for type_ in named}
        if self._for_exports:
            _make_uniform([others, *levels.values()], list(dict.fromkeys(_keys(details[0].node.selection_set))))
        return Choice(name_of, levels, others)

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


def _make_uniform(levels: Sequence[Level], keys: Sequence[str]) -> None:
    """Gives all levels the same fields in the same order: a null for each that a level lacks."""
    fields = [{field.key: field for field in level.fields} for level in levels]
    for level, own in zip(levels, fields, strict=True):
        nulls = {key: next(_null_of(of[key], level.notation) for of in fields if key in of) for key in keys}
        level.fields = [own.get(key) or Constant(key, nulls[key]) for key in keys]


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
