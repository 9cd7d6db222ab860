"""Opaque tokens that clients keep: node ids, and the cursors of lists, of `orphanedEvents` and of the change feed.

A token is a msgpack array as base64url text without padding. It holds chain data only, so that every process and every
rebuild writes the same token, and it holds no secret. Clients store tokens: a change of a cursor's fields needs another
version, and the fields of an id never change.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple, Self, TypeVar

import msgspec
from msgspec import Meta, Struct

from api.graphql.errors import BadUserInput, Reason
from api.queries.feed import LogPlace
from api.queries.orphans import OrphanPlace
from api.queries.sql.as_of import BlockPoint, Pin, pin_at
from api.queries.sql.filters import Filter
from api.queries.sql.listings import Order
from api.queries.sql.pages import Place
from schema.tables.columns import KeyText, Uint256
from schema.tables.values import INT64_MAX, KEY_LENGTH

TokenT = TypeVar("TokenT")

CURSOR_VERSION = 1
DIGEST_BYTES = 8
HASH_BYTES = 32
UINT256_BYTES = 32

Int64 = Annotated[int, Meta(ge=0, le=INT64_MAX)]
BlockNumber = Annotated[int, Meta(ge=0, le=2**43 - 1)]
Offset = Annotated[int, Meta(ge=0, le=2**20 - 1)]
AddressBytes = Annotated[bytes, Meta(min_length=20, max_length=20)]
HashBytes = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


def digest_of(*parts: Any) -> bytes:
    """Returns a hash of 8 bytes, such as that of all that makes two lists the same: name, parent, order and filter."""
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).digest()


def _encode(token: Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(token)).decode().rstrip("=")


def _decode(text: str, kind: Any) -> Any:
    """Returns the token of this kind, None for any other text."""
    try:
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
        return None


class AsOfPoint(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The block and the clock that an object or a list was read at. `time` and `clock` in unix seconds."""

    number: BlockNumber
    hash: HashBytes
    time: Int64
    clock: Int64

    @classmethod
    def of_pin(cls, pin: Pin) -> Self | None:
        """Returns what an id carries: the point of the pin, None for that of the newest block."""
        if not pin.is_in_ids or pin.block is None:
            return None
        return cls(pin.block.number, pin.block.hash, pin.block.time, pin.clock)

    def pin(self, chain_id: int, *, explicit: bool = True) -> Pin:
        return pin_at(BlockPoint(chain_id, self.number, self.hash, self.time), self.clock, explicit=explicit)


# Node ids


class TokenId(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    contract: AddressBytes
    token: HashBytes
    as_of: AsOfPoint | None

    @classmethod
    def of_token(cls, pin: Pin, chain_id: int, contract: bytes, token_id: int) -> Self:
        """Returns the id of a token, as of the pin."""
        return cls(chain_id, contract, token_id.to_bytes(UINT256_BYTES), AsOfPoint.of_pin(pin))

    @property
    def token_id(self) -> int:
        return int.from_bytes(self.token)


class DeviceId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="D"):
    pass


class ManufacturerId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="M"):
    pass


class HardwareLicenseId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="H"):
    pass


class VehicleId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="V"):
    pass


class SyntheticDeviceId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="S"):
    pass


class AccountId(TokenId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="C"):
    """An account, with the token 0."""


class LogId(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    block_hash: HashBytes
    offset: Offset
    as_of: AsOfPoint | None


class EventId(LogId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="E"):
    pass


class AuthorizationId(LogId, frozen=True, array_like=True, forbid_unknown_fields=True, tag="A"):
    pass


NodeId = (
    DeviceId
    | ManufacturerId
    | HardwareLicenseId
    | VehicleId
    | SyntheticDeviceId
    | AccountId
    | EventId
    | AuthorizationId
)


def write_id(id: NodeId) -> str:
    """Returns the text of a node id."""
    return _encode(id)


def read_id(text: str) -> NodeId | None:
    """Returns a node id, None for text that differs in any letter from the id that the API writes."""
    id: NodeId | None = _decode(text, NodeId)
    return id if id is not None and write_id(id) == text else None


# Cursors of lists


class _ChainPoint(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    point: AsOfPoint


class _ListCursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    list_digest: Digest
    key: Any
    chain_id: Int64
    id: Int64
    points: Annotated[list[_ChainPoint], Meta(min_length=1, max_length=100)]
    explicit: bool


class Bookmark(NamedTuple):
    """What a list cursor holds: the place of a row, and the pins that the list was read at."""

    place: Place
    pins: tuple[Pin, ...]


class ListCursors:
    """Writes the cursors of one page. `list_digest` is that of the list, its order and its filter."""

    def __init__(self, list_digest: bytes, pins: tuple[Pin, ...]) -> None:
        self._list_digest = list_digest
        self._pins = pins
        self._explicit = any(pin.explicit for pin in pins)

    @cached_property
    def _points(self) -> list[_ChainPoint]:
        return [
            _ChainPoint(pin.chain_id, AsOfPoint(pin.block.number, pin.block.hash, pin.block.time, pin.clock))
            for pin in self._pins
            if pin.block is not None
        ]

    def write(self, place: Place) -> str:
        """Returns the cursor of a row's place."""
        is_wide = isinstance(place.key, int) and place.key > INT64_MAX
        key = place.key.to_bytes(UINT256_BYTES) if is_wide else place.key
        return _encode(
            _ListCursor(CURSOR_VERSION, self._list_digest, key, place.chain_id, place.id, self._points, self._explicit)
        )


def read_list_cursor(text: str, list_digest: bytes, order: Order, argument: str) -> Bookmark:
    """Returns the content of a cursor. Raises BadUserInput for text that is no cursor, or one of another list."""
    cursor: _ListCursor | None = _decode(text, _ListCursor)
    if cursor is None:
        raise BadUserInput(f'{argument} is "{text[:80]}", which is not a cursor: pass one that a page returned.')
    if cursor.version != CURSOR_VERSION:
        raise BadUserInput(f"{argument} is a cursor of another release: start again without it.", Reason.STALE_CURSOR)
    if cursor.list_digest != list_digest or not _fits(cursor.key, order):
        raise BadUserInput(
            f"{argument} is a cursor of another list: use it with the same field, filter and order that returned it."
        )
    pins = tuple(item.point.pin(item.chain_id, explicit=cursor.explicit) for item in cursor.points)
    key = int.from_bytes(cursor.key) if isinstance(cursor.key, bytes) else cursor.key
    return Bookmark(Place(key, cursor.chain_id, cursor.id), pins)


def _fits(key: Any, order: Order) -> bool:
    """Returns whether a key is a value that the order's column can have."""
    if order.key is None or key is None:
        return key is None
    match key:
        case bool():
            return False
        case bytes():
            return isinstance(order.key.type, Uint256) and len(key) == UINT256_BYTES
        case str():
            return isinstance(order.key.type, KeyText) and len(key) <= KEY_LENGTH
        case int():
            return not isinstance(order.key.type, KeyText) and 0 <= key <= INT64_MAX
        case _:
            return False


# Cursors of `orphanedEvents`


class _OrphanCursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    list_digest: Digest
    happened_at: Int64
    chain_id: Int64
    reorg_no: Int64
    position: Int64


def write_orphan_cursor(place: OrphanPlace, list_digest: bytes) -> str:
    """Returns the cursor of an orphaned event. `list_digest` is that of the list's filter."""
    return _encode(_OrphanCursor(CURSOR_VERSION, list_digest, *place))


def read_orphan_cursor(text: str, list_digest: bytes, argument: str) -> OrphanPlace:
    """Returns the place of a cursor. Raises BadUserInput for text that is no cursor, or one of another filter."""
    cursor: _OrphanCursor | None = _decode(text, _OrphanCursor)
    if cursor is None:
        raise BadUserInput(
            f'{argument} is "{text[:80]}", which is not a cursor of this list: pass one that a page returned.'
        )
    if cursor.version != CURSOR_VERSION or cursor.list_digest != list_digest:
        raise BadUserInput(f"{argument} is a cursor of another list: use it with the same filterBy that returned it.")
    return OrphanPlace(cursor.happened_at, cursor.chain_id, cursor.reorg_no, cursor.position)


# Cursors of the change feed


class _FeedPlace(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    number: BlockNumber
    hash: HashBytes
    offset: Offset
    watch_set: Digest


class _FeedCursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    filter: Digest
    places: Annotated[list[_FeedPlace], Meta(max_length=100)]


FeedPosition = Mapping[int, LogPlace | None]
"""The last log that a copy has applied, by chain id; None, or no entry, before the first event of a chain."""


class FeedCursors:
    """Writes and reads the cursors of one filter's feed.

    A cursor names the log that a copy has reached by its block's hash, so that it stays valid on every branch: after a
    reorg the feed continues with the retractions. `watch_sets` are digests, by chain id, of what is watched and of the
    profile that reads it: rows that another profile made are another feed.
    """

    def __init__(self, filter: Filter, watch_sets: Mapping[int, bytes]) -> None:
        self._filter = digest_of("changes", filter)
        self._watch_sets = watch_sets

    def write(self, position: FeedPosition) -> str:
        """Returns the cursor of a position."""
        places = [
            _FeedPlace(*reached, self._watch_sets[chain_id])
            for chain_id, reached in sorted(position.items())
            if reached is not None
        ]
        return _encode(_FeedCursor(CURSOR_VERSION, self._filter, places))

    def read(self, text: str) -> FeedPosition:
        """Returns the position of a cursor. Raises BadUserInput for text that is no cursor, or one of another feed."""
        cursor: _FeedCursor | None = _decode(text, _FeedCursor)
        if cursor is None:
            raise BadUserInput(
                f'after is "{text[:80]}", which is not a cursor of the change feed: pass one of a message, or '
                "endCursor of changes."
            )
        if cursor.version != CURSOR_VERSION:
            raise BadUserInput("after is a cursor of another release: start again without it.", Reason.STALE_CURSOR)
        if cursor.filter != self._filter:
            raise BadUserInput("after is a cursor of another feed: use it with the same filterBy that returned it.")
        for place in cursor.places:
            self._check(place.chain_id, place.watch_set)
        return {
            place.chain_id: LogPlace(place.chain_id, place.number, place.hash, place.offset) for place in cursor.places
        }

    def check(self, position: FeedPosition, written: "FeedCursors") -> None:
        """Raises BadUserInput if `read` would refuse the cursor of a position that others have written."""
        for chain_id, reached in position.items():
            if reached is not None:
                self._check(chain_id, written._watch_sets[chain_id])

    def _check(self, chain_id: int, watch_set: bytes) -> None:
        own = self._watch_sets.get(chain_id)
        if own is None:
            raise BadUserInput(
                f"after is a cursor of chain {chain_id}, which is not indexed here: start again without it."
            )
        if own != watch_set:
            raise BadUserInput(
                f"after is a cursor from before chain {chain_id} was indexed again, by another profile or with "
                "other contracts: drop the copy and start again without it.",
                Reason.STALE_CURSOR,
            )
