"""Cursors: a place in a list that stands still.

A cursor holds the place (sort key, chain, id), the point of each chain that the list was read at, and a fingerprint of
the list, its order and its filter. Opaque and versioned: clients keep them for minutes, and no secret is in them.
"""

import base64
import binascii
from functools import cached_property
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from api.graphql.errors import BadUserInput, Reason
from api.graphql.paging.ids import At, Int64
from api.queries.sql.as_of import Pin
from api.queries.sql.pages import Order, Place
from schema.tables.columns import KeyText, Uint256
from schema.tables.values import INT64_MAX, KEY_LENGTH

VERSION = 1


class _Point(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    at: At


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    fingerprint: Annotated[bytes, Meta(min_length=8, max_length=8)]
    key: Any
    chain_id: Int64
    id: Int64
    points: Annotated[list[_Point], Meta(min_length=1, max_length=100)]
    explicit: bool


class Bookmark(NamedTuple):
    """What a cursor says: the place, and the pins of the list."""

    place: Place
    pins: tuple[Pin, ...]


def fingerprint(*parts: Any) -> bytes:
    """Returns a short hash of what makes two lists the same: name, parent, order and filter."""
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).digest()


class CursorMaker:
    """Makes the cursors of one page."""

    def __init__(self, fingerprint: bytes, pins: tuple[Pin, ...]) -> None:
        self._fingerprint = fingerprint
        self._pins = pins
        self._explicit = any(pin.explicit for pin in pins)

    @cached_property
    def _points(self) -> list[_Point]:
        return [
            _Point(pin.chain_id, At(pin.block.number, pin.block.hash, pin.block.time, pin.clock))
            for pin in self._pins
            if pin.block is not None
        ]

    def cursor(self, place: Place) -> str:
        """Returns the cursor of a row's place."""
        key = place.key.to_bytes(32) if isinstance(place.key, int) and place.key > INT64_MAX else place.key
        return _encode(_Cursor(VERSION, self._fingerprint, key, place.chain_id, place.id, self._points, self._explicit))


UINT256_BYTES = 32


def read_cursor(text: str, fingerprint: bytes, order: Order, argument: str) -> Bookmark:
    """Returns what a cursor says. Raises BadUserInput where it is none, or one of another list."""
    try:
        cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
        raise BadUserInput(f'{argument} is "{text[:80]}", which is no cursor: pass one that a page gave.') from None
    if cursor.version != VERSION:
        raise BadUserInput(f"{argument} is a cursor of another release: begin again without it.", Reason.STALE_CURSOR)
    if cursor.fingerprint != fingerprint or not _fits(cursor, order):
        raise BadUserInput(
            f"{argument} is a cursor of another list: use it with the same field, filter and order that gave it."
        )
    pins = tuple(point.at.pin(point.chain_id)._replace(explicit=cursor.explicit) for point in cursor.points)
    key = int.from_bytes(cursor.key) if isinstance(cursor.key, bytes) else cursor.key
    return Bookmark(Place(key, cursor.chain_id, cursor.id), pins)


def _fits(cursor: _Cursor, order: Order) -> bool:
    """Tells whether the key is one that the order can have."""
    if order.key is None or cursor.key is None:
        return cursor.key is None
    match cursor.key:
        case bool():
            return False
        case bytes():
            return isinstance(order.key.type, Uint256) and len(cursor.key) == UINT256_BYTES
        case str():
            return isinstance(order.key.type, KeyText) and len(cursor.key) <= KEY_LENGTH
        case int():
            return not isinstance(order.key.type, KeyText) and 0 <= cursor.key <= INT64_MAX
        case _:
            return False


def _encode(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")
