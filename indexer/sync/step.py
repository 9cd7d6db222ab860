"""The indexer in one function: `step` brings the database one batch closer to the chain, or takes back one fork.

Rows and checkpoint commit together, so that after a crash at any instruction the database is at the end of some step.
Blocks that the chain calls final come by ranges (backfill); above them, block by block along parent hashes (follow).
Both give the same rows.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from indexer.chain.batch import Batch
from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.chain.wire import Header
from indexer.errors import Stop, TryAgain
from indexer.rpc.gather import gather
from indexer.store import Cause, Checkpoint, KeptBlock, Store
from indexer.store.watch_set import UNKNOWN_HASH
from indexer.sync.backfill import Pace, fetch_range

__all__ = ["Ahead", "BackfillFinished", "Indexed", "Outcome", "Pace", "RolledBack", "UpToDate", "step"]

ResultT = TypeVar("ResultT")

KEPT_BLOCKS = 100_000


class Indexed(Struct, frozen=True):
    """Blocks first to last are in the database."""

    first: int
    last: int
    events: int
    facts: int
    head: int


class RolledBack(Struct, frozen=True):
    """A fork: everything above `ancestor` is taken back."""

    ancestor: int
    old_head: int
    events: int


class BackfillFinished(Struct, frozen=True):
    """The final blocks are in the database for the first time, and the indexes for reading are built."""

    number: int


class UpToDate(Struct, frozen=True):
    """Nothing new."""

    number: int


class Ahead(Struct, frozen=True):
    """The node is behind what is indexed: it lags, which is no reorg."""

    number: int
    head: int


Outcome = Indexed | RolledBack | BackfillFinished | UpToDate | Ahead


async def step(chain: Chain, store: Store, pace: Pace) -> Outcome:
    """Returns what it did. Raises TryAgain where the node was of no use, Stop where a person must decide."""
    try:
        outcome = await _step(chain, store, pace)
    except TryAgain:
        pace.prefetch.forget()
        await _note_disagreements(chain, store)
        raise
    except BaseException:
        pace.prefetch.forget()
        raise
    await _note_disagreements(chain, store)
    return outcome


async def _step(chain: Chain, store: Store, pace: Pace) -> Outcome:
    before = await _in_thread(store.checkpoint)
    heads = await chain.heads()
    if await _has_forked(chain, store, before, heads):
        pace.prefetch.forget()
        return await _roll_back(chain, store, before, heads)
    if not before.backfilled and before.number >= heads.finalized.number:
        await _in_thread(store.finish_backfill, before)
        return BackfillFinished(before.number)
    if heads.latest.number <= before.number:
        await _in_thread(store.note_heads, before, heads)
        behind = heads.latest.number < before.number
        return Ahead(before.number, heads.latest.number) if behind else UpToDate(before.number)
    try:
        if before.number < heads.finalized.number:
            batch = await fetch_range(chain, before, heads, pace)
        else:
            batch = await _fetch_next(chain, before, heads, pace.followed)
            pace.went_on()
    except TryAgain:
        pace.failed()
        raise
    stored = await _in_thread(store.commit, before, batch, heads)
    return Indexed(before.number + 1, batch.last.number, stored.events, stored.facts, heads.latest.number)


async def _note_disagreements(chain: Chain, store: Store) -> None:
    if found := list(chain.disagreements):
        await _in_thread(store.note_disagreements, found)
        del chain.disagreements[: len(found)]


# Follow


async def _fetch_next(chain: Chain, before: Checkpoint, heads: Heads, most: int) -> Batch:
    """Returns the next blocks on top of the checkpoint, with and without events."""
    first, last = before.number + 1, min(before.number + most, heads.latest.number)
    headers = await chain.headers(range(first, min(last + 1, heads.latest.number)))
    headers += [heads.latest] if last == heads.latest.number else []
    if before.hash not in (headers[0].parent_hash, UNKNOWN_HASH):
        raise TryAgain(f"Block {first} is no child of the block {before.number} that is indexed: the chain moved.")
    chain.check_links(headers)
    logs = await gather(*map(chain.block_logs, headers))
    if (await chain.header(last)).hash != headers[-1].hash:
        raise TryAgain(f"Block {last} changed while its logs were read; they are read again.")
    blocks = [await chain.confirm(header, found) for header, found in zip(headers, logs, strict=True)]
    return Batch(blocks, headers[-1])


# Reorgs


async def _has_forked(chain: Chain, store: Store, before: Checkpoint, heads: Heads) -> bool:
    """Tells whether the node has a different block at a height that is indexed."""
    latest = heads.latest
    if before.hash == UNKNOWN_HASH or (latest.number == before.number + 1 and latest.parent_hash == before.hash):
        return False
    if latest.number >= before.number:
        return (await _header_at(chain, before.number, heads)).hash != before.hash
    kept = await _in_thread(store.kept_blocks, latest.number, 1)
    if not kept or kept[0].number != latest.number or kept[0].hash == latest.hash:
        return False  # a lagging node, not a reorg
    # a shorter branch: believed when it is seen twice
    return (await chain.header(latest.number)).hash == latest.hash


async def _roll_back(chain: Chain, store: Store, before: Checkpoint, heads: Heads) -> RolledBack:
    kept = await _in_thread(store.kept_blocks, min(before.number, heads.latest.number), KEPT_BLOCKS)
    shared = await _newest_shared(chain, kept)
    ancestor = await _in_thread(store.origin) if shared is None else shared
    if ancestor.number < before.finalized_number:
        raise Stop(
            f"The node's chain left ours after block {ancestor.number}, {before.number - ancestor.number} blocks below "
            f"the indexed block {before.number}, though block {before.finalized_number} was final. If the chain really "
            f"did that, take it back: certindex rollback --to {max(ancestor.number, 0)}. If the node is wrong, set "
            "another in RPC_URLS."
        )
    if (await chain.header(heads.latest.number)).hash != heads.latest.hash:
        raise TryAgain(f"Block {heads.latest.number} changed while a fork was looked into.")
    undone = await _in_thread(store.roll_back, before, ancestor, Cause.FORK)
    return RolledBack(ancestor.number, before.number, undone.events)


async def _newest_shared(chain: Chain, kept: Sequence[KeptBlock]) -> KeptBlock | None:
    """Returns the newest of our blocks (given newest first) that the node has too."""
    unshared, shared = 0, len(kept)  # what lies before `unshared` is not shared, from `shared` on all is
    while unshared < shared:
        middle = (unshared + shared) // 2
        if (await chain.header(kept[middle].number)).hash == kept[middle].hash:
            shared = middle
        else:
            unshared = middle + 1
    return kept[shared] if shared < len(kept) else None


async def _header_at(chain: Chain, number: int, heads: Heads) -> Header:
    known = {header.number: header for header in (heads.finalized, heads.latest)}
    return known.get(number) or await chain.header(number)


async def _in_thread(function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    # the database blocks; the event loop also serves, beats and listens for signals
    return await asyncio.to_thread(function, *arguments)
