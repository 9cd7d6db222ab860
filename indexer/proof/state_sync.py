"""Polygon's state sync: logs that no receipts root and no bloom covers, up to the Madhugiri upgrade.

Bor makes them after the transactions of a block. Their receipt has a transaction hash that is made of the block
(0xPolygon/bor, core/types/bor_receipt.go). Some nodes return these logs, others leave them out. Since Madhugiri
(PIP-74) they belong to a transaction of the block, whose receipt is under the root.
"""

from schema.abi.keccak import keccak256

COVERED_FROM: dict[int, int | None] = {
    137: 80_084_800,  # madhugiriBlock of bor's params/config.go
    80002: 28_899_616,  # Amoy, likewise
    80001: None,  # Mumbai, which ended before
    109: None,  # Shibarium
    157: None,  # Puppynet, Shibarium's test network
}
"""By chain id, the first block whose state-sync logs the receipts root covers; None if no block is known."""


def state_sync_transaction(number: int, block_hash: bytes) -> bytes:
    """Returns the hash that Bor gives the transaction of a block's state-sync receipt, before Madhugiri."""
    return keccak256(b"matic-bor-receipt-" + number.to_bytes(8, "big") + block_hash)


def uncovered_transaction(chain_id: int, number: int, block_hash: bytes) -> bytes | None:
    """Returns the hash of a block's state-sync transaction. None if the block can have no uncovered logs."""
    if chain_id not in COVERED_FROM:
        return None
    covered_from = COVERED_FROM[chain_id]
    return state_sync_transaction(number, block_hash) if covered_from is None or number < covered_from else None


def uncovered_note(log_index: int) -> str:
    """Returns why a block with this log cannot be verified."""
    return f"log {log_index} came by Polygon's state sync: its receipt is outside the receipts root"
