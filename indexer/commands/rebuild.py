"""`certindex rebuild`: rewrites all derived rows from the stored events."""

import asyncio
import time

from indexer.commands.command import Command, tune_memory
from indexer.settings import RebuildSettings

COMMAND = Command(
    "rebuild",
    RebuildSettings,
    lambda settings, _: rebuild(settings),
    help="rewrite all derived rows from the stored events",
    description="Rewrites all derived rows from the stored events, without the network, in one transaction.",
)


async def rebuild(settings: RebuildSettings) -> int:
    """Rewrites every derived row from the stored events, by the stored profile or by the one in the settings."""
    from msgspec.structs import replace

    from indexer.opening import open_database, read_chain
    from indexer.store.lease import Lease
    from indexer.sync.rebuild import rebuild as rewrite
    from schema.profile.model import load_profile

    tune_memory()
    with open_database(settings) as (engine, chain_id):
        lease = Lease(engine, chain_id)
        async with lease.held():
            chain = read_chain(engine, chain_id)
            if settings.profile is not None:
                chain = replace(chain, profile=load_profile(settings.profile))
            store = chain.store(lease)
            began = time.monotonic()
            rebuilt = await asyncio.to_thread(rewrite, store, store.checkpoint(), chain.interpretation)
            elapsed = time.monotonic() - began
    print(f"rebuilt chain={chain_id} events={rebuilt.events} facts={rebuilt.facts} elapsed={elapsed:.2f}s")
    return 0
