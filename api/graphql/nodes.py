"""Ids: what names an object for ever. Made of chain data, so that every process and every rebuild says the same.

Read under an explicit `asOf`, an id carries that block and clock, so that a client's cache keeps past and present
apart.
"""

import base64
import binascii
from typing import Annotated

import msgspec
import strawberry
from msgspec import Meta, Struct

from api.queries.pins import BlockPoint, Pin, pin_at


@strawberry.interface(
    description="One object, addressable by id. Read under an explicit `asOf` the id carries that block as well, so "
    "that a client's cache keeps past and present apart; compare devices by `tokenDID`."
)
class Node:
    id: strawberry.ID = strawberry.field(description="Names this object, for `node` and for caches. Opaque.")


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
    return name if _text(name) == text else None


def device_id(chain_id: int, contract: bytes, token_id: int, pin: Pin) -> strawberry.ID:
    """Returns the id of a device, as of the pin."""
    return _text(DeviceName(chain_id, contract, token_id.to_bytes(32), _at(pin)))


def manufacturer_id(chain_id: int, contract: bytes, token_id: int, pin: Pin) -> strawberry.ID:
    """Returns the id of a manufacturer, as of the pin."""
    return _text(ManufacturerName(chain_id, contract, token_id.to_bytes(32), _at(pin)))


def hardware_license_id(chain_id: int, contract: bytes, token_id: int, pin: Pin) -> strawberry.ID:
    """Returns the id of a hardware licence, as of the pin."""
    return _text(HardwareLicenseName(chain_id, contract, token_id.to_bytes(32), _at(pin)))


def event_id(chain_id: int, block_hash: bytes, log_index: int, pin: Pin | None = None) -> strawberry.ID:
    """Returns the id of one log of one branch; with what hangs under it as of the pin."""
    return _text(EventName(chain_id, block_hash, log_index, None if pin is None else _at(pin)))


def authorization_id(chain_id: int, block_hash: bytes, log_index: int, pin: Pin) -> strawberry.ID:
    """Returns the id of the grant that one log of one branch gave, as of the pin."""
    return _text(AuthorizationName(chain_id, block_hash, log_index, _at(pin)))


def _at(pin: Pin) -> At | None:
    if not pin.explicit or pin.block is None:
        return None
    return At(pin.block.number, pin.block.hash, pin.block.time, pin.clock)


def _text(name: NodeName) -> strawberry.ID:
    return strawberry.ID(base64.urlsafe_b64encode(msgspec.msgpack.encode(name)).decode().rstrip("="))
