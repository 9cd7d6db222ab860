"""Block headers: from what a node tells to the bytes whose hash is the block's, and back.

The first fifteen fields are those of every chain; each upgrade of Ethereum put more behind them. Which of them a chain
hashes is found by trying: only the right form has the block's hash, so a form that fits is proven by fitting.
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
"""The fields in their order, with their lengths in bytes."""

LATER_FIELDS: Mapping[str, int] = {
    "baseFeePerGas": NUMBER,  # London
    "withdrawalsRoot": 32,  # Shanghai
    "blobGasUsed": NUMBER,  # Cancun
    "excessBlobGas": NUMBER,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,  # Prague
}


class ProvenHeader(Struct, frozen=True):
    """What a header says, each field under its hash. `timestamp` in unix seconds."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes


def encode_header(told: Mapping[str, object], block_hash: bytes) -> bytes | None:
    """Returns the RLP of the header that has this hash, from its fields as JSON-RPC names them.

    None: no known form of these fields has the hash. Raises RlpError for a field that is no header's.
    """
    if any(told.get(name) is None for name in FIELDS):
        return None
    base = [_encode_field(name, length, told[name]) for name, length in FIELDS.items()]
    for later in _forms(told):
        encoded = encode_list([*base, *later])
        if keccak256(encoded) == block_hash:
            return encoded
    return None


def decode_header(encoded: bytes) -> ProvenHeader:
    """Returns what a header says. Raises RlpError."""
    fields = items(decode(encoded))
    if len(fields) < len(FIELDS):
        raise RlpError(f"a header with {len(fields)} fields, {len(FIELDS)} are the least")
    found = dict(zip(FIELDS, fields, strict=False))
    return ProvenHeader(
        number(found["number"]),
        keccak256(encoded),
        string(found["parentHash"], 32),
        number(found["timestamp"]),
        string(found["stateRoot"], 32),
        string(found["transactionsRoot"], 32),
        string(found["receiptsRoot"], 32),
        string(found["logsBloom"], 256),
    )


def _forms(told: Mapping[str, object]) -> list[Sequence[bytes]]:
    """Returns what may follow the first fields, likeliest first: nodes also tell fields that their chain leaves out."""
    # a field that is not there, before one that is, is hashed as nothing
    values = [
        b"\x80" if told.get(name) is None else _encode_field(name, length, told[name])
        for name, length in LATER_FIELDS.items()
    ]
    told_last = max((place for place, name in enumerate(LATER_FIELDS, 1) if told.get(name) is not None), default=0)
    return [values[:count] for count in range(told_last, -1, -1)]


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
        raise RlpError(f"the header's {name} has {len(raw)} bytes where {length} are due")
    return encode_bytes(raw)
