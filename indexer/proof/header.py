"""Block headers: from the fields that a node returns to the bytes whose hash is the block's, and back.

The first fifteen fields are those of every chain. Each upgrade of Ethereum appended more. Which of them a chain hashes
is found by trying: only the right form has the block's hash, so a form that matches is proven.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schema.abi.keccak import keccak256
from schema.abi.rlp import RlpError, decode, encode_bytes, encode_list, integer, items, number, string

NUMBER = 0
ANY_BYTES = -1

FIELDS: Mapping[str, int] = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "difficulty": NUMBER,
    "number": NUMBER,
    "gasLimit": NUMBER,
    "gasUsed": NUMBER,
    "timestamp": NUMBER,
    "extraData": ANY_BYTES,
    "mixHash": 32,
    "nonce": 8,
}
"""The fields in their order, with their lengths in bytes, or NUMBER or ANY_BYTES."""

LATER_FIELDS: Mapping[str, int] = {
    "baseFeePerGas": NUMBER,  # London
    "withdrawalsRoot": 32,  # Shanghai
    "blobGasUsed": NUMBER,  # Cancun
    "excessBlobGas": NUMBER,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,  # Prague
}


class Header(Struct, frozen=True):
    """The fields of a header that are stored. `timestamp` in unix seconds."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes


class ProvenHeader(Header, frozen=True):
    """A header whose hash was recomputed."""

    logs_bloom: bytes


def encode_header(json_header: Mapping[str, object], block_hash: bytes) -> bytes | None:
    """Returns the RLP of the header with this hash, from its fields under their JSON-RPC names.

    Returns None if no known form of these fields has the hash. Raises RlpError for an invalid field.
    """
    if any(json_header.get(name) is None for name in FIELDS):
        return None
    base = [_encode_field(name, length, json_header[name]) for name, length in FIELDS.items()]
    for later in _forms(json_header):
        encoded = encode_list([*base, *later])
        if keccak256(encoded) == block_hash:
            return encoded
    return None


def decode_header(encoded: bytes) -> ProvenHeader:
    """Decodes the RLP of a header. Raises RlpError."""
    fields = items(decode(encoded))
    if len(fields) < len(FIELDS):
        raise RlpError(f"a header with {len(fields)} fields instead of {len(FIELDS)} or more")
    named = dict(zip(FIELDS, fields, strict=False))
    return ProvenHeader(
        number(named["number"]),
        keccak256(encoded),
        string(named["parentHash"], 32),
        number(named["timestamp"]),
        string(named["stateRoot"], 32),
        string(named["transactionsRoot"], 32),
        string(named["receiptsRoot"], 32),
        string(named["logsBloom"], 256),
    )


def _forms(json_header: Mapping[str, object]) -> list[Sequence[bytes]]:
    """Returns the fields that may follow the first ones, likeliest first: nodes also return unhashed fields."""
    # a missing field before a present one is hashed as an empty string
    values = [
        b"\x80" if json_header.get(name) is None else _encode_field(name, length, json_header[name])
        for name, length in LATER_FIELDS.items()
    ]
    last_present = max(
        (place for place, name in enumerate(LATER_FIELDS, 1) if json_header.get(name) is not None), default=0
    )
    return [values[:count] for count in range(last_present, -1, -1)]


def _encode_field(name: str, length: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise RlpError(f"the header's {name} is {value!r}, not hex")
    try:
        if length == NUMBER:
            return encode_bytes(integer(int(value, 16)))
        raw = bytes.fromhex(value.removeprefix("0x"))
    except (ValueError, OverflowError):
        raise RlpError(f"the header's {name} is {value[:80]!r}, not hex") from None
    if length not in (ANY_BYTES, len(raw)):
        raise RlpError(f"the header's {name} has {len(raw)} bytes instead of {length}")
    return encode_bytes(raw)
