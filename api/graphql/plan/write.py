"""From values to text: a function for each type of value, and a generated function for the rows of each level."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from json.encoder import encode_basestring  # as msgspec and graphql-core write text
from typing import Any, NamedTuple

from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType

from schema.abi.keccak import all_checksummed


class NotAnswered(Exception):
    """The response has an error, or may have one: graphql-core must execute the request. `reason` is one word."""

    def __init__(self, message: str, reason: str = "value") -> None:
        super().__init__(message)
        self.reason = reason


Text = Callable[[Any], str]
"""Returns the text of a value. Raises NotAnswered for a value that is not of the type."""

Columns = Sequence[Sequence[str]]


class TextWriter(NamedTuple):
    """What writes the values of a type: those that are not None, and the missing ones. Both raise NotAnswered."""

    write: Callable[[Sequence[Any]], Sequence[str]]
    missing: Callable[[], str]


@dataclass(frozen=True)
class Notation:
    """How rows and values are written: as JSON, or as the cells of CSV.

    `quote` writes a text of any characters, `mark` is what other texts stand between. `opening`, `separator` and
    `closing` are those of a list of values. `row` makes the body of a generated f-string from keys and expressions,
    `rows` writes rows from keys and the columns of their texts, and `quote_all` many texts.
    `null` returns the text of a missing object of so many cells.
    """

    missing: str
    quote: Text
    mark: str
    opening: str
    separator: str
    closing: str
    row: Callable[[Sequence[tuple[str, str]]], str]
    rows: Callable[[Sequence[str], Columns], list[str]]
    quote_all: Callable[[Sequence[str]], Sequence[str]]
    null: Callable[[int], str]


def _members(keys: Sequence[str], columns: Columns) -> list[str]:
    """Returns each row as an object of JSON."""
    parts: list[Any] = []
    for key, column in zip(keys, columns, strict=True):
        parts += repeat(f'{"," if parts else "{"}"{key}":'), column
    return list(map("".join, zip(*parts, repeat("}"), strict=False)))


def _cells(keys: Sequence[str], columns: Columns) -> list[str]:
    """Returns each row as a line of CSV."""
    return list(map(",".join, zip(*columns, strict=True))) if len(columns) > 1 else list(columns[0])


JSON = Notation(
    missing="null",
    quote=encode_basestring,
    mark='"',
    opening="[",
    separator=",",
    closing="]",
    row=lambda fields: "{{" + ",".join([f'"{key}":{{{expression}}}' for key, expression in fields]) + "}}",
    rows=_members,
    quote_all=lambda texts: list(map(encode_basestring, texts)),
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

PLAIN_CHARACTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._:/-\n"
"""Of these alone, and without a hyphen in front, a text is a plain cell. The last is between the texts of a column."""


def quote_cells(texts: Sequence[str]) -> Sequence[str]:
    """Returns each text as `quote_cell` does."""
    joined = "\n".join(["", *texts])
    is_plain = (
        joined.isascii()
        and not joined.encode().translate(None, PLAIN_CHARACTERS)
        and "\n-" not in joined
        and joined.count("\n") == len(texts)
        and "" not in texts
    )
    return texts if is_plain else list(map(quote_cell, texts))


CSV = Notation(
    missing="",
    quote=quote_cell,
    mark="",
    opening="",
    separator=" ",
    closing="",
    row=lambda fields: ",".join(f"{{{expression}}}" for _, expression in fields),
    rows=_cells,
    quote_all=quote_cells,
    null=lambda cells: "," * (cells - 1),
)


def _between_quotes(text: str) -> str:
    return f'"{text.replace(QUOTE, QUOTE + QUOTE)}"'


QUOTED_CELLS = replace(
    CSV,
    quote=_between_quotes,
    quote_all=lambda texts: list(map(_between_quotes, texts)),
    opening=QUOTE,
    closing=QUOTE,
)
"""CSV for programs: every text and list is between quotes, so that an empty one differs from none."""


def text_of(type_: GraphQLOutputType, notation: Notation = JSON) -> Text:
    """Returns the function that writes the values of a type whose leaves are scalars or enums."""
    required = isinstance(type_, GraphQLNonNull)
    named = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    present, names = _expression(named, notation)
    names["null"] = refuse_null if required else lambda: notation.missing
    text: Text = eval(f"lambda v: null() if v is None else {present}", names)
    return text


def texts_of(type_: GraphQLOutputType, notation: Notation) -> TextWriter:
    """Returns what writes many values of a type whose leaves are scalars or enums, as `text_of` writes each."""
    required = isinstance(type_, GraphQLNonNull)
    named: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    text, mark = text_of(type_, notation), notation.mark

    def each(values: Sequence[Any]) -> list[str]:
        return list(map(text, values))

    def quoted(values: Sequence[Any]) -> Sequence[str]:
        return notation.quote_all(values) if set(map(type, values)) <= {str} else each(values)

    def addresses(values: Sequence[bytes]) -> list[str]:
        return [f"{mark}{address}{mark}" for address in all_checksummed(values)]

    write = {"String": quoted, "ID": quoted, "Address": addresses}.get(getattr(named, "name", ""), each)
    return TextWriter(write, refuse_null if required else lambda: notation.missing)


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
    parameters after rows and pins. `statements` come before its rows.
    """

    notation: Notation
    names: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

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

    def compile(self, fields: Sequence[tuple[str, str]]) -> Any:
        """Returns the function. `fields` are keys and expressions of texts; `r` is the row in them, `p` its pin."""
        each = ["rows", "pins", *self.columns]
        lines = [
            f"def write({', '.join(each)}):",
            *(f"    {statement}" for statement in self.statements),
            f"    return [f'{self.notation.row(fields)}' for {', '.join(['r', 'p', *self.columns])} in "
            f"zip({', '.join(each)})]",
        ]
        names = {**self.names}
        exec("\n".join(lines), names)  # made of names of the schema and of keys, which GraphQL restricts
        return names["write"]
