"""The reference of the GraphQL schema as Markdown: every type with its fields, every root field with its examples."""

import re
from collections.abc import Callable, Iterator, Mapping

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    ast_from_value,
    build_schema,
    get_named_type,
    is_introspection_type,
    parse,
    print_ast,
)
from graphql.language import FieldNode

INTRODUCTIONS = {
    "Queries": "The root fields of queries. The defaults of the variables in the examples are values of the demo.",
    "Subscriptions": "The root fields of subscriptions, over WebSocket or server-sent events.",
    "Objects": "What queries return.",
    "Events": "One type a kind of event. Each also has the fields of [`LifecycleEvent`](interfaces.md#lifecycleevent).",
    "Connections": "Pages of lists, and their edges.",
    "Interfaces": "Fields that several types share.",
    "Inputs": "Keys, filters and orders.",
    "Enums": "Values from a fixed list.",
    "Scalars": "Values without fields.",
}
"""What each page begins with, by its title."""

SHARED = "LifecycleEvent"
"""The interface whose fields are described once."""

Member = GraphQLField | GraphQLInputField | GraphQLArgument
ROOTS = {"Query": ("Queries", "query"), "Subscription": ("Subscriptions", "subscription")}
"""The page of each root type, and the keyword of its operations."""

FENCE = re.compile(r"```graphql\n(.*?)```", re.DOTALL)


def examples(text: str) -> dict[tuple[str, str], list[str]]:
    """Returns the operations that a page shows, by keyword and root field."""
    shown: dict[tuple[str, str], list[str]] = {}
    for source in FENCE.findall(text):
        for root in _roots(source):
            shown.setdefault(root, []).append(source)
    return shown


def _roots(source: str) -> Iterator[tuple[str, str]]:
    for operation in parse(source).definitions:
        assert isinstance(operation, OperationDefinitionNode)
        for selection in operation.selection_set.selections:
            assert isinstance(selection, FieldNode)
            yield operation.operation.value, selection.name.value


class Reference:
    """The pages of a schema. `pages` are Markdown by file name, in the order of the navigation.

    `shown` are the operations by root field. `link` writes the link to a page of the documentation.
    """

    def __init__(self, sdl: str, shown: Mapping[tuple[str, str], list[str]], link: Callable[[str], str]) -> None:
        self._schema: GraphQLSchema = build_schema(sdl)
        self._shown = shown
        self._link = link
        types = [type_ for _, type_ in sorted(self._schema.type_map.items()) if not is_introspection_type(type_)]
        self.pages = {
            file_of(title): "\n".join(
                [f"# {title}\n\n{introduction}\n", *(self._section(type_) for type_ in types if _title(type_) == title)]
            )
            for title, introduction in INTRODUCTIONS.items()
        }

    def _section(self, type_: GraphQLNamedType) -> str:
        if type_.name in ROOTS:
            assert isinstance(type_, GraphQLObjectType)
            return "\n".join(self._root(type_.name, name, field) for name, field in type_.fields.items())
        return f"## {type_.name} {{ #{type_.name.lower()} }}\n\n{self._text(type_.description)}\n\n{self._body(type_)}"

    def _root(self, root: str, name: str, field: GraphQLField) -> str:
        keyword = ROOTS[root][1]
        if (keyword, name) not in self._shown:
            raise ValueError(f"docs/reference/graphql.md has no example of the {keyword} {name}")
        shown = "\n".join(f"```graphql\n{source}```\n" for source in self._shown[keyword, name])
        return (
            f"## {name} {{ #{name.lower()} }}\n\n{self._description(field)}\n\n**Returns** {_type(field)}\n\n"
            f"**Arguments**\n\n{self._members(name, field.args)}\n**Example**\n\n{shown}"
        )

    def _body(self, type_: GraphQLNamedType) -> str:
        if isinstance(type_, GraphQLObjectType):
            return self._interfaces(type_) + self._members(type_.name, dict(_own_fields(type_)))
        if isinstance(type_, GraphQLInterfaceType):
            return self._members(type_.name, type_.fields) + self._implementations(type_)
        if isinstance(type_, GraphQLInputObjectType):
            return self._members(type_.name, type_.fields)
        if isinstance(type_, GraphQLEnumType):
            return "".join(
                f"`{name}`\n\n:   {self._text(value.description)}\n\n" for name, value in type_.values.items()
            )
        if isinstance(type_, GraphQLScalarType):
            return ""
        raise TypeError(f"{type_.name} is a {type(type_).__name__}, which the reference does not describe")

    def _interfaces(self, type_: GraphQLObjectType) -> str:
        if not type_.interfaces:
            return ""
        return f"Implements {', '.join(map(_linked, type_.interfaces))}.\n\n"

    def _implementations(self, type_: GraphQLInterfaceType) -> str:
        types = sorted(self._schema.get_possible_types(type_), key=lambda each: each.name)
        return f"\nImplemented by {', '.join(map(_linked, types))}.\n"

    def _members(self, owner: str, members: Mapping[str, Member]) -> str:
        """Describes fields or arguments, each with an anchor of its own."""
        return "".join(self._member(f"{owner}-{name}".lower(), name, member) for name, member in members.items())

    def _member(self, anchor: str, name: str, member: Member) -> str:
        arguments = member.args if isinstance(member, GraphQLField) else {}
        listed = "".join(f"    - {self._argument(*argument)}\n" for argument in arguments.items())
        head = f"[`{name}`](#{anchor}){{ #{anchor} .member }} {_type(member)}"
        return f"{head}\n\n:   {self._description(member)}\n\n{listed}\n"

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        return f"`{name}` {_type(argument)}: {self._description(argument)}"

    def _description(self, member: Member) -> str:
        deprecated = f"**Deprecated:** {member.deprecation_reason} " if member.deprecation_reason else ""
        return deprecated + self._text(member.description)

    def _text(self, description: str | None) -> str:
        return re.sub(r"docs/([\w/-]+\.md)", lambda name: self._link(name[1]), " ".join((description or "").split()))


def file_of(title: str) -> str:
    """Returns the file name of the page with a title."""
    return f"{title.lower()}.md"


def _title(type_: GraphQLNamedType) -> str:
    """Returns the title of the page that describes a type."""
    if type_.name in ROOTS:
        return ROOTS[type_.name][0]
    if isinstance(type_, GraphQLObjectType):
        return _title_of_object(type_)
    kinds = {
        GraphQLInterfaceType: "Interfaces",
        GraphQLInputObjectType: "Inputs",
        GraphQLEnumType: "Enums",
    }
    return next((title for kind, title in kinds.items() if isinstance(type_, kind)), "Scalars")


def _title_of_object(type_: GraphQLObjectType) -> str:
    if any(interface.name == SHARED for interface in type_.interfaces):
        return "Events"
    return "Connections" if type_.name.endswith(("Connection", "Edge")) else "Objects"


def _own_fields(type_: GraphQLObjectType) -> Iterator[tuple[str, GraphQLField]]:
    """Yields the fields of a type but those that its events share, which the interface describes."""
    shared = {
        name: field
        for interface in type_.interfaces
        if interface.name == SHARED
        for name, field in interface.fields.items()
    }
    for name, field in type_.fields.items():
        if name not in shared or _signature(field) != _signature(shared[name]):
            yield name, field


def _signature(field: GraphQLField) -> tuple[str, str | None, list[str]]:
    return str(field.type), field.description, list(field.args)


def _type(member: Member) -> str:
    """Returns the type of a member as a link, and its default."""
    return _linked(get_named_type(member.type), str(member.type)) + _default(member)


def _default(member: Member) -> str:
    if isinstance(member, GraphQLField) or member.default_value is Undefined:
        return ""
    value = ast_from_value(member.default_value, member.type)
    return f" = `{print_ast(value)}`" if value else ""


def _linked(type_: GraphQLNamedType, text: str | None = None) -> str:
    return f"[`{text or type_.name}`]({file_of(_title(type_))}#{type_.name.lower()})"
