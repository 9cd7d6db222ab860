"""The inclusion proof of an event."""

from collections.abc import Sequence
from typing import NamedTuple

import strawberry

from api.graphql.vocabulary.scalars import Bytes
from api.queries.proofs import Proof
from api.queries.recorded import log_index_of
from schema.abi.keccak import keccak256
from schema.abi.rlp import decode, encode_bytes, integer, items, string
from schema.tables.damage import UNREADABLE, DamagedData
from schema.tables.values import block_of

RECEIPTS_ROOT, LOGS = 5, 3
"""Places in a header and in a receipt."""

FIRST_LIST = 0xC0
"""A smaller first byte of a receipt is its type."""


@strawberry.type(
    description="A Merkle-Patricia proof that the receipt contains the log and that the receipts root of the block "
    "header covers the receipt. docs/how-it-works/verification.md describes how to check it and what it does not prove."
)
class InclusionProof:
    header: Bytes = strawberry.field(
        description="The RLP encoding of the block header. Its keccak-256 is the block hash."
    )
    key: Bytes = strawberry.field(
        description="The key of the receipt in the trie: the RLP encoding of the transaction index."
    )
    nodes: list[Bytes] = strawberry.field(
        description="The RLP-encoded nodes of the trie, from the root to the receipt."
    )
    receipt_log_index: int = strawberry.field(description="The index of the log in the receipt, from 0.")


class ProvableLog(NamedTuple):
    """The cells of an event that its proof depends on."""

    chain_id: int
    position: int
    wide_log_index: int | None
    transaction_index: int
    block_hash: bytes
    address: bytes
    topics: bytes
    data: bytes


def to_proof(log: ProvableLog, proof: Proof | None) -> InclusionProof | DamagedData | None:
    """Returns the proof of an event, None if its block is not verified or belongs to another branch.

    If the stored proof does not prove the stored event, returns the error.
    """
    if proof is None or proof.block_hash != log.block_hash:
        return None
    try:
        index = log_index_of(log.position, log.wide_log_index) - proof.first_log_index
        nodes = [string(node) for node in items(decode(proof.nodes))]
        proves = _proves(log, proof.header, nodes, index)
    except UNREADABLE:
        proves = False
    if not proves:
        number, place = block_of(log.position), log_index_of(log.position, log.wide_log_index)
        return DamagedData(
            f"The stored proof of log {place} of block {number} does not prove the stored log: one of them was changed "
            "after it was stored. Make the proof again, which also finds a changed log: certindex verify "
            f"--from {number} --to {number}"
        )
    return InclusionProof(
        header=Bytes(proof.header),
        key=Bytes(encode_bytes(integer(log.transaction_index))),
        nodes=[Bytes(node) for node in nodes],
        receipt_log_index=index,
    )


def topics_of(topics: bytes) -> list[bytes]:
    """Returns the topics of a log, which are stored one after another."""
    return [topics[start : start + 32] for start in range(0, len(topics), 32)]


def _proves(log: ProvableLog, header: bytes, nodes: Sequence[bytes], index: int) -> bool:
    """Returns whether header and nodes are linked by their hashes, and the event is that log of the receipt."""
    hashes = [keccak256(node) for node in nodes]
    if keccak256(header) != log.block_hash or string(items(decode(header))[RECEIPTS_ROOT]) != hashes[0]:
        return False
    if not all(hash in node for node, hash in zip(nodes, hashes[1:], strict=False)):
        return False
    receipt = string(items(decode(nodes[-1]))[-1])
    logs = items(items(decode(receipt if receipt[0] >= FIRST_LIST else receipt[1:]))[LOGS])
    return index >= 0 and logs[index] == [log.address, topics_of(log.topics), log.data]
