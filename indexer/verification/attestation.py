"""Attestation: the stored events of a range of blocks are all that the watched contracts emitted there.

Every header of the range is read and its hash recomputed. Parent hashes link the headers up to a block whose hash is
known. For each block, either the bloom excludes the watched contracts, or the receipts are rebuilt and hold exactly
the stored events.
"""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from msgspec import Struct

from indexer.errors import TryAgain
from indexer.proof.bloom import WRONG_BLOOMS, Bloom
from indexer.proof.evidence import StoredBlock, StoredLog
from indexer.proof.header import Header, ProvenHeader, decode_header, encode_header
from indexer.proof.judge import Uncovered, Verified
from indexer.proof.state_sync import uncovered_transaction
from indexer.proof.trie import EMPTY_ROOT
from indexer.rpc.gather import gather
from indexer.rpc.host import Host
from indexer.store.digest import block_digest
from indexer.store.event_ranges import EventRanges, Range
from indexer.store.watch_set import WatchedContract
from indexer.verification.stored_digests import STRAY, Unattestable
from indexer.verification.verifier import Verifier
from indexer.verification.witness import Witness
from schema.abi.rlp import RlpError
from schema.bundle.state import position_text
from schema.tables.values import LATEST_TIME
from schema.times import utc_seconds_text

BLOCKS_A_CHUNK = 128


STATEMENT = """\
On the chain and for the contracts named here, the events that were stored for the blocks from `from` to `to` are all \
that the receipts of these blocks contain: none missing, none added, none altered. How it was established: the header \
of every block of the range was read and its hash recomputed; each header names the one before it, and they lead to \
`anchor`. Every block whose header excludes the contracts (by its bloom filter, if `bloomsTrusted`; if the filter is \
empty, the block must have no receipts) holds no event of theirs. Of every other block all receipts were read, the \
root of their tree was recomputed and found in the header, and the contracts' events in them were compared with the \
stored ones, one by one.

What it relies on: that `anchor` is a block of the real chain (source `given`: by the person who made the attestation; \
`stored`: by the indexer, when it indexed; `told`: by the node alone), and that the chain's rules bind headers to the \
blooms of their logs, as Ethereum's do (if `bloomsTrusted`). It does not cover blocks outside of the range.

To check it, run an indexer over the same contracts and start blocks: its `certindex digest --to` must print \
`digestAfter`.
"""

UNCOVERED = """
NOT COVERED: logs that came by state sync. In this range, `uncoveredBlocks` blocks may have logs that are under no \
receipts root and in no bloom filter. Nobody can prove that such a log exists, nor that none is missing. The nodes \
were asked for them, and returned none of these contracts that is not stored. `uncoveredEvents` are those that are \
stored, as a node returned them.
"""


class Anchor(Struct, frozen=True):
    """The block that the headers lead to, and the source of its hash: `given`, `stored` or `told` (by the node)."""

    number: int
    hash: bytes
    source: str


class Attested(Struct):
    """The result for a range up to block `last`. `digest` covers its blocks with events.

    `uncovered_blocks` is how many blocks may have logs that no root and no bloom covers. `uncovered_events` are those
    that are stored, with the number of their block.
    """

    first: int
    last: int
    first_parent: bytes
    last_hash: bytes
    digest: bytes
    trust_bloom: bool = True
    excluded: int = 0
    empty_blooms: int = 0
    uncovered_blocks: int = 0
    uncovered_events: list[tuple[int, StoredLog]] = []
    rebuilt: int = 0
    events: int = 0


class Attester:
    """Attests ranges of one chain. `start_blocks`: from which block on the logs of each watched contract are stored.

    `providers` is the number of providers.

    Without `trust_bloom` no block is excluded by its bloom: the receipts of every block are rebuilt.
    """

    def __init__(
        self,
        witness: Witness,
        verifier: Verifier,
        stored: EventRanges,
        start_blocks: Mapping[bytes, int],
        *,
        providers: int,
        trust_bloom: bool = True,
    ) -> None:
        self._chain_id = stored.chain_id
        self._witness = witness
        self._verifier = verifier
        self._stored = stored
        self._start_blocks = start_blocks
        self._providers = providers
        self._trust_bloom = trust_bloom
        self._bloom = Bloom()

    async def attest(self, first: int, last: int, anchor: Anchor | None) -> tuple[Attested, Anchor]:
        """Returns the result and the anchor, a block at `last` or after it; by default the node's block `last`.

        Raises Unattestable with the first contradiction, TryAgain if no node has what is needed.
        """
        end = last if anchor is None else anchor.number
        attested = Attested(first, last, b"", b"", self._stored.digest_before(first), self._trust_bloom)
        before: ProvenHeader | None = None
        for start in range(first, end + 1, BLOCKS_A_CHUNK):
            numbers = range(start, min(start + BLOCKS_A_CHUNK, end + 1))
            headers = await gather(*map(self._header, numbers))
            for header in headers:
                _check_link(before, header)
                before = header
            inside = [header for header in headers if header.number <= last]
            if inside:
                stored = await asyncio.to_thread(self._stored.read, inside[0].number, inside[-1].number)
                await self._attest_chunk(inside, stored, attested)
        assert before is not None
        if anchor is not None and before.hash != anchor.hash:
            raise Unattestable(
                f"block {anchor.number}: the headers lead to 0x{before.hash.hex()}, "
                f"the {anchor.source} hash is 0x{anchor.hash.hex()}"
            )
        return attested, anchor or Anchor(before.number, before.hash, "told")

    async def _header(self, number: int) -> ProvenHeader:
        """Returns a header whose hash was recomputed."""
        reason = ""
        hosts: list[Host] = []
        for _ in range(self._providers):
            fields = await self._witness.header(hex(number), hosts)
            try:
                encoded = encode_header(fields, bytes.fromhex(str(fields.get("hash")).removeprefix("0x")))
                header = None if encoded is None else decode_header(encoded)
            except (ValueError, RlpError) as error:
                reason = f"its header cannot be read: {error}"
                continue
            if header is None:
                reason = "the hash of its header cannot be recomputed: its form is unknown, or a field is wrong"
            elif header.number != number:
                reason = f"the returned header is of block {header.number}"
            else:
                return header
        raise Unattestable(f"block {number}: {reason}")

    async def _attest_chunk(self, headers: Sequence[ProvenHeader], stored: Range, attested: Attested) -> None:
        blocks = {block.number: block for block in stored.blocks}
        if stored.stray is not None:
            raise Unattestable(STRAY.format(stored.stray))
        suspects: list[StoredBlock] = []
        excluded: list[ProvenHeader] = []
        for header in headers:
            attested.first_parent = attested.first_parent or header.parent_hash
            attested.last_hash = header.hash
            attested.empty_blooms += not any(header.logs_bloom)
            block = blocks.get(header.number)
            if block is not None and block.hash != header.hash:
                raise Unattestable(
                    f"block {header.number}: it is stored with the hash 0x{block.hash.hex()}, "
                    f"the chain has 0x{header.hash.hex()}"
                )
            attested.uncovered_blocks += self._may_have_uncovered(header)
            if self._may_hold_ours(header) or (block is not None and self._may_have_uncovered(header)):
                suspects.append(block or _without_events(header))
            elif block is not None and block.logs:
                raise Unattestable(
                    f"block {header.number}: events of it are stored, but its bloom excludes them; {WRONG_BLOOMS}"
                )
            else:
                excluded.append(header)
        await gather(*map(self._check_uncovered, excluded))
        for uncovered in await gather(*map(self._rebuild, suspects)):
            attested.uncovered_events += uncovered
        attested.excluded += len(excluded)
        attested.rebuilt += len(suspects)
        self._take_digest(stored, attested)

    async def _rebuild(self, block: StoredBlock) -> list[tuple[int, StoredLog]]:
        """Compares the events of a block with its receipts. Returns those that no root covers."""
        judgment = await self._verifier.judge(block)
        if isinstance(judgment, Uncovered):
            return [(block.number, log) for log in judgment.logs]
        if not isinstance(judgment, Verified):
            raise Unattestable(f"block {block.number}: {judgment.reason}")
        return []

    async def _check_uncovered(self, header: ProvenHeader) -> None:
        """Raises Unattestable if a provider returns a log that no root and no bloom covers: none is stored."""
        if not self._may_have_uncovered(header):
            return
        for located in await self._witness.uncovered_receipt(header.number, header.hash):
            for log in located.receipt.logs:
                if self._start_blocks.get(log.address, header.number + 1) <= header.number:
                    raise Unattestable(
                        f"block {header.number}: a log of 0x{log.address.hex()} came by Polygon's state sync, outside "
                        "the receipts root, and it is not stored"
                    )

    def _may_have_uncovered(self, header: ProvenHeader) -> bool:
        return uncovered_transaction(self._chain_id, header.number, header.hash) is not None

    def _take_digest(self, stored: Range, attested: Attested) -> None:
        for block in stored.blocks:
            attested.events += len(block.logs)
            attested.digest = block_digest(attested.digest, block.hash, block.logs)
            if stored.digests[block.number] != attested.digest:
                raise Unattestable(
                    f"block {block.number}: its stored digest is 0x{stored.digests[block.number].hex()}, "
                    f"the events make it 0x{attested.digest.hex()}"
                )

    def _may_hold_ours(self, header: ProvenHeader) -> bool:
        """Returns whether the header leaves it open if the block has events: a chain may leave blooms empty."""
        if not self._trust_bloom:
            return True
        if not any(header.logs_bloom):
            return header.receipts_root != EMPTY_ROOT
        return any(
            self._bloom.admits(header.logs_bloom, [(address, b"")])
            for address, start in self._start_blocks.items()
            if start <= header.number
        )


def attestation(
    chain_id: int,
    contracts: Sequence[WatchedContract],
    attested: Attested,
    anchor: Anchor,
    digest_before: bytes,
    made_at: int,
) -> dict[str, object]:
    """Returns the attestation as a document. `made_at` in unix seconds."""
    return {
        "format": "certindex-attestation/1",
        "statement": STATEMENT + (UNCOVERED if attested.uncovered_blocks else ""),
        "madeAt": utc_seconds_text(made_at),
        "madeBy": f"certindex {version('certindex')}",
        "chainId": chain_id,
        "contracts": list(map(_contract, contracts)),
        "from": attested.first,
        "to": attested.last,
        "parentHash": f"0x{attested.first_parent.hex()}",
        "lastHash": f"0x{attested.last_hash.hex()}",
        "anchor": {"number": anchor.number, "hash": f"0x{anchor.hash.hex()}", "source": anchor.source},
        "blocks": attested.last - attested.first + 1,
        "bloomsTrusted": attested.trust_bloom,
        "excludedByBloom": attested.excluded,
        "emptyBlooms": attested.empty_blooms,
        "rebuilt": attested.rebuilt,
        "events": attested.events,
        "uncoveredBlocks": attested.uncovered_blocks,
        "uncoveredEvents": [
            {
                "block": number,
                "logIndex": log.log_index,
                "transactionHash": f"0x{log.transaction_hash.hex()}",
                "address": f"0x{log.address.hex()}",
            }
            for number, log in attested.uncovered_events
        ],
        "digestBefore": f"0x{digest_before.hex()}",
        "digestAfter": f"0x{attested.digest.hex()}",
    }


def _contract(contract: WatchedContract) -> dict[str, object]:
    created = contract.factory_position
    return {
        "role": contract.role,
        "address": f"0x{contract.address.hex()}",
        "startBlock": contract.start_block,
        "whole": contract.whole,
    } | ({} if created is None else {"createdBy": position_text(created)})


def _check_link(before: ProvenHeader | None, header: ProvenHeader) -> None:
    if before is not None and header.parent_hash != before.hash:
        raise TryAgain(
            f"Block {header.number} is not a child of block {before.number}: "
            "the node switched branches, or answers from two."
        )


def _without_events(header: ProvenHeader) -> StoredBlock:
    fields = {name: getattr(header, name) for name in Header.__struct_fields__}
    return StoredBlock(**fields | {"timestamp": min(header.timestamp, LATEST_TIME)}, logs=())
