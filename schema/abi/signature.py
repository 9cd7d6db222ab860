"""Parses Solidity event signatures: the name, the arguments and topic0 of an event."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from schema.abi.keccak import keccak256

WORD = 32
MAX_INDEXED = 3


class SignatureError(ValueError):
    """An event signature cannot be parsed. The message shows the place."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an event. `type` is canonical (uint256, not uint); `name` is empty if the signature has none."""

    name: str
    type: str
    indexed: bool

    @property
    def hashed(self) -> bool:
        """Whether the log contains only the keccak hash of the value."""
        return self.indexed and (self.type in DYNAMIC or self.type.endswith("]"))

    @property
    def dynamic(self) -> bool:
        return self.type in DYNAMIC or self.type.endswith("[]")

    @property
    def head_size(self) -> int:
        """Bytes of the argument in the head of the data."""
        if self.indexed:
            return 0
        array = FIXED_ARRAY.fullmatch(self.type)
        return WORD * (int(array[2]) if array else 1)


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

    @property
    def head_size(self) -> int:
        return sum(argument.head_size for argument in self.inputs)


def parse_event(signature: str) -> EventSignature:
    """Parses a signature such as `Sold(uint256 indexed id, string note)`, with or without `event` and `;` around it.

    Raises SignatureError. Not supported are tuples, and arrays whose elements take more than one word unless they are
    indexed.
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
ELEMENTARY = frozenset(
    ["address", "bool", *DYNAMIC]
    + [f"{sign}int{bits}" for sign in ("u", "") for bits in range(8, 257, 8)]
    + [f"bytes{size}" for size in range(1, WORD + 1)]
)
FIXED_ARRAY = re.compile(r"(\w+)\[([0-9]+)\]")
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


def _parse_arguments(tokens: _Tokens) -> tuple[Argument, ...]:
    inputs: list[Argument] = []
    while tokens.text != ")":
        start = tokens.start
        argument = _parse_argument(tokens)
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


def _parse_argument(tokens: _Tokens) -> Argument:
    start = tokens.start
    type_name = _parse_type(tokens)
    if tokens.text == "payable" and type_name == "address":
        tokens.take()
    indexed = tokens.text == "indexed"
    if indexed:
        tokens.take()
    name = tokens.identifier("the argument's name") if tokens.text not in (",", ")") else ""
    element, bracket, rest = type_name.partition("[")
    if bracket and not indexed and (element in DYNAMIC or "[" in rest):
        tokens.refuse(f"an argument of type {type_name} is not supported unless it is indexed", start)
    return Argument(name, type_name, indexed)


def _parse_type(tokens: _Tokens) -> str:
    if tokens.text in ("(", "tuple"):
        tokens.refuse("tuples are not supported")
    start = tokens.start
    name = tokens.identifier("a type")
    name = ALIASES.get(name, name)
    if name.startswith(("fixed", "ufixed")):
        tokens.refuse(f"type {name!r} is not supported, as Solidity itself cannot assign it", start)
    if name not in ELEMENTARY:
        tokens.refuse(f"unknown type {name!r}; write an enum as uint8 and a contract as address", start)
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
    return name
