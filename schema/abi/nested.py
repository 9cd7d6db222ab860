"""Reads values that hold other values: tuples, and arrays of texts, of tuples or of arrays."""

from collections.abc import Callable
from typing import Any

from schema.abi.signature import WORD, Argument
from schema.abi.words import DecodeError, word_reader

Read = Callable[["_Tails", int, int, int], Any]
"""Reads the value whose head is at `place`; arguments: tails, frame, end of the frame's heads, place.

Offsets count from the frame, which is the beginning of the innermost tuple or of an array's elements.
"""


def nested_reader(argument: Argument, heads: int) -> Callable[[bytes, int], Any]:
    """Returns `read(data, place)` for an argument whose head is at a place of the data. It raises DecodeError.

    `heads`: bytes of the heads of all arguments. Tuples and arrays are returned as tuples. An offset points behind the
    heads of its frame. Tails may overlap if together they are not longer than the data: else a short log could hold a
    value of any size.
    """
    read = _reader(argument, argument.name or f"unnamed {argument.type}")
    return lambda data, place: read(_Tails(data), 0, heads, place)


def clean_text(raw: bytes) -> str:
    """Decodes UTF-8. Invalid sequences, and NUL, which PostgreSQL cannot store, become U+FFFD."""
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Tails:
    """The data of a log, and how many of its bytes further tails may take."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = len(data)

    def number(self, place: int) -> int:
        return int.from_bytes(self.data[place : place + WORD], "big")

    def take(self, label: str, start: int, size: int) -> None:
        """Raises DecodeError if the data does not hold `size` bytes from `start`, or if tails have taken too many."""
        if start + size > len(self.data):
            raise DecodeError(
                f"{label}: {size} bytes at data byte {start} run beyond the data's end at byte {len(self.data)}"
            )
        self.left -= size
        if self.left < 0:
            raise DecodeError(f"{label}: overlapping tails hold more than the {len(self.data)} bytes of the data")


def _reader(argument: Argument, label: str) -> Read:
    read = _value_reader(argument, label)
    if not argument.dynamic:
        return read

    def follow(tails: _Tails, frame: int, heads: int, place: int) -> Any:
        offset = tails.number(place)
        if frame + offset < heads:
            raise DecodeError(
                f"{label}: the offset {offset} at data byte {place} points before the tails, from byte {heads}"
            )
        return read(tails, frame, heads, frame + offset)

    return follow


def _value_reader(argument: Argument, label: str) -> Read:
    """Returns the reader of a value that begins at `place`."""
    if argument.element is not None:
        return _array_reader(argument, argument.element, label)
    if argument.components:
        return _tuple_reader(argument, label)
    if argument.dynamic:
        return _text_reader(label) if argument.type == "string" else _bytes_reader(label)
    read = word_reader(argument.type)
    return lambda tails, frame, heads, place: read(tails.data, place, label)


def _array_reader(argument: Argument, element: Argument, label: str) -> Read:
    read, size, fixed = _reader(element, label), element.head_size, argument.length

    def read_array(tails: _Tails, frame: int, heads: int, place: int) -> tuple[Any, ...]:
        if not argument.dynamic:
            return tuple([read(tails, frame, heads, place + size * index) for index in range(fixed or 0)])
        length = fixed
        if length is None:
            tails.take(label, place, WORD)
            length, place = tails.number(place), place + WORD
        tails.take(label, place, length * size)
        end = place + length * size
        return tuple([read(tails, place, end, start) for start in range(place, end, size)])

    return read_array


def _tuple_reader(argument: Argument, label: str) -> Read:
    readers: list[tuple[int, Read]] = []
    size = 0
    for component in argument.components:
        readers.append((size, _reader(component, f"{label}.{component.name}" if component.name else label)))
        size += component.head_size

    def read_tuple(tails: _Tails, frame: int, heads: int, place: int) -> tuple[Any, ...]:
        if argument.dynamic:
            tails.take(label, place, size)
            frame, heads = place, place + size
        return tuple([read(tails, frame, heads, place + start) for start, read in readers])

    return read_tuple


def _bytes_reader(label: str) -> Callable[[_Tails, int, int, int], bytes]:
    def read_bytes(tails: _Tails, frame: int, heads: int, place: int) -> bytes:
        tails.take(label, place, WORD)
        length, start = tails.number(place), place + WORD
        padded = length + (-length % WORD)
        tails.take(label, start, padded)
        if any(tails.data[start + length : start + padded]):
            raise DecodeError(f"{label}: the padding at data byte {start + length} is not zero")
        return tails.data[start : start + length]

    return read_bytes


def _text_reader(label: str) -> Callable[[_Tails, int, int, int], str]:
    read = _bytes_reader(label)
    return lambda tails, frame, heads, place: clean_text(read(tails, frame, heads, place))
