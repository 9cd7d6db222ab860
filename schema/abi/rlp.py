"""RLP, the encoding that Ethereum hashes (yellow paper, appendix B): byte strings and lists of them.

Decoding is strict: whatever has two encodings is refused, so that one value has one hash.
"""

from collections.abc import Sequence
from typing import TypeAlias

Item: TypeAlias = bytes | Sequence["Item"]

SHORT = 55


class RlpError(ValueError):
    """The bytes are not RLP, or not its one right form."""


def encode(item: Item) -> bytes:
    """Returns the encoding of a byte string or a list."""
    return encode_bytes(item) if isinstance(item, bytes) else encode_list([encode(part) for part in item])


def encode_bytes(value: bytes) -> bytes:
    length = len(value)
    if length == 1 and value[0] < 0x80:
        return value
    if length <= SHORT:
        return bytes((0x80 + length,)) + value
    return _long(0xB7, length) + value


def encode_list(encoded: Sequence[bytes]) -> bytes:
    """Returns the list of items that are encoded already."""
    payload = b"".join(encoded)
    length = len(payload)
    return (bytes((0xC0 + length,)) if length <= SHORT else _long(0xF7, length)) + payload


def integer(number: int) -> bytes:
    """Returns the big-endian bytes of a number, none for zero, to be encoded."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode(data: bytes) -> Item:
    """Returns what the bytes, all of them, encode; lists as lists. Raises RlpError."""
    item, end = _decode(data, 0, len(data))
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes too many")
    return item


def number(item: Item) -> int:
    """Returns the number that a byte string stands for. Raises RlpError."""
    value = string(item)
    if value[:1] == b"\0":
        raise RlpError("a number with a leading zero")
    return int.from_bytes(value, "big")


def string(item: Item, length: int | None = None) -> bytes:
    """Returns the item if it is a byte string, of this length if one is given. Raises RlpError."""
    if not isinstance(item, bytes):
        raise RlpError("a list where bytes are due")
    if length is not None and len(item) != length:
        raise RlpError(f"{len(item)} bytes where {length} are due")
    return item


def items(item: Item) -> Sequence[Item]:
    """Returns the item if it is a list. Raises RlpError."""
    if isinstance(item, bytes):
        raise RlpError("bytes where a list is due")
    return item


def _long(offset: int, length: int) -> bytes:
    size = integer(length)
    return bytes((offset + len(size),)) + size


def _decode(data: bytes, start: int, end: int) -> tuple[Item, int]:
    if start >= end:
        raise RlpError("the bytes end early")
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1
    if first < 0xC0:
        begin, stop = _span(data, start, end, first - 0x80)
        if stop - begin == 1 and data[begin] < 0x80:
            raise RlpError("a byte that stands for itself, with a length before it")
        return data[begin:stop], stop
    begin, stop = _span(data, start, end, first - 0xC0)
    found: list[Item] = []
    while begin < stop:
        item, begin = _decode(data, begin, stop)
        found.append(item)
    return found, stop


def _span(data: bytes, start: int, end: int, length: int) -> tuple[int, int]:
    """Returns where the content of an item begins and stops."""
    begin = start + 1
    if length > SHORT:
        size = data[begin : begin + length - SHORT]
        begin += length - SHORT
        length = int.from_bytes(size, "big")
        if begin > end or size[:1] == b"\0" or length <= SHORT:
            raise RlpError("a length that is not in its shortest form")
    if begin + length > end:
        raise RlpError("the bytes end early")
    return begin, begin + length
