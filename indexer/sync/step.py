"""The indexer in one function: `step` brings the database one batch closer to the chain, or rolls back one fork.

Rows and checkpoint commit together, so that after a crash at any instruction the database is at the end of some step.
Blocks that the chain calls final come by ranges (backfill); above them, block by block along parent hashes (follow).
Both give the same rows. What blocks or takes long runs in threads: the event loop also serves requests and renews the
lease.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from indexer.chain.batch import Batch
from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.changes import OpenRows
from indexer.decode.completion import complete
from indexer.decode.decode import decode
from indexer.errors import TryAgain
from indexer.fold.fold import fold
from indexer.fold.located_fact import LocatedFact, named_by
from indexer.store import Checkpoint, Store
from indexer.store.timings import Timings
from indexer.sync.backfill import Pace, fetch_range
from indexer.sync.creations import watched_now, with_created
from indexer.sync.follow import fetch_next
from indexer.sync.interpretation import Interpretation
from indexer.sync.reorg import has_forked, roll_back
from schema.program.tracing import span

__all__ = ["Ahead", "BackfillFinished", "Indexed", "Outcome", "Pace", "RolledBack", "UpToDate", "step"]


ResultT = TypeVar("ResultT")


class Indexed(Struct, frozen=True):
    """Blocks first to last are in the database."""

    first: int
    last: int
    events: int
    facts: int
    head: int


class RolledBack(Struct, frozen=True):
    """A fork: everything above `ancestor` is rolled back."""

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
    """The node's head is below the checkpoint: the node lags, which is not a reorg."""

    number: int
    head: int


Outcome = Indexed | RolledBack | BackfillFinished | UpToDate | Ahead


async def step(chain: Chain, store: Store, interpretation: Interpretation, pace: Pace) -> Outcome:
    """Takes one step and returns what it did. Raises TryAgain if the node fails, Stop if a person must decide."""
    timed = partial(_in_stage, store.timings)
    async with _attempt(chain, store, pace):
        before = await asyncio.to_thread(store.checkpoint)
        watching = await watched_now(chain, store, interpretation)
        heads = await chain.heads()
        if await has_forked(chain, store, before, heads):
            pace.prefetch.forget()
            ancestor, counts = await roll_back(chain, store, before, heads)
            return RolledBack(ancestor.number, before.number, counts.events)
        if not before.backfilled and before.number >= heads.finalized.number:
            await timed("index", store.finish_backfill, before)
            return BackfillFinished(before.number)
        if heads.latest.number <= before.number:
            await asyncio.to_thread(store.note_heads, before, heads)
            behind = heads.latest.number < before.number
            return Ahead(before.number, heads.latest.number) if behind else UpToDate(before.number)

        with span("fetch"):
            batch = await _fetch(chain, before, heads, pace)
            batch, watching, created = await with_created(chain, before, batch, heads, watching, pace)
        reader, policy = watching.reader, watching.policy
        decoded = await timed("decode", decode, batch.blocks, reader)
        facts = await timed("load", complete, decoded.facts, reader.calls, store.contract_results)
        open_rows = await timed("load", _open_rows, store, before, facts)
        changes = await timed("fold", fold, open_rows, facts, policy)
        readings = {**decoded.readings, **changes.readings}
        written = await asyncio.to_thread(
            store.commit, before, batch, readings, changes, heads, created, decoded.spread
        )
        return Indexed(before.number + 1, batch.last.number, written.events, written.facts, heads.latest.number)


@asynccontextmanager
async def _attempt(chain: Chain, store: Store, pace: Pace) -> AsyncIterator[None]:
    """If the step fails, drops what it leaves in memory. Stores the disagreements of providers."""
    try:
        with span("step", chain_id=store.chain_id):
            yield
    except BaseException as error:
        pace.prefetch.forget()
        store.forget_open_rows()
        if isinstance(error, TryAgain):
            await _note_disagreements(chain, store)
        raise
    await _note_disagreements(chain, store)


async def _fetch(chain: Chain, before: Checkpoint, heads: Heads, pace: Pace) -> Batch:
    """Returns the next batch; a fetch that fails makes the next ones smaller."""
    try:
        if before.number < heads.finalized.number:
            return await fetch_range(chain, before, heads, pace)
        batch = await fetch_next(chain, before, heads, pace.followed)
    except TryAgain:
        pace.failed()
        raise
    pace.followed_on()
    return batch


async def _in_stage(timings: Timings, stage: str, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Runs a function in a thread, and adds the time that it takes to a stage."""

    def run() -> ResultT:
        with timings.stage(stage):
            return function(*arguments)

    return await asyncio.to_thread(run)


def _open_rows(store: Store, before: Checkpoint, facts: Sequence[LocatedFact]) -> OpenRows:
    return store.open_rows(before, named_by(facts))


async def _note_disagreements(chain: Chain, store: Store) -> None:
    if disagreements := list(chain.disagreements):
        await asyncio.to_thread(store.note_disagreements, disagreements)
        del chain.disagreements[: len(disagreements)]
