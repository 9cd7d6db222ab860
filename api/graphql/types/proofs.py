"""The inclusion proof of an event."""

import strawberry

from api.graphql.vocabulary.scalars import Bytes
from api.queries.proofs import Proof
from api.queries.recorded import RecordedEvent
from schema.abi.rlp import encode_bytes, integer


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


def to_proof(row: RecordedEvent, proof: Proof | None) -> InclusionProof | None:
    """Returns the proof of an event, None if its block is not verified or belongs to another branch."""
    if proof is None or proof.block_hash != row.block_hash:
        return None
    return InclusionProof(
        header=Bytes(proof.header),
        key=Bytes(encode_bytes(integer(row.transaction_index))),
        nodes=[Bytes(node) for node in proof.nodes],
        receipt_log_index=row.log_index - proof.first_log_index,
    )
