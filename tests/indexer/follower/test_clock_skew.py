"""Wrong clocks, the node's or ours: rows hold what the chain says, and nothing waits for a clock."""

import asyncio
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from apscheduler.schedulers import base as scheduler
from sqlalchemy import Engine, text

from indexer.commands.sync import sync
from indexer.follower import Follower
from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.opening import open_chain
from indexer.settings import Settings
from indexer.sync.step import Pace
from tests.support.api.asking import Api
from tests.support.chain.factory import Factory
from tests.support.chain.fakechain import CERTIFICATE, GENESIS_TIME, FakeNode, emitted
from tests.support.index.indexing import Indexer, engine_of, read_table
from tests.support.index.verifying import settings_for
from tests.support.rpc.faultproxy import FaultProxy, of_fake
from tests.support.rpc.faults import hex_with_leading_zeros, short_log_list, upper_case_hex

HOUR, YEAR = 3_600, 31_536_000


# Ours


class SkewedClock:
    """The wall clock of this process, which a test may set. The monotonic clock goes on as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.skew = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.skew)
        skewed = self

        class Skewed(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return cls.fromtimestamp(real() + skewed.skew, tz)

        monkeypatch.setattr(scheduler, "datetime", Skewed)


@pytest.mark.parametrize("jump", [-HOUR, 100 * YEAR])
async def test_the_chain_is_followed_when_our_clock_jumps(
    jump: float, factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SkewedClock(monkeypatch)
    opened = await open_chain(settings_for(factory, sqlite_url))
    follower = Follower(opened, 0.05, verify=False, keep_proofs=False)
    running = asyncio.create_task(follower.run())

    async def indexed() -> None:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(indexed_number, opened.engine) != factory.chain.block_number:
                assert not running.done(), running.result()
                await asyncio.sleep(0.02)

    try:
        await indexed()
        clock.skew = jump
        for _ in range(2):
            await asyncio.to_thread(factory.chain.mine)
            await indexed()
        assert follower.counters.leases == 1
        metrics = {
            sample.name: sample.value
            for family in ChainCollector(opened.engine, opened.chain_id, opened.pool, Counters()).collect()
            for sample in family.samples
        }
        assert min(metrics["certindex_behind_seconds"], metrics["certindex_polled_seconds"]) >= 0
    finally:
        follower.stop()
        await running
        await opened.pool.close()
        opened.engine.dispose()


def indexed_number(engine: Engine) -> int:
    with engine.begin() as connection:
        number: int = connection.execute(text("SELECT indexed_number FROM chain")).scalar_one()
    return number


# The node's

SECONDS = {
    "in the future": [10 * YEAR, 12, 12, 12, 12, 12],
    "going backwards": [12, -12, -12, -12, -12, -12],
    "jumping": [12, 50 * YEAR, -50 * YEAR, 0, HOUR, -HOUR],
    "of 1970": [-GENESIS_TIME, 0, 0, 1, 12, 12],
}
"""Times of blocks, each in seconds after its parent's."""
LARGE = 2**63 + 5
DEVICE = """query ($token: BigInt!) {
  _meta { chains { lagSeconds lagBlocks } }
  device(by: {tokenId: $token}) { tokenId factoryResets { totalCount } } }"""


@pytest.mark.parametrize("seconds", SECONDS.values(), ids=SECONDS)
async def test_wrong_block_times_are_stored_unchanged_and_change_nothing_else(
    seconds: list[int], sqlite_url: str, tmp_path: Path
) -> None:
    node = FakeNode(finality=2)
    growing = FakeNode(chain_id=node.chain_id, finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=LARGE))
    for after in seconds:
        node.mine(emitted("FactoryReset", tokenId=LARGE, initiator=b"\x0a" * 20), after=after)
    with engine_of(sqlite_url) as engine:
        followed = Indexer(engine, growing)
        for block in node.blocks:
            growing.switch_to(node.blocks[: block.number + 1])
            growing.finalized_number = max(block.number - 2, 0)
            await followed.catch_up()
        rows = followed.tables()
        followed.rebuild()
        assert followed.tables() == rows
    with engine_of(f"sqlite:///{tmp_path / 'other.db'}") as engine:
        backfilled = Indexer(engine, node, pace=Pace(blocks=2))
        await backfilled.catch_up()
        assert backfilled.tables() == rows
    assert [row["timestamp"] for row in rows["block"]][-len(seconds) :] == [
        block.timestamp for block in node.blocks[-len(seconds) :]
    ]
    answer = await read_device(sqlite_url)
    assert answer["device"] == {"tokenId": str(LARGE), "factoryResets": {"totalCount": len(seconds)}}
    [chain] = answer["_meta"]["chains"]
    assert chain == {"lagSeconds": 0, "lagBlocks": "0"}


async def read_device(database_url: str) -> dict[str, Any]:
    api = Api(database_url)
    answer = await api.ask(DEVICE, token=str(LARGE))
    api.engine.dispose()
    return answer


async def test_token_ids_above_2_to_the_63_come_whole_through_a_faulty_provider(database_url: str) -> None:
    tokens = (2**63 - 1, 2**63, LARGE, 2**64, 2**255, 2**256 - 1)
    node = FakeNode(finality=2)
    for token in tokens:
        node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=token))
    async with FaultProxy(of_fake(node), seed=7) as proxy:
        proxy.inject_one_of([short_log_list, hex_with_leading_zeros, upper_case_hex], share=0.1)
        settings = Settings(database_url=database_url, rpc_urls=(proxy.url,), contracts=(("certificate", CERTIFICATE),))
        assert await sync(settings) == 0
    with engine_of(database_url) as engine:
        assert [int.from_bytes(row["token_id"], "big") for row in read_table(engine, node.chain_id, "device")] == [
            *tokens
        ]
