"""Reorgs: noticing that the chain left the indexed branch, and rolling back to the newest block that both share."""

import asyncio
from collections.abc import Sequence

from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.chain.wire import Header
from indexer.errors import Stop, TryAgain
from indexer.store import Cause, Checkpoint, KeptBlock, RollbackCounts, Store
from schema.tables.notices import UNKNOWN_HASH

KEPT_BLOCKS = 100_000
"""Most stored blocks that are searched for the common ancestor."""


async def has_forked(chain: Chain, store: Store, before: Checkpoint, heads: Heads) -> bool:
    """Returns whether the node has a different block at a height that is indexed."""
    latest = heads.latest
    if before.hash == UNKNOWN_HASH or (latest.number == before.number + 1 and latest.parent_hash == before.hash):
        return False
    if latest.number >= before.number:
        return (await _header_at(chain, before.number, heads)).hash != before.hash
    kept = await asyncio.to_thread(store.kept_blocks, latest.number, 1)
    if not kept or kept[0].number != latest.number or kept[0].hash == latest.hash:
        return False  # a lagging node, not a reorg
    # a shorter branch counts when it is seen twice
    return (await chain.header(latest.number)).hash == latest.hash


async def roll_back(chain: Chain, store: Store, before: Checkpoint, heads: Heads) -> tuple[KeptBlock, RollbackCounts]:
    """Rolls back to the newest block that the node has too. Raises Stop if a final block would be lost.

    Raises TryAgain if another provider still has that block.
    """
    kept = await asyncio.to_thread(store.kept_blocks, min(before.number, heads.latest.number), KEPT_BLOCKS)
    shared = await _newest_shared(chain, kept)
    ancestor = await asyncio.to_thread(store.origin) if shared is None else shared
    if ancestor.number < before.finalized_number:
        lost = [block for block in kept if ancestor.number < block.number <= before.finalized_number]
        if lost:  # a provider on another branch is no reorg
            await chain.check_no_other_has(await chain.header(lost[0].number), lost[0].hash)
        raise Stop(
            f"The node's chain differs from the indexed one above block {ancestor.number}, but block "
            f"{before.finalized_number} was final. If the chain was really reorganized, run: certindex rollback --to "
            f"{ancestor.number}. If the node is wrong, set another in RPC_URLS."
        )
    if (await chain.header(heads.latest.number)).hash != heads.latest.hash:
        raise TryAgain(f"Block {heads.latest.number} changed while a fork was examined.")
    return ancestor, await asyncio.to_thread(store.roll_back, before, ancestor, Cause.FORK)


async def _newest_shared(chain: Chain, kept: Sequence[KeptBlock]) -> KeptBlock | None:
    """Returns the newest of the stored blocks, which come newest first, that the node has too."""
    unshared, shared = 0, len(kept)  # blocks before `unshared` are not shared, those from `shared` on are
    while unshared < shared:
        middle = (unshared + shared) // 2
        if (await chain.header(kept[middle].number)).hash == kept[middle].hash:
            shared = middle
        else:
            unshared = middle + 1
    return kept[shared] if shared < len(kept) else None


async def _header_at(chain: Chain, number: int, heads: Heads) -> Header:
    headers = {header.number: header for header in (heads.finalized, heads.latest)}
    return headers.get(number) or await chain.header(number)
