"""Verification of a block: recomputes receipts root, logs bloom and header hash, and compares the stored logs.

Evidence that is consistent proves the logs under the block's hash, regardless of its source. If it is not, either the
provider is wrong, and another one may be right; or the receipts are proven, and the stored rows are wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import astuple, replace

from indexer.proof.bloom import WRONG_BLOOMS
from indexer.proof.evidence import Evidence, LocatedReceipt, StoredBlock, StoredLog
from indexer.proof.header import Header, ProvenHeader, decode_header, encode_header
from indexer.proof.receipt import UnknownReceipt, bloom, encode_receipt
from indexer.proof.state_sync import uncovered_note, uncovered_transaction
from indexer.proof.trie import Trie
from schema.abi.rlp import RlpError
from schema.tables.values import LATEST_TIME

NO_ROOT = bytes(32)


class ReceiptProof(Struct, frozen=True):
    """The nodes from the receipts root to a receipt; `first_log_index` is the block's index of its first log."""

    transaction_index: int
    first_log_index: int
    nodes: Sequence[bytes]


class Verified(Struct, frozen=True):
    """All is consistent. `header` is RLP; `proofs` has one proof for every receipt with logs of watched contracts."""

    header: bytes
    proofs: Sequence[ReceiptProof]


class Unverifiable(Struct, frozen=True):
    """The chain commits to its receipts in an unknown form. Nothing contradicts the logs."""

    reason: str


class Uncovered(Unverifiable, frozen=True):
    """All is consistent, but `logs` are stored that no receipts root covers: no evidence can prove them."""

    logs: Sequence[StoredLog]


class NoEvidence(Struct, frozen=True):
    """No provider returned the evidence: receipts that old may be gone."""

    reason: str


class Contradicted(Struct, frozen=True):
    """The evidence contradicts itself or the block's hash. Another provider's may be consistent."""

    reason: str


class Wrong(Struct, frozen=True):
    """The receipts are proven, and the stored rows differ from them."""

    reason: str


Failure = Unverifiable | NoEvidence | Contradicted | Wrong
Judgment = Verified | Failure


class Judge:
    """Judges blocks of one chain. `form_is_known` says whether a header of this chain has been recomputed before.

    `start_blocks`: from which block on the logs of each watched contract are stored.

    Without `trust_bloom` the headers' blooms are not compared: the receipts root alone proves the logs.
    """

    def __init__(
        self, chain_id: int, start_blocks: Mapping[bytes, int], *, form_is_known: bool, trust_bloom: bool = True
    ) -> None:
        self.chain_id = chain_id
        self.start_blocks = start_blocks
        self.form_is_known = form_is_known
        self.trust_bloom = trust_bloom

    def judge(self, stored: StoredBlock, evidence: Evidence) -> Judgment:
        """Compares a stored block with the evidence."""
        try:
            header = encode_header(evidence.header, stored.hash)
            receipts, uncovered = self._split(stored, evidence.receipts)
            name = self._uncovered_transaction(stored)
            flaw = _flaw(stored, [hash for hash in evidence.transactions if hash != name], receipts, uncovered)
            if flaw is not None:
                return Contradicted(flaw)
            read = _unproven_header(evidence) if header is None else decode_header(header)
            difference = _header_difference(stored, read)
            if difference is not None:
                return Contradicted(difference) if header is None else Wrong(difference)
            if read.receipts_root == NO_ROOT:
                return Unverifiable("this chain's blocks have no receipts root")
            trie = Trie([encode_receipt(located.receipt) for located in receipts])
        except UnknownReceipt as error:
            return Unverifiable(f"the block holds {error}")
        except RlpError as error:
            return Contradicted(f"the provider's evidence cannot be read: {error}")
        flaw = self._commitment_flaw(trie.root, receipts, read)
        if flaw is not None:
            return Contradicted(flaw)
        if header is None:
            return self._unknown_form()
        self.form_is_known = True
        return self._compare_logs(stored, receipts, uncovered, trie, header)

    def _split(
        self, stored: StoredBlock, receipts: Sequence[LocatedReceipt]
    ) -> tuple[Sequence[LocatedReceipt], Sequence[LocatedReceipt]]:
        """Returns the receipts under the root, and those that no root covers."""
        name = self._uncovered_transaction(stored)
        covered = [located for located in receipts if located.transaction_hash != name]
        return covered, [located for located in receipts if located.transaction_hash == name]

    def _addresses(self, stored: StoredBlock) -> frozenset[bytes]:
        return frozenset(address for address, start in self.start_blocks.items() if start <= stored.number)

    def _uncovered_transaction(self, stored: StoredBlock) -> bytes | None:
        return uncovered_transaction(self.chain_id, stored.number, stored.hash)

    def _commitment_flaw(self, root: bytes, receipts: Sequence[LocatedReceipt], header: ProvenHeader) -> str | None:
        """Returns how the receipts differ from what the header commits to, None if they do not."""
        if root != header.receipts_root:
            return (
                f"its {len(receipts)} receipts give the root 0x{root.hex()}, "
                f"the header names 0x{header.receipts_root.hex()}"
            )
        logs = [log for located in receipts for log in located.receipt.logs]
        if self.trust_bloom and bloom(logs) != header.logs_bloom:
            return f"the bloom of its logs is not the header's; {WRONG_BLOOMS}"
        return None

    def _unknown_form(self) -> Judgment:
        if self.form_is_known:
            return Contradicted("the header's fields do not give the block's hash, though other blocks' headers do")
        return Unverifiable(
            "the header's fields do not give the block's hash: the form of this chain's headers is unknown"
        )

    def _compare_logs(
        self,
        stored: StoredBlock,
        receipts: Sequence[LocatedReceipt],
        uncovered: Sequence[LocatedReceipt],
        trie: Trie,
        header: bytes,
    ) -> Judgment:
        name = self._uncovered_transaction(stored)
        stored_uncovered = [log for log in stored.logs if log.transaction_hash == name]
        proven = _logs_of(receipts, 0, self._addresses(stored))
        stored_covered = [log for log in stored.logs if log.transaction_hash != name]
        count = sum(len(located.receipt.logs) for located in receipts)
        if any(log.log_index >= count for log in stored_covered) and _differ_in_index(proven, stored_covered):
            return Unverifiable(f"log {stored_covered[-1].log_index}: this chain counts logs in an unknown way")
        difference = _log_difference(proven, stored_covered)
        if difference is not None:
            return Wrong(difference)
        missing = _missing(_logs_of(uncovered, count, self._addresses(stored)), stored_uncovered)
        if missing is not None:
            return Wrong(f"{uncovered_note(missing.log_index)}, and it is not stored")
        if stored_uncovered:
            confirmation = "" if uncovered else "; no provider returned this receipt"
            return Uncovered(uncovered_note(stored_uncovered[0].log_index) + confirmation, stored_uncovered)
        return Verified(header, _proofs(receipts, {log.transaction_index for log in proven}, trie))


def _flaw(
    stored: StoredBlock,
    transactions: Sequence[bytes],
    receipts: Sequence[LocatedReceipt],
    uncovered: Sequence[LocatedReceipt],
) -> str | None:
    """Returns why the receipts cannot be all those of the block, in order."""
    if len(receipts) != len(transactions):
        return f"the block has {len(transactions)} transactions, {len(receipts)} receipts were returned"
    for index, (located, transaction) in enumerate(zip(receipts, transactions, strict=True)):
        if (located.transaction_index, located.transaction_hash) != (index, transaction):
            return f"receipt {index} is of transaction {located.transaction_index}, 0x{located.transaction_hash.hex()}"
    for located in (*receipts, *uncovered):
        if located.block_hash != stored.hash:
            return f"receipt {located.transaction_index} is of another block, 0x{located.block_hash.hex()}"
    return None


def _unproven_header(evidence: Evidence) -> ProvenHeader:
    """Returns the header without proof, for a chain whose form is unknown. Raises RlpError."""
    fields = evidence.header
    names = ("hash", "parentHash", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")
    try:
        number, timestamp = (int(str(fields[name]), 16) for name in ("number", "timestamp"))
        hash, parent, state, transactions, receipts, logs = (
            bytes.fromhex(str(fields[name]).removeprefix("0x")) for name in names
        )
    except (KeyError, ValueError) as error:
        raise RlpError(f"the header lacks a field, or has one that is not hex: {error}") from None
    return ProvenHeader(number, hash, parent, timestamp, state, transactions, receipts, logs)


def _header_difference(stored: StoredBlock, read: ProvenHeader) -> str | None:
    for name in Header.__struct_fields__:
        ours, theirs = getattr(stored, name), getattr(read, name)
        if name == "timestamp":
            theirs = min(theirs, LATEST_TIME)
        if ours != theirs:
            return f"the stored {name.replace('_', ' ')} is {_shown(ours)}, the header's is {_shown(theirs)}"
    return None


def _logs_of(receipts: Sequence[LocatedReceipt], first_index: int, addresses: frozenset[bytes]) -> list[StoredLog]:
    """Returns the watched contracts' logs as they would be stored; their log indexes are counted, not taken over."""
    logs: list[StoredLog] = []
    index = first_index
    for located in receipts:
        for log in located.receipt.logs:
            if log.address in addresses:
                transaction = (located.transaction_index, located.transaction_hash)
                logs.append(StoredLog(index, *transaction, log.address, log.topics, log.data))
            index += 1
    return logs


def _log_difference(proven: Sequence[StoredLog], stored: Sequence[StoredLog]) -> str | None:
    """Returns the first log that is not the same on both sides."""
    if _differ_in_index(proven, stored):
        right = next(log for log in proven if log not in stored)
        wrong = next(log for log in stored if replace(log, log_index=right.log_index) == right)
        return f"log {right.log_index} of the block is stored as log {wrong.log_index}"
    ours, theirs = ({log.log_index: log for log in logs} for logs in (stored, proven))
    for index in sorted(ours.keys() | theirs.keys()):
        if index not in ours:
            return f"log {index} of the block, of 0x{theirs[index].address.hex()}, is not stored"
        if index not in theirs:
            return f"log {index} is stored, but the block holds no such log of a watched contract"
        for name in ("address", "topics", "data", "transaction_hash", "transaction_index"):
            if getattr(ours[index], name) != getattr(theirs[index], name):
                return f"log {index} is stored with another {name.replace('_', ' ')} than the block's"
    return None


def _differ_in_index(proven: Sequence[StoredLog], stored: Sequence[StoredLog]) -> bool:
    """Returns whether the logs are the same, in another order or with other indexes."""
    ours, theirs = ([replace(log, log_index=0) for log in logs] for logs in (stored, proven))
    return proven != stored and sorted(ours, key=astuple) == sorted(theirs, key=astuple)


def _missing(returned: Sequence[StoredLog], stored: Sequence[StoredLog]) -> StoredLog | None:
    """Returns the first returned log that is not stored. Nodes number uncovered logs differently: the rest counts."""
    rest = [(log.address, log.topics, log.data) for log in stored]
    for log in returned:
        content = (log.address, log.topics, log.data)
        if content not in rest:
            return log
        rest.remove(content)
    return None


def _proofs(receipts: Sequence[LocatedReceipt], transactions: Collection[int], trie: Trie) -> list[ReceiptProof]:
    proofs: list[ReceiptProof] = []
    first = 0
    for index, located in enumerate(receipts):
        if index in transactions:
            proofs.append(ReceiptProof(index, first, trie.proof(index)))
        first += len(located.receipt.logs)
    return proofs


def _shown(value: bytes | int) -> str:
    match value:
        case int():
            return str(value)
        case bytes():
            return f"0x{value.hex()}"
    assert_never(value)
