"""The inclusion proof of a log: the log is in a receipt, the receipt under the root that a block's header names."""

from collections.abc import Sequence

from msgspec import Struct

from indexer.proof.header import ProvenHeader, decode_header
from indexer.proof.receipt import Log, UnknownReceipt, decode_receipt
from indexer.proof.trie import ProofError, prove, trie_key
from schema.abi.rlp import RlpError


class Inclusion(Struct, frozen=True):
    """`header` is RLP; `nodes` lead from the receipts root to the receipt, root first."""

    header: bytes
    transaction_index: int
    nodes: Sequence[bytes]
    receipt_log_index: int


def prove_log(proof: Inclusion) -> tuple[ProvenHeader, Log]:
    """Returns the header and the log in it that the proof holds. Raises ProofError with the first thing that fails."""
    header = read_header(proof.header)
    logs = receipt_logs(header, proof.transaction_index, proof.nodes)
    if not 0 <= proof.receipt_log_index < len(logs):
        raise ProofError(f"the receipt holds {len(logs)} logs, none with the index {proof.receipt_log_index}")
    return header, logs[proof.receipt_log_index]


def read_header(encoded: bytes) -> ProvenHeader:
    """Returns what a header says. Raises ProofError."""
    try:
        return decode_header(encoded)
    except RlpError as error:
        raise ProofError(f"the header cannot be read: {error}") from None


def receipt_logs(header: ProvenHeader, transaction_index: int, nodes: Sequence[bytes]) -> Sequence[Log]:
    """Returns the logs of the receipt that the nodes prove to be in the block. Raises ProofError."""
    try:
        return decode_receipt(prove(header.receipts_root, trie_key(transaction_index), nodes)).logs
    except (RlpError, UnknownReceipt) as error:
        raise ProofError(f"the proof cannot be read: {error}") from None
