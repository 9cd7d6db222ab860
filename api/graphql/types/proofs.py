"""The inclusion proof of an event, as it is served."""

import strawberry

from api.graphql.vocabulary.scalars import Bytes
from api.queries.proofs import Proof
from api.queries.recorded import RecordedEvent
from schema.abi.rlp import encode_bytes, integer


@strawberry.type(
    description="Merkle-Patricia proof that the log is in the receipt, the receipt under the header's root. "
    "docs/how-it-works/verification.md says how to check it, and what it does not prove."
)
class InclusionProof:
    header: Bytes = strawberry.field(description="RLP of the header; its keccak-256 is the block's hash.")
    key: Bytes = strawberry.field(description="RLP of the transaction's index.")
    nodes: list[Bytes] = strawberry.field(description="Root first.")
    receipt_log_index: int = strawberry.field(description="The log's place inside the receipt.")


def to_proof(row: RecordedEvent, proof: Proof | None) -> InclusionProof | None:
    """Returns the proof of an event, None where its block is not verified or is another branch's."""
    if proof is None or proof.block_hash != row.block_hash:
        return None
    return InclusionProof(
        header=Bytes(proof.header),
        key=Bytes(encode_bytes(integer(row.transaction_index))),
        nodes=[Bytes(node) for node in proof.nodes],
        receipt_log_index=row.log_index - proof.first_log_index,
    )
