"""From values to JSON text: a function for each type of value, and a generated function for the rows of each level."""

from collections.abc import Callable, Sequence
from json.encoder import encode_basestring  # as msgspec and graphql-core write text
from typing import Any

from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType


class NotAnswered(Exception):
    """The response has an error, or may have one: graphql-core must execute the request. `reason` is one word."""

    def __init__(self, message: str, reason: str = "value") -> None:
        super().__init__(message)
        self.reason = reason


Text = Callable[[Any], str]
"""Returns the JSON text of a value. Raises NotAnswered for a value that is not of the type."""


def text_of(type_: GraphQLOutputType) -> Text:
    """Returns the function that writes the values of a type whose leaves are scalars or enums."""
    required = isinstance(type_, GraphQLNonNull)
    present, names = _expression(type_.of_type if isinstance(type_, GraphQLNonNull) else type_)
    names["null"] = _refuse_null if required else lambda: "null"
    text: Text = eval(f"lambda v: null() if v is None else {present}", names)
    return text


def _refuse_null() -> str:
    raise NotAnswered("null in a non-null field")


def _expression(type_: Any) -> tuple[str, dict[str, Any]]:
    """Returns the expression that writes a value `v` that is not None, and the names in it."""
    if isinstance(type_, GraphQLList):
        return "f'[{\",\".join(map(item, v))}]'", {"item": text_of(type_.of_type)}
    if isinstance(type_, GraphQLEnumType):
        return "enum(v)", {"enum": _enum(type_)}
    serialize = type_.coerce_output_value
    match type_.name:
        case "Int" | "Long":
            return "str(serialize(v))", {"serialize": serialize}
        case "Boolean":
            return "'true' if serialize(v) else 'false'", {"serialize": serialize}
        case "String" | "ID":
            return "quote(v if type(v) is str else serialize(v))", {"quote": encode_basestring, "serialize": serialize}
        case _:
            # the text of the others has no character that JSON escapes
            return "f'\"{serialize(v)}\"'", {"serialize": serialize}


def _enum(type_: Any) -> Text:
    members = type_.wrapped_cls
    texts = {member: f'"{type_.coerce_output_value(member)}"' for member in members}

    def write(value: Any) -> str:
        # a member of an IntEnum equals the same plain number
        if not isinstance(value, members):
            raise NotAnswered(f"{value!r} is not of type {type_.name}")
        return texts[value]

    return write


def compile_writer(fields: Sequence[tuple[str, str]], columns: Sequence[str], names: dict[str, Any]) -> Any:
    """Returns the function that writes rows as JSON objects.

    `fields` are keys and expressions of the text, with `r` for the row and `p` for its pin. `columns` are the names in
    them that stand for a text of each row, and become the function's parameters after rows and pins.
    """
    body = ",".join(f'"{key}":{{{expression}}}' for key, expression in fields)
    each = ["rows", "pins", *columns]
    source = (
        f"lambda {', '.join(each)}: [f'{{{{{body}}}}}' for {', '.join(['r', 'p', *columns])} in zip({', '.join(each)})]"
    )
    return eval(source, names)  # made of names of the schema and of keys, which GraphQL restricts
