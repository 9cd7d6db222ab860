"""Contracts that the logs of factories create: they are watched from that block on, also in the batch of that block.

What a batch creates is known when it is read. It is then read again with the new contracts, until it creates no more:
so the rows are the same whatever blocks a batch holds. A rollback deletes the contracts with the logs that created
them; the next step reads the watch set again.
"""

import asyncio
from collections.abc import Sequence

from indexer.chain.batch import Batch
from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.errors import Stop
from indexer.store import Checkpoint, Store
from indexer.store.watch_set import WatchedContract, start_blocks
from indexer.sync.backfill import Pace, read_blocks
from indexer.sync.follow import fetch_next
from indexer.sync.interpretation import Interpretation

MOST_CONTRACTS = 10_000
"""Contracts of a chain that are watched. Providers take some thousand addresses a request; queries are split beyond."""


async def watched_now(chain: Chain, store: Store, interpretation: Interpretation) -> Interpretation:
    """Returns the interpretation of the logs of all contracts that are watched at the checkpoint."""
    if not interpretation.profile.factories:
        return interpretation
    watching = interpretation.watching(await asyncio.to_thread(store.watch_set))
    chain.watch(start_blocks(watching.contracts))
    return watching


async def with_created(
    chain: Chain, before: Checkpoint, batch: Batch, heads: Heads, watching: Interpretation, pace: Pace
) -> tuple[Batch, Interpretation, Sequence[WatchedContract]]:
    """Returns the batch with the logs of the contracts that it creates, its interpretation, and these contracts.

    Raises Stop if too many contracts would be watched.
    """
    created: list[WatchedContract] = []
    while watching.profile.factories and (new := watching.created_in(batch.blocks)):
        created += new
        contracts = [*watching.contracts, *new]
        if len(contracts) > MOST_CONTRACTS:
            raise Stop(
                f"Block {new[-1].start_block} creates contract {len(contracts)} of this chain, "
                f"{new[-1].role}=0x{new[-1].address.hex()}; at most {MOST_CONTRACTS} can be watched. Name a factory "
                "that creates fewer, or a condition (where), in the profile, and index into a new database "
                "(DATABASE_URL)."
            )
        watching = watching.watching(contracts)
        chain.watch(start_blocks(contracts))
        pace.prefetch.forget()
        if before.number < heads.finalized.number:
            batch = await read_blocks(chain, before, batch.last)
        else:
            batch = await fetch_next(chain, before, heads, batch.last.number - before.number)
    return batch, watching, sorted(created, key=lambda contract: contract.factory_position or 0)
