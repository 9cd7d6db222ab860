"""The levels of a plan: for each place in the response, its relation, and how each field is made and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLOutputType,
    get_named_type,
)
from graphql.execution.values import VariableValues

from api.graphql.plan import text_columns
from api.graphql.plan.fields import Rule, itself
from api.graphql.plan.text_columns import Block, TextColumn, block_of, cell_of
from api.graphql.plan.write import JSON, Notation, Text, Texts, TextWriter, Writer, refuse_null, texts_of
from api.queries.sql.relations import Cells, Relation
from api.reading.read import Shape

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
    others: "Level | Choice | None"

    @property
    def null(self) -> str:
        """The text of a missing object."""
        return self._first.null

    @property
    def cells(self) -> int:
        """The number of leaves. In an export, all levels have the same."""
        return self._first.cells

    @property
    def _first(self) -> "Level | Choice":
        return next(iter(self.levels.values()))

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
