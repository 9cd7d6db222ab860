"""Ids: what names an object for ever. Made of chain data, so that every process and every rebuild says the same.

Read under an explicit `asOf`, an id carries that block and clock, so that a client's cache keeps past and present
apart.
"""

import base64
import binascii
from typing import Annotated, Any, Self

import msgspec
import strawberry
from msgspec import Meta, Struct

from api.graphql.vocabulary.fields import field
from api.queries.sql.as_of import BlockPoint, Pin, pin_at


@strawberry.interface(
    description="One object, addressable by id. Read under an explicit `asOf` the id carries that block as well, so "
    "that a client's cache keeps past and present apart; compare devices by `tokenDID`."
)
class Node:
    @field("Names this object, for `node` and for caches. Opaque.")
    def id(self) -> strawberry.ID:
        return id_of(self.node_name())

    def node_name(self) -> "NodeName":
        """Returns what the id holds."""
        raise NotImplementedError


Int64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Address = Annotated[bytes, Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]


class At(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The block and the clock of an explicit `asOf`."""

    number: Annotated[int, Meta(ge=0, le=2**43 - 1)]
    hash: Bytes32
    time: Int64
    clock: Int64

    def pin(self, chain_id: int) -> Pin:
        return pin_at(BlockPoint(chain_id, self.number, self.hash, self.time), self.clock, explicit=True)


class _Token(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    contract: Address
    token: Bytes32
    at: At | None

    @classmethod
    def of_token(cls, row: Any, pin: Pin) -> Self:
        """Returns the name of a row's token, as of the pin."""
        return cls(row.chain_id, row.contract, row.token_id.to_bytes(32), at(pin))

    @property
    def token_id(self) -> int:
        return int.from_bytes(self.token)


class DeviceName(_Token, frozen=True, array_like=True, forbid_unknown_fields=True, tag="D"):
    pass


class ManufacturerName(_Token, frozen=True, array_like=True, forbid_unknown_fields=True, tag="M"):
    pass


class HardwareLicenseName(_Token, frozen=True, array_like=True, forbid_unknown_fields=True, tag="H"):
    pass


class _Log(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    chain_id: Int64
    block_hash: Bytes32
    log_index: Annotated[int, Meta(ge=0, le=2**20 - 1)]
    at: At | None


class EventName(_Log, frozen=True, array_like=True, forbid_unknown_fields=True, tag="E"):
    pass


class AuthorizationName(_Log, frozen=True, array_like=True, forbid_unknown_fields=True, tag="A"):
    pass


NodeName = DeviceName | ManufacturerName | HardwareLicenseName | EventName | AuthorizationName


def parse_id(text: str) -> NodeName | None:
    """Returns what an id names, None for anything that is not letter for letter an id of ours."""
    try:
        name = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=NodeName)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
        return None
    return name if id_of(name) == text else None


def at(pin: Pin) -> At | None:
    """Returns what an id carries of the point that an object is read at."""
    if not pin.explicit or pin.block is None:
        return None
    return At(pin.block.number, pin.block.hash, pin.block.time, pin.clock)


def id_of(name: NodeName) -> strawberry.ID:
    """Returns the id that names an object."""
    return strawberry.ID(base64.urlsafe_b64encode(msgspec.msgpack.encode(name)).decode().rstrip("="))
