"""From values to text: a function for each type of value, and a generated function for the rows of each level."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring  # as msgspec and graphql-core write text
from typing import Any

from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType


class NotAnswered(Exception):
    """The response has an error, or may have one: graphql-core must execute the request. `reason` is one word."""

    def __init__(self, message: str, reason: str = "value") -> None:
        super().__init__(message)
        self.reason = reason


Text = Callable[[Any], str]
"""Returns the text of a value. Raises NotAnswered for a value that is not of the type."""


@dataclass(frozen=True)
class Notation:
    """How rows and values are written: as JSON, or as the cells of CSV.

    `quote` writes a text of any characters, `mark` is what other texts stand between. `opening`, `separator` and
    `closing` are those of a list of values. `row` makes the body of a generated f-string from keys and expressions.
    `null` returns the text of a missing object of so many cells.
    """

    missing: str
    quote: Text
    mark: str
    opening: str
    separator: str
    closing: str
    row: Callable[[Sequence[tuple[str, str]]], str]
    null: Callable[[int], str]


JSON = Notation(
    missing="null",
    quote=encode_basestring,
    mark='"',
    opening="[",
    separator=",",
    closing="]",
    row=lambda fields: "{{" + ",".join([f'"{key}":{{{expression}}}' for key, expression in fields]) + "}}",
    null=lambda _: "null",
)


def quote_cell(text: str) -> str:
    """Returns a text as a cell of CSV, which no spreadsheet takes for a formula."""
    if text[:1] in FORMULA:
        text = f"'{text}"
    return text if PLAIN_CELL(text) else f'"{text.replace(QUOTE, QUOTE + QUOTE)}"'


QUOTE = '"'
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With which a spreadsheet begins a formula, or skips to one."""

PLAIN_CELL = re.compile(r"[^\s\",](?:[^\",\r\n]*[^\s\",])?").fullmatch

CSV = Notation(
    missing="",
    quote=quote_cell,
    mark="",
    opening="",
    separator=" ",
    closing="",
    row=lambda fields: ",".join(f"{{{expression}}}" for _, expression in fields),
    null=lambda cells: "," * (cells - 1),
)


def text_of(type_: GraphQLOutputType, notation: Notation = JSON) -> Text:
    """Returns the function that writes the values of a type whose leaves are scalars or enums."""
    required = isinstance(type_, GraphQLNonNull)
    named = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    present, names = _expression(named, notation)
    names["null"] = _refuse_null if required else lambda: notation.missing
    text: Text = eval(f"lambda v: null() if v is None else {present}", names)
    return text


def _refuse_null() -> str:
    raise NotAnswered("null in a non-null field")


def _expression(type_: Any, notation: Notation) -> tuple[str, dict[str, Any]]:
    """Returns the expression that writes a value `v` that is not None, and the names in it."""
    if isinstance(type_, GraphQLList):
        names = {"item": text_of(type_.of_type, notation), "join": notation.separator.join}
        return f"f'{notation.opening}{{join(map(item, v))}}{notation.closing}'", names
    if isinstance(type_, GraphQLEnumType):
        return "enum(v)", {"enum": _enum(type_, notation)}
    serialize = type_.coerce_output_value
    match type_.name:
        case "Int" | "Long":
            return "str(serialize(v))", {"serialize": serialize}
        case "Boolean":
            return "'true' if serialize(v) else 'false'", {"serialize": serialize}
        case "String" | "ID":
            return "quote(v if type(v) is str else serialize(v))", {"quote": notation.quote, "serialize": serialize}
        case _:
            # the text of the others has no character that JSON or CSV escapes
            return f"f'{notation.mark}{{serialize(v)}}{notation.mark}'", {"serialize": serialize}


def _enum(type_: Any, notation: Notation) -> Text:
    members = type_.wrapped_cls
    mark = notation.mark
    texts = {member: f"{mark}{type_.coerce_output_value(member)}{mark}" for member in members}

    def write(value: Any) -> str:
        # a member of an IntEnum equals the same plain number
        if not isinstance(value, members):
            raise NotAnswered(f"{value!r} is not of type {type_.name}")
        return texts[value]

    return write


def compile_writer(
    fields: Sequence[tuple[str, str]], columns: Sequence[str], names: dict[str, Any], notation: Notation
) -> Any:
    """Returns the function that writes rows in a notation.

    `fields` are keys and expressions of the text, with `r` for the row and `p` for its pin. `columns` are the names in
    them that stand for a text of each row, and become the function's parameters after rows and pins.
    """
    each = ["rows", "pins", *columns]
    source = (
        f"lambda {', '.join(each)}: [f'{notation.row(fields)}' for {', '.join(['r', 'p', *columns])} in "
        f"zip({', '.join(each)})]"
    )
    return eval(source, names)  # made of names of the schema and of keys, which GraphQL restricts
