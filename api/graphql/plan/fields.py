"""The five kinds of fields: `column`, `value`, `one`, `many`, `computed`. A field is declared once, for both executors.

A type of the schema is the type of the rows of a relation (`of(DEVICE)`), or that of plain objects with attributes. A
field names the cells that it needs: columns of the relation or attributes of the object, and

- `row`: the row itself; `pin`: the point that the row is read at; `self`: the plain object itself
- `reading`: the decoded log of an event

`column` and `value` make a value from the cells of one row. The others make the values of many rows at once: a batch
function takes the context of the request and the cells of each row, and reads with `context.read`. It returns a value
for each row; an exception in place of a value is the error of that row alone. Where the field's type is that of a
relation's rows, a value is a `Ref` (a row to be read, by its id) or an `At` (a row that was read), each with its pin.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Signature
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import strawberry
from graphql import GraphQLInterfaceType, GraphQLNamedType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from api.queries.sql.as_of import Pin
from api.queries.sql.keys import RowsByKey, key_of
from api.queries.sql.relations import Cells, Relation
from schema.tables.damage import WAY_OUT, DamagedData

TypeT = TypeVar("TypeT", bound=type)

RULE = "certindex"
"""The entry of a Strawberry field's metadata that holds its rule."""

SOURCE = "certindex-source"
"""The entry that holds the source of a subscription's messages."""


class Ref(NamedTuple):
    """A row by its id. If it is required, it is a defect of the data that it does not exist."""

    relation: Relation
    id: int
    pin: Pin
    required: bool = True


class At(NamedTuple):
    """A row in the shape of its relation, and the pin that it is read at."""

    row: Cells
    pin: Pin
    relation: Relation


def at_ref(ref: Ref, row: Cells | None) -> At | DamagedData | None:
    """Returns the row that was read for a reference; if there is none, None or the error."""
    if row is not None:
        return At(row, ref.pin, ref.relation)
    if not ref.required:
        return None
    return DamagedData(
        f"A row refers to {ref.relation.name.replace('_', ' ')} {ref.id} of chain {ref.pin.chain_id}, which does not "
        f"exist at {ref.pin.position}. {WAY_OUT}"
    )


Batch = Callable[..., Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a field is made from `cells`: by `convert` from those of one row, else by `batch` from those of many.

    If it is `joint`, a batch may have rows with different arguments, and takes the arguments of each. `of_fact`: the
    field of the fact that is converted, '' for that of the field's own name. `refers`: the relation of the row whose id
    is in the second cell. `is_part`: the value is the row itself, null if the third cell is there and empty.
    `is_late`: a plan makes it after the other fields of its level, which may have read what it needs.
    """

    cells: tuple[str, ...]
    convert: Callable[..., Any] | None = None
    batch: Batch | None = None
    joint: bool = False
    of_fact: str | None = None
    refers: Relation | None = None
    is_part: bool = False
    is_late: bool = False


def of(relation: Relation, by: str | None = None) -> Callable[[TypeT], TypeT]:
    """Declares that a type is that of a relation's rows. `by`: the cell that decides on the type of an interface's row.

    The interface's attribute `types` has the type for each value of that cell.
    """

    def decorate(cls: TypeT) -> TypeT:
        cls.relation, cls.by = relation, by  # type: ignore[attr-defined]  # what this declares
        return cls

    return decorate


def column(
    description: str, convert: Callable[[Any], Any] | None = None, *, source: str | None = None, name: str | None = None
) -> Any:
    """Declares a field that is one cell, by default that of its own name, converted."""
    return _field(description, Rule((source,) if source else (), convert or itself), name)


def fact(description: str, convert: Callable[[Any], Any], *, source: str | None = None, name: str | None = None) -> Any:
    """Declares a field of an event that is a field of its fact, by default that of its own name, converted."""
    return _field(description, Rule(("reading",), convert, of_fact=source or ""), name)


def value(description: str, convert: Callable[..., Any], *cells: str, name: str | None = None) -> Any:
    """Declares a field that a plain function makes from cells of one row."""
    return _field(description, Rule(cells, convert), name)


def one(description: str, relation: Relation, source: str, name: str | None = None) -> Any:
    """Declares a field that is the row of a relation whose id is in a cell."""

    def batch(context: Any, rows: Sequence[tuple[Pin, int | None]]) -> list[Ref | None]:
        return [None if id is None else Ref(relation, id, pin) for pin, id in rows]

    return _field(description, Rule(("pin", source), batch=batch, refers=relation), name)


def part(description: str, relation: Relation, present: str | None = None) -> Any:
    """Declares a field that is a part of the same row: `one` without a read. It is null if the cell `present` is."""

    def batch(context: Any, rows: Sequence[tuple[Any, ...]]) -> list[At | None]:
        return [At(row, pin, relation) if not rest or rest[0] else None for row, pin, *rest in rows]

    cells = ("row", "pin", *((present,) if present else ()))
    return _field(description, Rule(cells, batch=batch, is_part=True), None)


def computed(
    description: str,
    batch: Callable[..., Sequence[Any]],
    *cells: str,
    joint: bool = False,
    is_late: bool = False,
    name: str | None = None,
) -> Any:
    """Declares a field that a batch function makes. Its keyword-only parameters become the arguments of the field."""
    made = _field(description, Rule(cells, batch=batch, joint=joint, is_late=is_late), name)
    made.arguments = arguments_of(batch)
    return made


def row_of(relation: Relation, rows_by_key: RowsByKey) -> Callable[..., list[Ref | None]]:
    """Returns the batch function of a field that is the row that a query finds for each `pin` and `id`."""

    def batch(context: Any, parents: Sequence[tuple[Pin, int]]) -> list[Ref | None]:
        rows = context.read.each(rows_by_key, [key_of(pin, id) for pin, id in parents])
        pins = [pin for pin, _ in parents]
        return [None if row is None else Ref(relation, row.id, pin) for row, pin in zip(rows, pins, strict=True)]

    return batch


def live(description: str, source: Callable[..., Any]) -> Any:
    """Declares a root field of subscriptions, whose values are the messages of a source.

    `source(context, place, size, **arguments)` returns the batch of at most `size` messages after a place, None for the
    start. Its keyword-only parameters become the arguments of the field.
    """
    made = _field(description, Rule(("self",), itself), None)
    made.metadata = {**made.metadata, SOURCE: source}
    made.arguments = arguments_of(source)
    return made


def arguments_of(function: Callable[..., Any]) -> list[StrawberryArgument]:
    """Returns the arguments of a field that a function's keyword-only parameters declare."""
    return _Parameters(function).arguments


class _Parameters(StrawberryResolver[Any]):
    @cached_property
    def signature(self) -> Signature:
        whole = super().signature
        return whole.replace(
            parameters=[
                parameter for parameter in whole.parameters.values() if parameter.kind is parameter.KEYWORD_ONLY
            ]
        )


def rule_of(field: StrawberryField) -> Rule:
    """Returns the rule of a field. One without a rule is the attribute of its name."""
    rule: Rule = field.metadata.get(RULE, ATTRIBUTE)
    if rule.convert is None:
        return rule
    if rule.of_fact is not None:
        read, convert = attrgetter(f"fact.{rule.of_fact or field.python_name}"), rule.convert
        return Rule(rule.cells, lambda reading: convert(read(reading)))
    return rule if rule.cells else Rule((field.python_name,), rule.convert)


def itself(value: Any) -> Any:
    return value


ATTRIBUTE = Rule((), itself)


def _field(description: str, rule: Rule, name: str | None) -> Any:
    made: Any = strawberry.field(description=description, name=name, metadata={RULE: rule})
    made.init = False
    return made


# What the schema's types declare

PSEUDO_CELLS = {"row", "pin", "self"}


def class_of(type_: GraphQLNamedType) -> Any:
    """Returns the class that a type of the schema is made from."""
    return type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin


def relation_of(type_: GraphQLNamedType) -> Relation | None:
    """Returns the relation of a type's rows, None if its values are plain objects."""
    definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return getattr(definition.origin, "relation", None) if definition is not None else None


def types_of(interface: GraphQLInterfaceType) -> tuple[str, Mapping[Any, str]]:
    """Returns the cell that decides on the type of an interface's row, and the names of the types by its values."""
    cls = class_of(interface)
    return cls.by, {value: type_.__strawberry_definition__.name for value, type_ in cls.types.items()}


def interfaces_of_rows(schema: GraphQLSchema, interface: GraphQLInterfaceType) -> Mapping[Relation, GraphQLNamedType]:
    """Returns the type of the rows of each relation that an interface has: an object type, or a narrower interface."""
    rows: dict[Relation, GraphQLNamedType] = {}
    for type_ in schema.get_possible_types(interface):
        relation = relation_of(type_)
        if relation is not None:  # else no value has the type
            rows[relation] = next((narrower for narrower in type_.interfaces if relation_of(narrower)), type_)
    return rows
