"""The columns of an export: their names, types and descriptions, by the schema."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    is_leaf_type,
)


class Column(NamedTuple):
    """A column. `type` is a scalar of the schema or `Enum`; `values` are those of an enum.

    `path` leads to the field, from the row through its objects. `required`: no row lacks a value.
    """

    path: tuple[str, ...]
    description: str
    type: str
    values: Sequence[str] = ()
    is_list: bool = False
    required: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


KEY = Column(
    ("key",),
    "The place of the row in the chain: chain id, block and number of the log that named the row first. It is the same "
    "at every block. Pass the last one as `after` to resume.",
    "String",
    required=True,
)


def columns_of(schema: GraphQLSchema, type_: Any, selection: SelectionSetNode | None) -> list[Column]:
    """Returns the columns of a selection of a type's fields. Types that have a column in common share it."""
    shared: dict[tuple[str, ...], list[Column]] = defaultdict(list)
    for column in _columns(schema, type_, selection, (), required=True):
        shared[column.path].append(column)
    return [KEY, *map(_together, shared.values())]


def _together(columns: Sequence[Column]) -> Column:
    descriptions = dict.fromkeys(column.description for column in columns)
    return columns[0]._replace(description=" ".join(descriptions))


def _columns(
    schema: GraphQLSchema, type_: Any, selection: SelectionSetNode | None, above: tuple[str, ...], *, required: bool
) -> Iterator[Column]:
    for node in selection.selections if selection else ():
        if isinstance(node, InlineFragmentNode):
            assert node.type_condition is not None  # the fragments of a table are on types
            narrowed = schema.type_map[node.type_condition.name.value]
            yield from _columns(schema, narrowed, node.selection_set, above, required=False)
            continue
        assert isinstance(node, FieldNode)  # a table is selected without named fragments
        field = type_.fields[node.name.value]
        path, is_required = (
            (*above, (node.alias or node.name).value),
            required and isinstance(field.type, GraphQLNonNull),
        )
        named, is_list = _named(field.type)
        if not is_leaf_type(named):
            yield from _columns(schema, named, node.selection_set, path, required=is_required)
            continue
        if isinstance(named, GraphQLEnumType):
            yield Column(path, field.description, "Enum", list(named.values), is_list, is_required)
        else:
            yield Column(path, field.description, named.name, (), is_list, is_required)


def _named(type_: Any) -> tuple[Any, bool]:
    """Returns the named type, and whether it is that of a list's items."""
    inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(inner, GraphQLList):
        return inner, False
    return _named(inner.of_type)[0], True
