"""Parses Solidity event signatures: the name, the arguments and topic0 of an event."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

from schema.abi.keccak import keccak256

WORD = 32
MAX_INDEXED = 3
MAX_DEPTH = 16
"""Tuples inside tuples, and arrays inside arrays: decoders follow them with one call each."""
MAX_HEAD = 2**24
"""Bytes of a value of fixed size: far more than the gas of a block pays for."""


class SignatureError(ValueError):
    """An event signature cannot be parsed. The message shows the place."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an event, or one component of a tuple.

    `type` is canonical (uint256, not uint; a tuple is its components in brackets); `name` is empty if the signature has
    none. `components` are those of a tuple, or of the tuples in an array.
    """

    name: str
    type: str
    indexed: bool
    components: tuple["Argument", ...] = ()

    @property
    def hashed(self) -> bool:
        """Whether the log contains only the keccak hash of the value."""
        return self.indexed and self.type not in WORDS

    @property
    def is_number(self) -> bool:
        """Whether the value is a number: a uintN or an intN."""
        return self.type in WORDS and "int" in self.type

    @property
    def is_bytes(self) -> bool:
        """Whether the value is bytes: a bytesN or bytes."""
        return self.type == "bytes" or (self.type in WORDS and self.type.startswith("bytes"))

    @property
    def element(self) -> "Argument | None":
        """The elements of an array, None for another type."""
        return replace(self, type=self.type.rpartition("[")[0]) if self.type.endswith("]") else None

    @property
    def length(self) -> int | None:
        """The length of an array, None if each value has its own."""
        text = self.type.rpartition("[")[2].removesuffix("]")
        return int(text) if text.isdecimal() else None

    @property
    def dynamic(self) -> bool:
        """Whether the head contains only the offset of the value."""
        if self.element is not None:
            return self.length is None or self.element.dynamic
        return self.type in DYNAMIC or any(component.dynamic for component in self.components)

    @property
    def nested(self) -> bool:
        """Whether the value holds values of more than one word."""
        return self.type not in WORDS | DYNAMIC and (self.element is None or self.element.type not in WORDS)

    @property
    def head_size(self) -> int:
        """Bytes of the argument in the head of the data."""
        if self.indexed:
            return 0
        if self.dynamic:
            return WORD
        if self.element is not None:
            return (self.length or 0) * self.element.head_size
        return sum(component.head_size for component in self.components) or WORD


@dataclass(frozen=True)
class EventSignature:
    name: str
    inputs: tuple[Argument, ...]

    @cached_property
    def signature(self) -> str:
        """The canonical signature; its keccak hash is topic0."""
        return f"{self.name}({','.join(argument.type for argument in self.inputs)})"

    @cached_property
    def topic0(self) -> bytes:
        return keccak256(self.signature.encode())

    @property
    def topic_count(self) -> int:
        return 1 + sum(argument.indexed for argument in self.inputs)

    def value(self, path: Sequence[int]) -> Argument:
        """Returns the argument, or the component of a tuple, at a path of indexes."""
        argument = self.inputs[path[0]]
        for index in path[1:]:
            argument = argument.components[index]
        return argument

    @property
    def head_size(self) -> int:
        return sum(argument.head_size for argument in self.inputs)


def parse_event(signature: str) -> EventSignature:
    """Parses a signature such as `Sold(uint256 indexed id, string note)`, with or without `event` and `;` around it.

    A tuple is written as its components in brackets, with or without `tuple` before them. Raises SignatureError.
    """
    tokens = _Tokens(signature)
    if tokens.text == "event":
        tokens.take()
    name = tokens.identifier("the event's name")
    tokens.expect("(")
    inputs = _parse_arguments(tokens)
    if tokens.text == "anonymous":
        tokens.refuse("an anonymous event has no topic0, so its logs cannot be recognized")
    if tokens.text == ";":
        tokens.take()
    if tokens.text:
        tokens.refuse(f"expected nothing after the arguments, found {tokens.text!r}")
    return EventSignature(name, inputs)


DYNAMIC = frozenset({"string", "bytes"})
ALIASES = {"uint": "uint256", "int": "int256"}
WORDS = frozenset(
    ["address", "bool"]
    + [f"{sign}int{bits}" for sign in ("u", "") for bits in range(8, 257, 8)]
    + [f"bytes{size}" for size in range(1, WORD + 1)]
)
"""The types of one word."""
TOKEN = re.compile(r"\s*([A-Za-z_$][\w$]*|[0-9]+|[^\s\w]|$)", re.ASCII)
ARRAY_LENGTH = re.compile("[1-9][0-9]{0,77}")
IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)


class _Tokens:
    """Reads a signature token by token. `text` is the present token, "" at the end; `start` is its column."""

    def __init__(self, signature: str) -> None:
        self.signature = " ".join(signature.split())
        self.end = 0
        self.take()

    def take(self) -> str:
        """Advances to the next token and returns the previous one."""
        taken = getattr(self, "text", "")
        match = TOKEN.match(self.signature, self.end)
        if match is None:
            self.start = len(self.signature) - len(self.signature[self.end :].lstrip())
            self.refuse(f"unexpected character {self.signature[self.start]!r}")
        self.text, self.start, self.end = match[1], match.start(1), match.end()
        return taken

    def identifier(self, what: str) -> str:
        if not IDENTIFIER.fullmatch(self.text):
            self.refuse(f"expected {what}, found {self.text!r}" if self.text else f"expected {what}, found the end")
        return self.take()

    def expect(self, text: str) -> None:
        if self.text != text:
            self.refuse(f"expected {text!r}, found {self.text!r}" if self.text else f"expected {text!r}, found the end")
        self.take()

    def refuse(self, what: str, start: int | None = None) -> NoReturn:
        column = self.start if start is None else start
        raise SignatureError(f"{what} at column {column + 1}:\n  {self.signature}\n  {' ' * column}^")


def _parse_arguments(tokens: _Tokens, depth: int = 0) -> tuple[Argument, ...]:
    inputs: list[Argument] = []
    while tokens.text != ")":
        start = tokens.start
        argument = _parse_argument(tokens, depth)
        if argument.name and any(argument.name == other.name for other in inputs):
            tokens.refuse(f"a second argument {argument.name!r}", start)
        inputs.append(argument)
        if sum(argument.indexed for argument in inputs) > MAX_INDEXED:
            tokens.refuse(f"more than {MAX_INDEXED} indexed arguments", start)
        if tokens.text != ")":
            tokens.expect(",")
            if tokens.text == ")":
                tokens.refuse("expected a type, found ')'")
    tokens.expect(")")
    return tuple(inputs)


def _parse_argument(tokens: _Tokens, depth: int) -> Argument:
    start = tokens.start
    type_name, components = _parse_type(tokens, depth)
    if tokens.text == "payable" and type_name == "address":
        tokens.take()
    indexed = tokens.text == "indexed"
    if indexed:
        if depth:
            tokens.refuse("a component of a tuple cannot be indexed")
        tokens.take()
    name = tokens.identifier("the argument's name") if tokens.text not in (",", ")") else ""
    argument = Argument(name, type_name, indexed, components)
    if not indexed and argument.head_size > MAX_HEAD:
        tokens.refuse(f"a value of type {type_name} takes more than {MAX_HEAD} bytes", start)
    return argument


def _parse_type(tokens: _Tokens, depth: int) -> tuple[str, tuple[Argument, ...]]:
    components: tuple[Argument, ...] = ()
    if tokens.text in ("(", "tuple"):
        name, components = _parse_tuple(tokens, depth)
    else:
        name = _parse_elementary(tokens)
    dimensions = 0
    while tokens.text == "[":
        tokens.take()
        length = ""
        if tokens.text != "]":
            length = tokens.text
            if not ARRAY_LENGTH.fullmatch(length):
                tokens.refuse(f"expected the array's length or ']', found {length!r}")
            tokens.take()
        tokens.expect("]")
        name += f"[{length}]"
        dimensions += 1
        if dimensions > MAX_DEPTH:
            tokens.refuse(f"more than {MAX_DEPTH} arrays inside each other")
    return name, components


def _parse_tuple(tokens: _Tokens, depth: int) -> tuple[str, tuple[Argument, ...]]:
    start = tokens.start
    if tokens.text == "tuple":
        tokens.take()
    tokens.expect("(")
    if depth == MAX_DEPTH:
        tokens.refuse(f"more than {MAX_DEPTH} tuples inside each other", start)
    components = _parse_arguments(tokens, depth + 1)
    if not components:
        tokens.refuse("a tuple without components", start)
    return f"({','.join(component.type for component in components)})", components


def _parse_elementary(tokens: _Tokens) -> str:
    start = tokens.start
    name = tokens.identifier("a type")
    name = ALIASES.get(name, name)
    if name.startswith(("fixed", "ufixed")):
        tokens.refuse(f"type {name!r} is not supported, as Solidity itself cannot assign it", start)
    if name not in WORDS | DYNAMIC:
        tokens.refuse(f"unknown type {name!r}; write an enum as uint8 and a contract as address", start)
    return name
