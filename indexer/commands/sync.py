"""`certindex sync`: catches up to the present head and exits."""

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from indexer.commands.command import Command, tune_memory
from indexer.settings import Settings
from schema.program.tracing import configure_tracing

if TYPE_CHECKING:
    from indexer.store.lease import Lease


COMMAND = Command(
    "sync",
    Settings,
    lambda settings, _: sync(settings),
    help="catch up to the present head and exit",
    description="Catches up to the present head and exits.",
)


async def sync(settings: Settings) -> int:
    """Catches up to the node's present head, with a progress bar, and prints a summary."""
    from indexer.observe.progress import Progress
    from indexer.opening import open_chain
    from indexer.retry import retry
    from indexer.store.lease import Lease
    from indexer.sync.step import Ahead, BackfillFinished, Pace, UpToDate, step
    from schema.tables.notices import blocks_to_start, waiting_text

    configure_tracing("certindex")
    tune_memory()
    opened = await retry(lambda: open_chain(settings))
    try:
        lease = Lease(opened.engine, opened.chain_id)
        async with lease.held():
            store, interpretation = opened.store(lease), opened.interpretation
            target = (await retry(opened.chain.heads, pause=opened.pool.pause)).latest.number
            progress = Progress(sys.stderr, store.checkpoint().number, target)
            pace = Pace()
            beat = asyncio.create_task(_beat(lease))
            try:
                while True:
                    outcome = await retry(
                        lambda: step(opened.chain, store, interpretation, pace), pause=opened.pool.pause
                    )
                    progress.show(outcome, pace.blocks)
                    checkpoint = store.checkpoint()
                    if isinstance(outcome, BackfillFinished):
                        continue  # the next step stores the head, even if the chain has not reached START_BLOCK
                    if isinstance(outcome, UpToDate) or (checkpoint.number >= target and checkpoint.backfilled):
                        break
                    if isinstance(outcome, Ahead):  # the node lags behind the head that it reported before
                        await asyncio.sleep(settings.poll_interval)
            finally:
                beat.cancel()
        print(progress.summary(checkpoint.number))
        if blocks_to_start(checkpoint.number, checkpoint.hash, target):
            print(f"nothing to index yet: {waiting_text(checkpoint.number, target)}")
    finally:
        await opened.pool.close()
        opened.engine.dispose()
    return 0


async def _beat(lease: "Lease") -> None:
    from sqlalchemy.exc import DBAPIError

    from indexer.store.lease import BEAT_SECONDS

    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with suppress(DBAPIError):  # the next step reports it
            await asyncio.to_thread(lease.beat)
