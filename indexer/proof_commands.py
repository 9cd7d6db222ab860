"""What the commands that prove do: `verify`, `prove`, `check`, `attest`, `digest`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from sqlalchemy import Engine

from indexer.opening import open_database, open_verifier
from indexer.rpc import Pool
from indexer.settings import NodeSettings, ProofSettings
from indexer.status import verification_failures
from indexer.store.levels import Levels
from indexer.store.watch import WatchedContract, read_watch_set
from indexer.verifier import Tally

SHOWN_FAILURES = 20


class OpenedNode(Struct, frozen=True):
    """What a command works with that asks providers about an indexed chain."""

    engine: Engine
    pool: Pool
    chain_id: int
    contracts: list[WatchedContract]


async def verify(settings: ProofSettings, first: int | None, last: int | None) -> int:
    """Verifies the blocks with events from first to last now; without them, all that are indexed and final."""
    async with opened_node(settings) as node:
        levels = Levels(node.engine, node.chain_id, keep_proofs=settings.keep_proofs)
        verifier = open_verifier(node.pool, levels, node.contracts)
        start = 0 if first is None else first
        end = (await asyncio.to_thread(levels.mark)).final if last is None else last
        total = Tally()
        async for number, tally in verifier.verify(start, end):
            total.add(tally)
            print(f"judged to block {number}: {total.verified} of {total.blocks} verified", file=sys.stderr)
        with node.engine.begin() as connection:
            failures = verification_failures(connection, node.chain_id, start, end, SHOWN_FAILURES)
    for failure in failures:
        print(f"block {failure.number}: {failure.cause.name}: {failure.reason}")
    print(
        f"verified chain={node.chain_id} blocks={total.verified} events={total.events} "
        f"unverifiable={total.unverifiable} alarms={total.alarms}"
    )
    return 0 if total.verified == total.blocks else 1


@asynccontextmanager
async def opened_node(settings: NodeSettings) -> AsyncIterator[OpenedNode]:
    """Opens the database and the providers, which must be of its chain, and closes both."""
    engine, chain_id = open_database(settings)
    pool = Pool(settings.rpc_urls)
    try:
        await pool.chain_id(chain_id)
        with engine.begin() as connection:
            contracts = read_watch_set(connection, chain_id)
        yield OpenedNode(engine, pool, chain_id, contracts)
    finally:
        await pool.close()
        engine.dispose()
