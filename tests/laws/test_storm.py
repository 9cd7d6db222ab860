"""The law of faults: after any faults of providers, chain and operator, the rows of a running indexer are correct.

The indexer is a process, in front of two providers over real HTTP. `EXPLORED_EXAMPLES=200 pytest
tests/laws/test_storm.py` runs that many random storms, on both kinds of chain and both databases.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from indexer.commands.rollback import rollback
from indexer.commands.sync import sync
from indexer.errors import Stop
from indexer.settings import DatabaseSettings, Settings
from schema.tables.database import connect
from scripts.processes import Child
from tests.support.chain.factory import Anvil, Factory
from tests.support.chain.fakechain import CERTIFICATE, FakeNode
from tests.support.chain.histories import random_block
from tests.support.chain.life import FINALITY, Life
from tests.support.databases import Databases, NewDatabase
from tests.support.index.indexing import Tables, engine_of, index_afresh, read_tables
from tests.support.rpc.faultproxy import Fault, Upstream, of_fake, of_living_node
from tests.support.rpc.faults import LASTING, PASSING, missing_field, slow_body, unavailable
from tests.support.rpc.provider import Provider, indexers

pytestmark = pytest.mark.slow

EXPLORED = os.environ.get("EXPLORED_EXAMPLES")
"""How many random examples to try instead of the few that are always the same."""
FEW = [("fake", "sqlite"), ("anvil", "postgresql")]
ALL = [(chain, database) for chain in ("fake", "anvil") for database in ("sqlite", "postgresql")]
SWIFT = [fault for fault in PASSING if fault is not slow_body]
BEGINNING = 15.0
MOMENT = 1.0
LOOKS = 3
"""A fault that leaves out a log may strike two looks alike."""

tries = settings(
    max_examples=int(EXPLORED or 1),
    derandomize=EXPLORED is None,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# What may happen


@dataclass(frozen=True)
class GoOn:
    blocks: int


@dataclass(frozen=True)
class Reorg:
    depth: int


@dataclass(frozen=True)
class Spoil:
    """A provider does one thing wrong for ever: until its weather changes."""

    provider: int
    fault: Fault


@dataclass(frozen=True)
class Mend:
    provider: int


@dataclass(frozen=True)
class Swap:
    """One provider goes, the other comes back."""

    gone: int


@dataclass(frozen=True)
class Kill:
    pass


@dataclass(frozen=True)
class Rest:
    """Waits until the indexer has logged a line, or for a moment."""


Act = GoOn | Reorg | Spoil | Mend | Swap | Kill | Rest


@dataclass(frozen=True)
class Storm:
    """`share` of all answers is spoilt from the beginning; at the end the chain may leave what was final."""

    seed: int
    share: float
    acts: Sequence[Act]
    leaves_what_was_final: bool


PROVIDERS = st.integers(0, 1)
ACTS = st.one_of(
    st.builds(GoOn, st.integers(1, 6)),
    st.builds(Reorg, st.integers(1, FINALITY // 2)),
    st.builds(Spoil, PROVIDERS, st.sampled_from([*SWIFT, *(fault for fault, _ in LASTING if fault is not slow_body)])),
    st.builds(Mend, PROVIDERS),
    st.builds(Swap, PROVIDERS),
    st.just(Kill()),
    st.just(Rest()),
    st.just(Rest()),
)
STORMS = st.builds(
    Storm,
    st.integers(0, 10**6),
    st.sampled_from((0.02, 0.05, 0.2)),
    st.lists(ACTS, min_size=4, max_size=12 if EXPLORED else 7),
    st.booleans(),
)


@pytest.fixture(scope="module", params=ALL if EXPLORED else FEW, ids="-".join)
def stage(
    request: pytest.FixtureRequest, databases: Databases
) -> Iterator[tuple[Callable[[int], "World"], NewDatabase]]:
    chain, database = request.param
    worlds: Callable[[int], World] = FakeWorld if chain == "fake" else AnvilWorld
    with databases.temporary(database, empty=True) as new_database:
        yield worlds, new_database


ALL_OF_IT = Storm(
    5,
    0.05,
    (Rest(), GoOn(3), Reorg(4), Kill(), Spoil(0, missing_field), GoOn(2), Swap(1), Reorg(2), Rest(), Mend(1), Kill()),
    leaves_what_was_final=True,
)


@given(storm=STORMS)
@example(storm=ALL_OF_IT)
@tries
def test_after_any_storm_the_rows_are_those_of_an_undisturbed_index_or_it_stops_and_says_what_to_do(
    stage: tuple[Callable[[int], "World"], NewDatabase], storm: Storm
) -> None:
    new_world, new_database = stage
    database_url = new_database()
    with new_world(storm.seed) as world:
        blow(storm, world, database_url)
        catch_up(world, database_url)
        rows = tables(world, database_url)
        assert rows == world.undisturbed(new_database())
        if storm.leaves_what_was_final:
            world.leave_what_was_final()
            with pytest.raises(Stop, match="certindex rollback --to") as stop:
                catch_up(world, database_url)
            assert tables(world, database_url) == rows
            [to] = re.findall(r"certindex rollback --to (\d+)", str(stop.value))
            asyncio.run(rollback(DatabaseSettings(database_url=database_url), int(to)))
            catch_up(world, database_url)
            assert tables(world, database_url) == world.undisturbed(new_database())


def blow(storm: Storm, world: "World", database_url: str) -> None:
    """Runs an indexer through the storm and kills it at the end."""
    lines = threading.Semaphore(0)
    with ExitStack() as stack:
        providers = [stack.enter_context(Provider(world.upstream(), seed=storm.seed + number)) for number in range(2)]
        for provider in providers:
            provider.proxy.inject_one_of(SWIFT, share=storm.share)
        start = stack.enter_context(
            indexers(
                database_url,
                RPC_URLS=",".join(provider.url for provider in providers),
                CONTRACTS=f"certificate=0x{world.address.hex()}",
                LOOKS=str(LOOKS),
                VERIFY="on" if isinstance(world, AnvilWorld) else "off",
            )
        )
        indexer = begin(start, lines, database_url)
        for act in storm.acts:
            match act:
                case GoOn(blocks):
                    world.go_on(blocks)
                case Reorg(depth):
                    world.reorg(depth)
                case Spoil(number, fault):
                    providers[number].proxy.inject(fault)
                case Mend(number):
                    providers[number].proxy.injections.clear()
                case Swap(gone):
                    providers[gone].proxy.inject(unavailable)
                    providers[1 - gone].proxy.injections.clear()
                case Kill():
                    indexer.kill()
                    indexer = begin(start, lines, database_url)
                case Rest():
                    lines.acquire(timeout=MOMENT)
                case _ as never:
                    assert_never(never)
            check_alive(indexer)
        indexer.kill()


def begin(start: Callable[..., Child], lines: threading.Semaphore, database_url: str) -> Child:
    """Starts an indexer and returns when it writes, or after a while, since no provider may be usable."""
    indexer = start(on_line=lambda _: lines.release())
    deadline = time.monotonic() + BEGINNING
    while not writes(indexer, database_url) and indexer.exit_status is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return indexer


def writes(indexer: Child, database_url: str) -> bool:
    engine = connect(database_url)
    try:
        with engine.connect() as connection:
            writer = connection.execute(text("SELECT writer FROM chain")).scalar_one_or_none()
    except DBAPIError:
        return False  # not even begun
    finally:
        engine.dispose()
    return f":{indexer.pid}:" in str(writer)


def check_alive(indexer: Child) -> None:
    """Fails where it ended, but for the reason that a person must mend: no provider takes the key."""
    assert indexer.exit_status is None or "Correct RPC_URLS" in indexer.last_output, indexer.last_output
    assert "Traceback" not in indexer.last_output, indexer.last_output


def catch_up(world: "World", database_url: str) -> None:
    """Indexes up to the head, with a good provider."""
    with Provider(world.upstream()) as provider:
        asyncio.run(sync(world.settings(provider.url, database_url)))


def tables(world: "World", database_url: str) -> Tables:
    with engine_of(database_url) as engine:
        return read_tables(engine, world.chain_id)


# Chains


class World(Protocol):
    """A chain, and what happens on it."""

    address: bytes
    chain_id: int

    def __enter__(self) -> "World": ...
    def __exit__(self, *_: object) -> None: ...
    def upstream(self) -> Upstream: ...
    def go_on(self, blocks: int) -> None: ...
    def reorg(self, depth: int) -> None: ...
    def leave_what_was_final(self) -> None: ...
    def settings(self, rpc_url: str, database_url: str) -> Settings: ...
    def undisturbed(self, database_url: str) -> Tables: ...


class FakeWorld:
    """A chain that is a list of blocks."""

    address = CERTIFICATE

    def __init__(self, seed: int) -> None:
        self.node = FakeNode(finality=FINALITY)
        self.chain_id = self.node.chain_id
        self._seeds = iter(range(seed, seed + 10**6))
        self._lock = threading.Lock()  # two providers and the storm each have a thread
        self.go_on(2 * FINALITY)

    def __enter__(self) -> "FakeWorld":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def upstream(self) -> Upstream:
        answer = of_fake(self.node)

        async def answer_alone(method: str, params: list[Any]) -> dict[str, Any]:
            with self._lock:
                return await answer(method, params)

        return answer_alone

    def go_on(self, blocks: int) -> None:
        with self._lock:
            self._mine(blocks)

    def reorg(self, depth: int) -> None:
        with self._lock:
            self.node.reorg(depth, same_length=False)
            self._mine(depth + 1)

    def leave_what_was_final(self) -> None:
        self.reorg(self.node.head.number - self.node.finalized_number + 2)

    def settings(self, rpc_url: str, database_url: str) -> Settings:
        return settings_of(self, rpc_url, database_url)

    def undisturbed(self, database_url: str) -> Tables:
        with engine_of(database_url) as engine:
            return index_afresh(engine, self.node)

    def _mine(self, blocks: int) -> None:
        for _ in range(blocks):
            random_block(next(self._seeds)).mine(self.node)


class AnvilWorld:
    """A real chain."""

    def __init__(self, seed: int) -> None:
        self.anvil = Anvil("--slots-in-an-epoch", str(FINALITY // 2))
        factory = Factory(self.anvil)
        self.address = bytes.fromhex(factory.contract.address[2:])
        self.chain_id = self.anvil.chain_id
        self.life = Life(factory, seed)
        self.life.go_on(2 * FINALITY)

    def __enter__(self) -> "AnvilWorld":
        return self

    def __exit__(self, *_: object) -> None:
        self.anvil.stop()

    def upstream(self) -> Upstream:
        return of_living_node(self.anvil.url)

    def go_on(self, blocks: int) -> None:
        self.life.go_on(blocks)

    def reorg(self, depth: int) -> None:
        self.life.reorg(depth)

    def leave_what_was_final(self) -> None:
        finalized = int(self.anvil.block("finalized")["number"], 16)
        self.anvil.reorg(self.anvil.block_number - finalized + 2)

    def settings(self, rpc_url: str, database_url: str) -> Settings:
        return settings_of(self, rpc_url, database_url)

    def undisturbed(self, database_url: str) -> Tables:
        asyncio.run(sync(self.settings(self.anvil.url, database_url)))
        return tables(self, database_url)


def settings_of(world: World, rpc_url: str, database_url: str) -> Settings:
    return Settings(rpc_urls=(rpc_url,), database_url=database_url, contracts=(("certificate", world.address),))
