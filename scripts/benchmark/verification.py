"""Measures the cost of verification: the blocks of a development chain, verified as `certindex verify` does."""

import asyncio
import time
from pathlib import Path

import msgspec

from indexer.commands.sync import sync
from indexer.opening import open_node
from indexer.settings import DatabaseSettings, Settings
from indexer.store.verification import VerificationStore
from indexer.verification.verifier import VerificationCounts
from tests.support.fleet import Fleet, start_chain

FINALITY = 64
"""Depth below the head at which a development chain reports blocks as finalized."""


class Verification(msgspec.Struct):
    """Wall time, CPU time of this process, and the bytes that the proofs add to the database."""

    blocks: int
    events: int
    seconds: float
    cpu_seconds: float
    proof_bytes: int


def verification(scratch: Path, *, devices: int) -> Verification:
    """Builds a fleet on a development chain, indexes it on SQLite, and verifies all blocks."""
    url = f"sqlite:///{scratch / 'verified.db'}"
    with start_chain(int(time.time())) as chain:
        fleet = Fleet.build(chain, devices=devices, now=int(time.time()))
        chain.mine(FINALITY)
        contract = ("certificate", bytes.fromhex(fleet.contract.address[2:]))
        asyncio.run(sync(Settings(database_url=url, rpc_urls=(chain.url,), contracts=(contract,))))
        return asyncio.run(_verify(url, chain.url))


async def _verify(url: str, node_url: str) -> Verification:
    async with open_node(DatabaseSettings(database_url=url), (node_url,)) as node:
        levels = VerificationStore(node.engine, node.chain_id)
        verifier = node.verifier(levels)
        total = VerificationCounts()
        began, cpu = time.perf_counter(), time.process_time()
        async for _, counts in verifier.verify(0, levels.progress().final):
            total.add(counts)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        if total.verified != total.blocks:
            raise RuntimeError(f"{total.blocks - total.verified} blocks of the benchmark's chain were not verified")
        with node.engine.begin() as connection:
            kept = connection.exec_driver_sql("SELECT sum(length(nodes)) FROM receipt_proof").scalar_one()
    return Verification(total.blocks, total.events, seconds, cpu_seconds, int(kept))
