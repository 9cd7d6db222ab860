"""Cursors of the change feed: where a copy stands, on which branch of each network.

A cursor names the log up to which the copy goes, by its block's hash, so that it is good on every branch and for ever:
what a reorg took back meanwhile is told. It also holds a fingerprint of the filter, and one of what is watched and how
it is read: rows that were made anew by another profile are another feed.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, Row, select

from api.graphql.errors import BadUserInput, Reason
from api.graphql.paging.cursors import fingerprint
from api.graphql.paging.ids import Bytes32, Int64
from api.queries.feed import Reached
from api.queries.sql import tables
from api.queries.sql.filters import Filter

VERSION = 1
MARK_BYTES = 8

Mark = Annotated[bytes, Meta(min_length=MARK_BYTES, max_length=MARK_BYTES)]


class _Stand(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    number: Annotated[int, Meta(ge=0, le=2**43 - 1)]
    hash: Bytes32
    log_index: Annotated[int, Meta(ge=0, le=2**20 - 1)]
    watch_set: Mark


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    filter: Mark
    stands: Annotated[list[_Stand], Meta(max_length=100)]


Stands = Mapping[int, Reached | None]
"""Where a copy stands on each network; before the first event of one that is None or not in it."""


class FeedCursors:
    """Writes and reads the cursors of one filter's feed. `watch_sets` are the marks of `watch_set_marks`."""

    def __init__(self, filter: Filter, watch_sets: Mapping[int, bytes]) -> None:
        self._filter = fingerprint("changes", filter)
        self._watch_sets = watch_sets

    def write(self, stands: Stands) -> str:
        """Returns the cursor of a place."""
        told = [_Stand(*at, self._watch_sets[chain_id]) for chain_id, at in sorted(stands.items()) if at is not None]
        packed = msgspec.msgpack.encode(_Cursor(VERSION, self._filter, told))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def read(self, text: str) -> Stands:
        """Returns the place of a cursor. Raises BadUserInput where it is none, or one of another feed."""
        try:
            cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
        except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
            raise BadUserInput(
                f'after is "{text[:80]}", which is no cursor of the change feed: pass one that a message, or '
                "endCursor of changes, gave."
            ) from None
        if cursor.version != VERSION:
            raise BadUserInput("after is a cursor of another release: begin again without it.", Reason.STALE_CURSOR)
        if cursor.filter != self._filter:
            raise BadUserInput("after is a cursor of another feed: use it with the same filterBy that gave it.")
        return {stand.chain_id: self._reached(stand) for stand in cursor.stands}

    def _reached(self, stand: _Stand) -> Reached:
        known = self._watch_sets.get(stand.chain_id)
        if known is None:
            raise BadUserInput(
                f"after is a cursor of chain {stand.chain_id}, which is not indexed here: begin again without it."
            )
        if known != stand.watch_set:
            raise BadUserInput(
                f"after is a cursor from before chain {stand.chain_id} was read anew, by another profile or with other "
                "contracts: drop the copy and begin again without it.",
                Reason.STALE_CURSOR,
            )
        return Reached(stand.chain_id, stand.number, stand.hash, stand.log_index)


def watch_set_marks(connection: Connection, contracts: Mapping[int, tuple[Row[Any], ...]]) -> Mapping[int, bytes]:
    """Returns a short hash of what is watched of each network, and of the profile that reads it."""
    profiles = connection.execute(select(tables.profile.c.chain_id, tables.profile.c.text))
    return {
        chain_id: _mark(text, tuple((row.role, row.address, row.start_block) for row in contracts.get(chain_id, ())))
        for chain_id, text in profiles
    }


@lru_cache(maxsize=32)
def _mark(profile: str, contracts: tuple[tuple[str, bytes, int], ...]) -> bytes:
    return blake2b(repr((profile, contracts)).encode("utf-8", "backslashreplace"), digest_size=MARK_BYTES).digest()
