"""From values to text: a function for each type of value, and a generated function for the rows of each level."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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


QUOTED_CELLS = replace(CSV, quote=lambda text: f'"{text.replace(QUOTE, QUOTE + QUOTE)}"', opening=QUOTE, closing=QUOTE)
"""CSV for programs: every text and list is between quotes, so that an empty one differs from none."""


def text_of(type_: GraphQLOutputType, notation: Notation = JSON) -> Text:
    """Returns the function that writes the values of a type whose leaves are scalars or enums."""
    required = isinstance(type_, GraphQLNonNull)
    named = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    present, names = _expression(named, notation)
    names["null"] = refuse_null if required else lambda: notation.missing
    text: Text = eval(f"lambda v: null() if v is None else {present}", names)
    return text


def refuse_null() -> str:
    """Raises NotAnswered."""
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
        if type(value) is not members:
            raise NotAnswered(f"{value!r} is not of type {type_.name}")
        return texts[value]

    return write


class Texts(dict[Any, str]):
    """The texts of values that were written, by value: most columns repeat few."""

    def __init__(self, write: Text) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, value: Any) -> str:
        text = self[value] = self._write(value)
        return text


@dataclass
class Writer:
    """The parts of a generated function that writes rows in a notation.

    `names` are the objects that it uses, `columns` the names that stand for a text of each row and become its
    parameters after rows and pins. `statements` come before its rows. `kept`: the functions whose texts it keeps while
    it writes one list of rows, by the name of their `Texts`.
    """

    notation: Notation
    names: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    kept: dict[Any, str] = field(default_factory=dict)

    def name(self, value: Any) -> str:
        """Returns a new name of an object."""
        name = f"v{len(self.names)}"
        self.names[name] = value
        return name

    def column(self) -> str:
        """Returns the name of a new parameter, a text of each row."""
        self.columns.append(f"c{len(self.columns)}")
        return self.columns[-1]

    def inner(self, fields: Sequence[tuple[str, str]]) -> str:
        """Returns the name of a function that writes one row `r` with its pin `p`."""
        name = f"w{len(self.statements)}"
        self.statements.append(f"{name} = lambda r, p: f'{self.notation.row(fields)}'")
        return name

    def keep(self, function: Any, write: Text) -> str:
        """Returns the name of the texts that `write` returns; those of one `function` are shared."""
        if function not in self.kept:
            self.kept[function] = f"k{len(self.kept)}"
            self.statements.append(f"{self.kept[function]} = Texts({self.name(write)})")
        return self.kept[function]

    def compile(self, fields: Sequence[tuple[str, str]]) -> Any:
        """Returns the function. `fields` are keys and expressions of texts; `r` is the row in them, `p` its pin."""
        each = ["rows", "pins", *self.columns]
        lines = [
            f"def write({', '.join(each)}):",
            *(f"    {statement}" for statement in self.statements),
            f"    return [f'{self.notation.row(fields)}' for {', '.join(['r', 'p', *self.columns])} in "
            f"zip({', '.join(each)})]",
        ]
        names = {"Texts": Texts, **self.names}
        exec("\n".join(lines), names)  # made of names of the schema and of keys, which GraphQL restricts
        return names["write"]
