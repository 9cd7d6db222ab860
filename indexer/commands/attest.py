"""`certindex attest`: attests that the stored events of a range of blocks are complete."""

import argparse
import time
from pathlib import Path

from indexer.check.__main__ import add_block_hash
from indexer.commands.command import Command
from indexer.commands.options import add_out, add_range, write_document
from indexer.errors import Stop
from indexer.settings import NodeSettings

ANCHOR_DISTANCE = 256
"""Blocks after the range in which a stored block is looked for, to which the range's headers must lead."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_range(parser)
    add_out(parser)
    add_block_hash(parser, "hash of the last block, or of a later one, from a source that you trust")


COMMAND = Command(
    "attest",
    NodeSettings,
    lambda settings, options: attest(
        settings, options.first, options.last, next(reversed(options.hashes), None), options.out
    ),
    help="attest that the stored events of a range are complete",
    description="Attests that the stored events of a range of blocks are all that the watched contracts emitted.",
    add_arguments=_add_arguments,
)


async def attest(
    settings: NodeSettings, first: int | None, last: int | None, trusted: tuple[int, bytes] | None, out: Path | None
) -> int:
    """Writes the attestation of a range; by default, of all that is indexed and final.

    `trusted` is the number and hash of a block that the range's headers must lead to; by default, a stored one.
    """
    import msgspec

    from indexer.opening import open_node
    from indexer.store.event_ranges import EventRanges
    from indexer.store.verification import VerificationStore
    from indexer.store.watch_set import first_block, is_watched, start_blocks
    from indexer.verification.attestation import Anchor, Attester, attestation
    from indexer.verification.stored_digests import Unattestable
    from indexer.verification.witness import Witness

    async with open_node(settings, settings.rpc_urls, settings.rpc_headers, settings.trust_bloom) as node:
        levels, stored = VerificationStore(node.engine, node.chain_id), EventRanges(node.engine, node.chain_id)
        watched_from, final = first_block(node.contracts), levels.progress().final
        start = watched_from if first is None else first
        end = final if last is None else last
        contracts = [contract for contract in node.watch_set() if is_watched(contract, end)]
        _check_range(start, end, watched_from, final, trusted)
        near = stored.hash_at_or_after(end, end + ANCHOR_DISTANCE) if trusted is None else trusted
        goal = None if near is None else Anchor(*near, "stored" if trusted is None else "given")
        attester = Attester(
            Witness(node.pool, chain_id=node.chain_id),
            node.verifier(levels),
            stored,
            start_blocks(contracts),
            providers=len(node.pool.hosts),
            trust_bloom=node.trust_bloom,
        )
        digest_before = stored.digest_before(start)
        try:
            attested, anchor = await attester.attest(start, end, goal)
        except Unattestable as error:
            print(f"FAIL blocks {start} to {end} of chain {node.chain_id}: {error}")
            return 1
        document = attestation(node.chain_id, contracts, attested, anchor, digest_before, int(time.time()))
    write_document(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n", out)
    if out is not None:
        covered = "all there are"
        if attested.uncovered_blocks:
            covered = (
                "all that the receipts contain; not covered are logs that came by state sync, outside the receipts "
                f"root ({len(attested.uncovered_events)} are stored)"
            )
        print(
            f"PASS blocks {start} to {end} of chain {node.chain_id}: {attested.events} events, {covered}; "
            f"{attested.excluded} blocks excluded by their bloom, {attested.rebuilt} rebuilt. Written to {out}"
        )
    return 0


def _check_range(first: int, last: int, watched_from: int, final: int, trusted: tuple[int, bytes] | None) -> None:
    if first < watched_from:
        raise Stop(f"--from {first}: the contracts are watched from block {watched_from}. Set --from {watched_from}.")
    if last > final:
        raise Stop(f"--to {last}: block {final} is the last one that is indexed and final. Set --to {final}.")
    if first > last:
        raise Stop(f"--from {first} lies after --to {last}.")
    if trusted is not None and trusted[0] < last:
        raise Stop(f"--block-hash is of block {trusted[0]}: it must be of block {last}, or of one after it.")
