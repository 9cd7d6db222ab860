"""RLP, the encoding of what Ethereum hashes (yellow paper, appendix B): byte strings and lists of items.

The decoder accepts only the shortest encoding of a value, so that a value has exactly one hash.
"""

from collections.abc import Sequence
from typing import TypeAlias

Item: TypeAlias = bytes | Sequence["Item"]

SHORT = 55
"""Bytes of the longest content whose length is part of the first byte."""


class RlpError(ValueError):
    """The bytes are not RLP, or not the shortest encoding."""


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
    """Returns the encoding of a list whose items are already encoded."""
    payload = b"".join(encoded)
    length = len(payload)
    return (bytes((0xC0 + length,)) if length <= SHORT else _long(0xF7, length)) + payload


def integer(number: int) -> bytes:
    """Returns the byte string that stands for a number in RLP: big-endian, empty for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode(data: bytes) -> Item:
    """Returns the item that the bytes encode, lists as Python lists. Raises RlpError, also for bytes after the item."""
    item, end = _decode(data, 0, len(data))
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes after the end of the item")
    return item


def number(item: Item) -> int:
    """Returns the number that an item stands for. Raises RlpError."""
    value = string(item)
    if value[:1] == b"\0":
        raise RlpError("a number has a leading zero")
    return int.from_bytes(value, "big")


def string(item: Item, length: int | None = None) -> bytes:
    """Returns the item if it is a byte string of `length` bytes, or of any length. Raises RlpError."""
    if not isinstance(item, bytes):
        raise RlpError("expected bytes, not a list")
    if length is not None and len(item) != length:
        raise RlpError(f"expected {length} bytes, not {len(item)}")
    return item


def items(item: Item) -> Sequence[Item]:
    """Returns the item if it is a list. Raises RlpError."""
    if isinstance(item, bytes):
        raise RlpError("expected a list, not bytes")
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
            raise RlpError("a byte below 0x80 has a length before it")
        return data[begin:stop], stop
    begin, stop = _span(data, start, end, first - 0xC0)
    members: list[Item] = []
    while begin < stop:
        item, begin = _decode(data, begin, stop)
        members.append(item)
    return members, stop


def _span(data: bytes, start: int, end: int, length: int) -> tuple[int, int]:
    """Returns where the content of an item begins and ends."""
    begin = start + 1
    if length > SHORT:
        size = data[begin : begin + length - SHORT]
        begin += length - SHORT
        length = int.from_bytes(size, "big")
        if begin > end or size[:1] == b"\0" or length <= SHORT:
            raise RlpError("a length is not in its shortest form")
    if begin + length > end:
        raise RlpError("the bytes end early")
    return begin, begin + length
