"""How graphql-core executes the declarations of fields: one resolver for all of them.

A value from cells is made at once. The others are batched: the values that are requested in one turn of the event loop
are made by one call of the field's batch function, in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)
from sqlalchemy.exc import DBAPIError
from strawberry import Schema
from strawberry.dataloader import DataLoader
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from api.graphql.context import Context
from api.graphql.errors import Refusal
from api.graphql.plan.fields import At, Ref, Rule, at_ref, class_of, interfaces_of_rows, relation_of, rule_of
from api.queries.sql.keys import key_of
from api.queries.sql.relations import Relation
from api.reading.read import whole_shape
from api.reading.snapshot import Interrupted
from schema.tables.damage import UNREADABLE, unreadable


def install_resolvers(schema: Schema) -> None:
    """Makes each field resolve by its declaration."""
    for type_ in schema._schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for definition in type_.fields.values():
            field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
            if isinstance(field, StrawberryField):
                definition.resolve = _resolver(schema, type_, field, get_named_type(definition.type))


def _resolver(schema: Schema, parent: GraphQLObjectType, field: StrawberryField, type_: Any) -> Any:
    relation, rule = relation_of(parent), rule_of(field)
    cells = _cells_of(rule, relation)
    finish: Callable[[Any], Any] = _as_it_is if is_leaf_type(type_) else _objects(schema._schema, type_)
    if rule.convert is not None:
        convert, what = rule.convert, _stored(rule, parent)

        def read(source: Any, info: GraphQLResolveInfo[Context], **_: Any) -> Any:
            try:
                return finish(convert(*cells(source)))
            except UNREADABLE as error:
                raise unreadable(what, error) from error

        return read
    registry, config = schema.schema_converter.scalar_registry, schema.config
    is_object = rule.cells == ("self",)

    async def resolve(source: Any, info: GraphQLResolveInfo[Context], **values: Any) -> Any:
        arguments = convert_arguments(values, field.arguments, scalar_registry=registry, config=config)
        # the same field of the same document has the same arguments in one request
        name = rule if rule.joint else (rule, *map(id, info.field_nodes))
        own = cells(source)
        return finish(await load_value(info.context, name, rule, (own[0] if is_object else own, arguments)))

    return resolve


def _stored(rule: Rule, parent: GraphQLObjectType) -> str:
    return (
        f"The stored {rule.cells[0]} of {parent.name}" if len(rule.cells) == 1 else f"A stored value of {parent.name}"
    )


def _cells_of(rule: Rule, relation: Relation | None) -> Callable[[Any], tuple[Any, ...]]:
    """Returns the function that takes a rule's cells from a source."""
    if relation is None:
        return lambda source: tuple([source if name == "self" else _attribute(source, name) for name in rule.cells])
    shape = whole_shape(relation)
    places = {name: shape.place(name) for name in rule.cells if name not in ("row", "pin")}
    return lambda source: tuple(
        [source.row[places[name]] if name in places else getattr(source, name) for name in rule.cells]
    )


def _attribute(source: Any, path: str) -> Any:
    for name in path.split("."):
        source = getattr(source, name)
    return source


def _objects(schema: GraphQLSchema, type_: GraphQLObjectType | GraphQLInterfaceType) -> Callable[[Any], Any]:
    """Returns the function that makes objects of a type from rows: graphql-core finds an object's type by its class."""
    rows = {} if relation_of(type_) or isinstance(type_, GraphQLObjectType) else interfaces_of_rows(schema, type_)
    classes = {relation: class_of(of_rows) for relation, of_rows in rows.items()}

    def finish(value: Any) -> Any:
        if isinstance(value, list):
            return [finish(item) for item in value]
        if type(value) is not At:
            return value
        cls = classes.get(value.relation) or class_of(type_)
        if cls.__strawberry_definition__.is_interface:
            cls = cls.types[value.row[whole_shape(value.relation).place(cls.by)]]
        source = cls.__new__(cls)
        source.row, source.pin = value.row, value.pin
        return source

    return finish


def _as_it_is(value: Any) -> Any:
    return value


Item = tuple[Any, dict[str, Any]]
"""The cells of a row, and the arguments of the field."""


def load_value(context: Context, name: Hashable, rule: Rule, item: Item) -> Awaitable[Any]:
    """Returns the value of a field for one row, which is made together with those of other rows."""
    loader = context.batches.get(name)
    if loader is None:

        async def load(items: list[Item]) -> Sequence[Any]:
            return await context.snapshot.read(lambda _: _batch(context, rule, items))

        loader = context.batches[name] = DataLoader(load, cache=False)
    loading = asyncio.ensure_future(loader.load(item))
    # if one of the resolvers is canceled, the others must still get their values
    shielded = asyncio.shield(loading)
    for future in (loading, shielded):
        # an exception counts as retrieved, even if all resolvers were canceled, or failed before they awaited it
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return shielded


def _batch(context: Context, rule: Rule, items: Sequence[Item]) -> Sequence[Any]:
    """Returns the value of each row, or its error: if the values cannot be made together, each is made alone."""
    try:
        return _values(context, rule, items)
    except (Refusal, Interrupted, DBAPIError):
        raise
    except UNREADABLE as error:
        if len(items) == 1:
            return [unreadable("A stored value", error)]
    except Exception as error:
        if len(items) == 1:
            return [error]
    return [value for item in items for value in _batch(context, rule, [item])]


def _values(context: Context, rule: Rule, items: Sequence[Item]) -> Sequence[Any]:
    assert rule.batch is not None  # the caller has checked
    cells = [cells for cells, _ in items]
    if rule.joint:
        values = rule.batch(context, cells, [arguments for _, arguments in items])
    else:
        values = rule.batch(context, cells, **items[0][1])
    refs = [item for value in values for item in (value if isinstance(value, list) else (value,)) if type(item) is Ref]
    rows: dict[Ref, Any] = {}
    for relation in {ref.relation for ref in refs}:
        own = [ref for ref in refs if ref.relation is relation]
        read = context.read.rows(relation, [key_of(ref.pin, ref.id) for ref in own])
        rows |= {ref: at_ref(ref, row) for ref, row in zip(own, read, strict=True)}
    return [_filled(value, rows) for value in values]


def _filled(value: Any, rows: Mapping[Ref, Any]) -> Any:
    if not isinstance(value, list):
        return rows[value] if type(value) is Ref else value
    items = [_filled(item, rows) for item in value]
    return next((item for item in items if isinstance(item, Exception)), items)
