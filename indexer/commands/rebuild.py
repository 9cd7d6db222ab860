"""`certindex rebuild`: rewrites all derived rows from the stored events, or compares them with what the events give."""

import argparse
import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from indexer.commands.command import Command, tune_memory
from indexer.settings import RebuildSettings


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--into",
        metavar="NAME",
        help="rebuild while an indexer and servers go on: into a new file (SQLite) or schema (PostgreSQL), which then "
        "takes the place of the tables in one transaction; the same command continues an interrupted rebuild",
    )
    how.add_argument(
        "--check",
        action="store_true",
        help="write nothing; compare the derived rows with what the stored events give, and print each difference",
    )


COMMAND = Command(
    "rebuild",
    RebuildSettings,
    lambda settings, options: _execute(settings, options),
    help="rewrite all derived rows from the stored events",
    description="Rewrites all derived rows from the stored events, without the network, in one transaction. With "
    "--check it writes nothing, and exits with 1 if a row differs; an indexer may run meanwhile. With --into, "
    "indexers and servers may run meanwhile: they continue with the new rows.",
    add_arguments=_add_arguments,
)


def _execute(settings: RebuildSettings, options: argparse.Namespace) -> int | Coroutine[Any, Any, int]:
    if options.into is not None:
        from indexer.commands.rebuild_into import rebuild_into

        return rebuild_into(settings, options.into)
    return check(settings) if options.check else rebuild(settings)


async def rebuild(settings: RebuildSettings) -> int:
    """Rewrites every derived row from the stored events, by the stored profile or by the one in the settings."""
    from indexer.store.lease import Lease
    from indexer.stored_chain import open_database, read_chain
    from indexer.sync.rebuild import rebuild as rewrite
    from schema.profile.model import load_profile

    tune_memory()
    with open_database(settings) as (engine, chain_id):
        lease = Lease(engine, chain_id)
        async with lease.held():
            chain = read_chain(engine, chain_id)
            if settings.profile is not None:
                chain = chain.read_by(load_profile(settings.profile))
            store = chain.store(lease)
            began = time.monotonic()
            rebuilt = await asyncio.to_thread(rewrite, store, store.checkpoint(), chain.interpretation)
            elapsed = time.monotonic() - began
    print(f"rebuilt chain={chain_id} events={rebuilt.events} facts={rebuilt.facts} elapsed={elapsed:.2f}s")
    return 0


def check(settings: RebuildSettings) -> int:
    """Compares every derived row with what the stored events give, in one snapshot. Returns 1 if one differs."""
    from indexer.store.refolding import Difference, Refolding, scratch_database
    from indexer.store.timings import Timings
    from indexer.stored_chain import open_snapshot
    from indexer.sync.rebuild import refold
    from schema.profile.model import load_profile

    tune_memory()
    differences = 0

    def report(difference: Difference) -> None:
        nonlocal differences
        differences += 1
        print(difference)

    began = time.monotonic()
    with open_snapshot(settings) as (connection, chain), scratch_database() as scratch:
        if settings.profile is not None:
            chain = chain.read_by(load_profile(settings.profile))
        refolding = Refolding(connection, scratch, chain.chain_id, report)
        refolded = refold(refolding, chain.interpretation, Timings())
        refolding.compare()
    elapsed = time.monotonic() - began
    print(
        f"checked chain={chain.chain_id} events={refolded.events} facts={refolded.facts} differences={differences} "
        f"elapsed={elapsed:.2f}s"
    )
    if differences:
        print("Rewrite the derived rows from the stored events: certindex rebuild")
    return 1 if differences else 0
