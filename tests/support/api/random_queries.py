"""Random queries over a whole schema, by a seed: fragments, aliases, merged fields, variables, directives."""

import json
from random import Random
from typing import Any, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
)

Values = dict[str, list[Any]]
"""Values of scalars, by the name of an argument or input field, else by the name of the type."""


class Query(NamedTuple):
    text: str
    variables: dict[str, Any]


class EnumName(str):
    """The name of an enum's value: a literal without quotes."""


def random_query(schema: GraphQLSchema, values: Values, seed: int) -> Query:
    """Returns the query of a seed. It may be invalid: fields with the same key may conflict."""
    return _Writer(schema, values, Random(seed)).query()


MOST_FIELDS = 4
DEEPEST = 4
RARE_ARGUMENTS = {"after": 0.02, "before": 0.02, "last": 0.1}
"""The probability of arguments that are likely to be refused; that of other optional arguments is 0.3."""


class _Writer:
    def __init__(self, schema: GraphQLSchema, values: Values, random: Random) -> None:
        self.schema = schema
        self.values = values
        self.random = random
        self.declared: list[str] = []
        self.variables: dict[str, Any] = {}
        self.fragments: list[str] = []
        self.aliases = 0

    def query(self) -> Query:
        assert self.schema.query_type is not None
        selection = self.selection(self.schema.query_type, DEEPEST)
        variables = f"({', '.join(self.declared)})" if self.declared else ""
        return Query(" ".join([f"query Q{variables} {selection}", *self.fragments]), self.variables)

    def selection(self, parent: Any, depth: int) -> str:
        parts = [self.part(parent, depth) for _ in range(self.random.randint(1, MOST_FIELDS))]
        return "{ " + " ".join(parts) + " }"

    def part(self, parent: Any, depth: int) -> str:
        kind = self.random.random()
        if kind < 0.05:
            return self.alias() + "__typename" + self.directive()
        if kind < 0.75 or depth < 1 or parent is self.schema.query_type:
            return self.field(parent, depth)
        kin = [type_ for type_ in self.related(parent) if type_ is not parent]
        of = self.random.choice(kin) if kin and self.random.random() < 0.8 else parent
        inside = self.selection(of, depth - 1)
        if kind < 0.9:
            condition = f" on {of.name}" if of is not parent or self.random.random() < 0.5 else ""
            return f"...{condition}{self.directive()} {inside}"
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {of.name} {inside}")
        return f"...{name}{self.directive()}" + (f" ...{name}" if self.random.random() < 0.2 else "")

    def related(self, parent: Any) -> list[Any]:
        """Returns the types that a fragment on a type may name."""
        if is_abstract_type(parent):
            return [parent, *self.schema.get_possible_types(parent)]
        return [parent, *parent.interfaces]

    def field(self, parent: Any, depth: int) -> str:
        names = [name for name, field in parent.fields.items() if depth > 0 or not is_composite_type(named(field))]
        if not names:
            return "__typename"
        name = self.random.choice(names)
        field = parent.fields[name]
        # without an alias the arguments are always the same, so that fields of one key can be merged
        aliased = self.random.random() < 0.4
        arguments = self.arguments(field, aliased)
        inside = f" {self.selection(named(field), depth - 1)}" if is_composite_type(named(field)) else ""
        return f"{self.alias() if aliased else ''}{name}{arguments}{self.directive()}{inside}"

    def alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}: " if self.random.random() < 0.8 else ""

    def directive(self) -> str:
        if self.random.random() > 0.15:
            return ""
        value = self.random.random() < 0.7
        name, condition = ("include", value) if self.random.random() < 0.5 else ("skip", not value)
        if self.random.random() < 0.5:
            return f" @{name}(if: {json.dumps(condition)})"
        return f" @{name}(if: {self.variable('Boolean!', condition)})"

    def arguments(self, field: GraphQLField, free: bool) -> str:
        written = []
        for name, argument in field.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default is None
            if required or (free and self.random.random() < RARE_ARGUMENTS.get(name, 0.3)):
                value = self.value(name, argument.type) if free else self.first_value(name, argument.type)
                as_variable = free and self.random.random() < 0.4
                text = self.variable(str(argument.type), value) if as_variable else literal(value)
                written.append(f"{name}: {text}")
        return f"({', '.join(written)})" if written else ""

    def variable(self, type_: str, value: Any) -> str:
        """Declares a variable with a value, null, no value, or a default."""
        name = f"v{len(self.declared)}"
        way = self.random.random()
        nullable = not type_.endswith("!")
        if way < 0.25:
            self.declared.append(f"${name}: {type_} = {literal(value)}")
            if way < 0.05:
                self.variables[name] = value
            return f"${name}"
        self.declared.append(f"${name}: {type_}")
        if not nullable or way < 0.8:
            self.variables[name] = value
        elif way < 0.9:
            self.variables[name] = None
        return f"${name}"

    def value(self, name: str, type_: GraphQLInputType, depth: int = 3) -> Any:
        inner: Any = get_nullable_type(type_)
        if inner is type_ and self.random.random() < 0.03:
            return None
        match inner:
            case GraphQLList():
                return [self.value(name, inner.of_type, depth - 1) for _ in range(self.random.randint(0, 2))]
            case GraphQLEnumType():
                return EnumName(self.random.choice(list(inner.values)))
            case GraphQLInputObjectType():
                return self.input(inner, depth)
            case _:
                return self.random.choice(self.choices(name, inner))

    def input(self, type_: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        required = [name for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull)]
        simple = [name for name, field in type_.fields.items() if depth > 0 or is_plain(get_named_type(field.type))]
        chosen = {*required, self.random.choice(simple or list(type_.fields))}
        return {name: self.value(name, type_.fields[name].type, depth - 1) for name in sorted(chosen)}

    def first_value(self, name: str, type_: GraphQLInputType) -> Any:
        inner: Any = get_nullable_type(type_)
        match inner:
            case GraphQLList():
                return [self.first_value(name, inner.of_type)]
            case GraphQLEnumType():
                return EnumName(next(iter(inner.values)))
            case GraphQLInputObjectType():
                field, of = next((field, of) for field, of in inner.fields.items() if self.values.get(field))
                return {field: self.first_value(field, of.type)}
            case _:
                return self.choices(name, inner)[0]

    def choices(self, name: str, type_: GraphQLNamedType) -> list[Any]:
        return self.values.get(name) or self.values[type_.name]


def named(field: GraphQLField) -> Any:
    return get_named_type(field.type)


def is_plain(type_: GraphQLNamedType) -> bool:
    return not isinstance(type_, GraphQLInputObjectType)


def literal(value: Any) -> str:
    """Returns a value as a GraphQL literal."""
    match value:
        case EnumName():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{name}: {literal(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(literal, value)) + "]"
        case _:
            return json.dumps(value)
