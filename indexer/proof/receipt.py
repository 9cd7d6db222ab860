"""Transaction receipts in the encoding that blocks commit to (EIP-2718), for every type whose form is known.

A receipt holds outcome, cumulative gas, bloom and logs. All known types have these fields behind a byte for the type
(legacy receipts have none). Deposits of the OP stack have two more since the Canyon upgrade.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from indexer.proof.bloom import Bloom
from schema.abi.rlp import Item, RlpError, decode, encode_bytes, encode_list, integer, items, number, string

LEGACY = 0x00
OP_DEPOSIT = 0x7E
BOR_STATE_SYNC = 0x7F

TYPES = {
    LEGACY: "legacy",
    0x01: "EIP-2930",
    0x02: "EIP-1559",
    0x03: "EIP-4844",
    0x04: "EIP-7702",
    0x64: "Arbitrum deposit",
    0x65: "Arbitrum unsigned",
    0x66: "Arbitrum contract",
    0x68: "Arbitrum retry",
    0x69: "Arbitrum submit retryable",
    0x6A: "Arbitrum internal",
    0x78: "Arbitrum classic",
    OP_DEPOSIT: "OP deposit",
    BOR_STATE_SYNC: "Polygon state sync",  # in the receipts root since the Madhugiri upgrade
}
"""The types whose form is known."""

SUCCESS, FAILURE = b"\x01", b""

_bloom = Bloom()


class Log(Struct, frozen=True, gc=False):
    """A log in a receipt. `topics` are concatenated, 32 bytes each."""

    address: bytes
    topics: bytes
    data: bytes


class Receipt(Struct, frozen=True):
    """A receipt. `outcome` is SUCCESS or FAILURE, before the Byzantium upgrade the 32 bytes of the state root.

    Only OP deposits have `deposit_nonce` and `deposit_version`.
    """

    type: int
    outcome: bytes
    cumulative_gas_used: int
    logs: Sequence[Log]
    deposit_nonce: int | None = None
    deposit_version: int | None = None


class UnknownReceipt(ValueError):
    """A receipt of a type whose form is unknown."""


def encode_receipt(receipt: Receipt) -> bytes:
    """Returns the bytes of a receipt in the receipts trie. Raises UnknownReceipt."""
    _check_type(receipt.type)
    parts = [
        encode_bytes(receipt.outcome),
        encode_bytes(integer(receipt.cumulative_gas_used)),
        encode_bytes(bloom(receipt.logs)),
        encode_list([_encode_log(log) for log in receipt.logs]),
    ]
    if receipt.type == OP_DEPOSIT and receipt.deposit_version is not None:
        # before Canyon, deposits were hashed without their nonce, though nodes return it
        parts += [encode_bytes(integer(receipt.deposit_nonce or 0)), encode_bytes(integer(receipt.deposit_version))]
    body = encode_list(parts)
    return body if receipt.type == LEGACY else bytes((receipt.type,)) + body


def decode_receipt(data: bytes) -> Receipt:
    """Decodes a receipt from the receipts trie. Raises UnknownReceipt or RlpError."""
    type = LEGACY if data[:1] >= b"\xc0" else data[0] if data else -1
    _check_type(type)
    parts = items(decode(data if type == LEGACY else data[1:]))
    if len(parts) not in ((4, 6) if type == OP_DEPOSIT else (4,)):
        raise RlpError(f"a receipt of type 0x{type:02x} with {len(parts)} fields")
    outcome, gas, _, logs = parts[:4]
    nonce, version = map(number, parts[4:]) if len(parts) == 6 else (None, None)
    return Receipt(type, string(outcome), number(gas), tuple(map(_decode_log, items(logs))), nonce, version)


def bloom(logs: Iterable[Log]) -> bytes:
    """Returns the 256 bytes of the logs' bloom."""
    return _bloom.of((log.address, log.topics) for log in logs)


def _check_type(type: int) -> None:
    if type not in TYPES:
        raise UnknownReceipt(f"a receipt of type 0x{type:02x}, whose form is unknown")


def _encode_log(log: Log) -> bytes:
    topics = [b"\xa0" + log.topics[start : start + 32] for start in range(0, len(log.topics), 32)]
    return encode_list([b"\x94" + log.address, encode_list(topics), encode_bytes(log.data)])


def _decode_log(item: Item) -> Log:
    parts = items(item)
    if len(parts) != 3:
        raise RlpError(f"a log with {len(parts)} fields")
    address, topics, data = parts
    return Log(string(address, 20), b"".join(string(topic, 32) for topic in items(topics)), string(data))
