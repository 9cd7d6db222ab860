"""Reads single words: values of fixed size, each in 32 bytes. Generates the code that does."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from schema.abi.signature import WORD


class DecodeError(ValueError):
    """The bytes of a log do not fit its event. The message names the argument and the place."""


def word_lines(target: str, type_name: str, source: str, place: int | str, label: str) -> Iterator[str]:
    """Yields the code that reads one word. `place` is its offset, or the name of the variable with its offset."""
    word = _slice(source, place, 0, WORD)
    kind = type_name.rstrip("0123456789")
    size = int(type_name.removeprefix(kind) or 0)
    refusal = f"raise misfit({label}, {type_name!r}, {source!r}, {place}, {word})"
    match kind:
        case "uint":
            yield f"{target} = number({word})"
            if size < 256:
                yield f"if {target} >> {size}: {refusal}"
        case "int":
            yield f"{target} = number({word}, 'big', signed=True)"
            if size < 256:
                yield f"if not {-(2 ** (size - 1))} <= {target} < {2 ** (size - 1)}: {refusal}"
        case "bool":
            yield f"{target} = number({word})"
            yield f"if {target} > 1: {refusal}"
            yield f"{target} = {target} == 1"
        case "address":
            yield f"if {_slice(source, place, 0, 12)} != zeros[12]: {refusal}"
            yield f"{target} = {_slice(source, place, 12, WORD)}"
        case _:
            if size < WORD:
                yield f"if {_slice(source, place, size, WORD)} != zeros[{WORD - size}]: {refusal}"
            yield f"{target} = {_slice(source, place, 0, size)}"


def _slice(source: str, place: int | str, start: int, end: int) -> str:
    if isinstance(place, int):
        return f"{source}[{place + start}:{place + end}]"
    return f"{source}[{place} + {start}:{place} + {end}]"


@cache
def word_reader(type_name: str) -> Callable[[bytes, int, str], Any]:
    """Generates `read(data, place, label)`, which reads the word at a place of the data. It raises DecodeError."""
    lines = word_lines("value", type_name, "data", "place", "label")
    source = "\n    ".join(["def read(data, place, label):", *lines, "return value"])
    scope: dict[str, Any] = dict(WORD_NAMES)
    exec(compile(source, f"<decoder of {type_name}>", "exec"), scope)
    reader: Callable[[bytes, int, str], Any] = scope["read"]
    return reader


def _misfit(label: str, type_name: str, source: str, place: int, word: bytes) -> DecodeError:
    where = f"topic {place // WORD}" if source == "topics" else f"data byte {place}"
    return DecodeError(f"{label}: 0x{word.hex()} at {where} is not a valid {type_name}")


WORD_NAMES: dict[str, object] = {
    "number": int.from_bytes,
    "zeros": tuple(map(bytes, range(WORD))),
    "misfit": _misfit,
}
"""What the generated code refers to."""
