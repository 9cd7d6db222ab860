"""What the judge compares: the block as it is stored, and the same block as a provider returned it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from indexer.proof.header import Header
from indexer.proof.receipt import Receipt


class LocatedReceipt(Struct, frozen=True):
    """A receipt, and the block and transaction that the provider returned with it."""

    receipt: Receipt
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int


class Evidence(Struct, frozen=True):
    """A block as a provider returned it, not verified.

    `header` holds the fields under their JSON-RPC names; `transactions` are the hashes in order.
    """

    header: Mapping[str, object]
    transactions: Sequence[bytes]
    receipts: Sequence[LocatedReceipt]


class StoredLog(Struct, frozen=True):
    """A row of `event`, its raw part; `topics` laid end to end."""

    log_index: int
    transaction_index: int
    transaction_hash: bytes
    address: bytes
    topics: bytes
    data: bytes


class StoredBlock(Header, frozen=True):
    """A row of `block` with its events."""

    logs: Sequence[StoredLog]
