"""The law of the change feed: whatever the chain does, and whenever a client stops, its copy is the canonical chain."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from api.graphql.nodes import event_id
from tests.asking import Api, asking, module_database
from tests.fakechain import FakeBlock, FakeNode, Log
from tests.feeding import OWNER, Copy, Fits, Moving, minted, sold, updated
from tests.indexing import Indexer, open_engine

LOGS: dict[str, list[Log]] = {
    "nothing": [],
    "mint 1": minted(1),
    "mint 2": minted(2),
    "update 1": [updated(1)],
    "updates": [updated(1), updated(2), updated(1)],
    "sale 1": [sold(1)],
}
BLOCK = st.sampled_from(sorted(LOGS))
BRANCH = st.lists(BLOCK, max_size=4)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("mine"), BRANCH),
        st.tuples(st.just("reorg"), st.integers(1, 5), BRANCH),
        st.tuples(st.just("return")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("step")),
        st.tuples(st.just("index")),
        st.tuples(st.just("pull"), st.sampled_from([1, 2, 3, 100])),
        st.tuples(st.just("save")),
        st.tuples(st.just("drop")),
    ),
    max_size=25,
)

TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
MINTED = minted(1)[1].topics[:32]


class Client:
    """A reader of one feed, that may stop at any time and begin again with what it had saved."""

    def __init__(self, fits: Fits, *, strict: bool = True, **variables: Any) -> None:
        self.fits = fits
        self.variables = variables
        self.copy = Copy(strict)
        self.saved = Copy(strict)


def clients() -> list[Client]:
    """Return readers of all, of a kind, of a device that may be gone, and of what is final."""
    kind = {"kind": {"eq": "DEVICE_TRANSFERRED"}}
    device = {"device": {"tokenId": {"eq": "1"}}}
    owned = {"and": [{"device": {"owner": {"eq": OWNER}}}, {"kind": {"ne": "DEVICE_MINTED"}}]}
    return [
        Client(lambda block, log: True),
        Client(lambda block, log: log.topics.startswith(TRANSFER), filter=kind),
        Client(lambda block, log: token_of(log) == 1, filter=device),
        Client(_never, strict=False, filter=owned),
        Client(lambda block, log: True, finality="FINALIZED"),
    ]


def token_of(log: Log) -> int:
    return int.from_bytes(log.topics[96:128] if log.topics.startswith(TRANSFER) else log.topics[32:64])


def _never(block: FakeBlock, log: Log) -> bool:
    return False


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    url = module_database(request, tmp_path_factory)
    open_engine(url).dispose()
    with asking(url) as asked:
        yield asked


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(acts=ACTS, finality=st.sampled_from([64, 5]))
def test_a_client_that_applies_every_message_has_the_canonical_chain(api: Api, acts: Any, finality: int) -> None:
    asyncio.run(_play(api, acts, finality))


async def _play(api: Api, acts: list[tuple[Any, ...]], finality: int) -> None:
    moving = Moving(api.url, finality=finality)
    try:
        world = World(moving, api)
        for act in acts:
            await world.do(*act)
        await world.end()
    finally:
        moving.indexer.lease.release()
        with moving.indexer.engine.begin() as connection:
            for table in SQLModel.metadata.sorted_tables:
                connection.execute(table.delete())
        moving.close()


class World:
    def __init__(self, moving: Moving, api: Api) -> None:
        self.moving = moving
        self.api = api
        self.clients = clients()
        self.branches = [list(moving.node.blocks)]

    async def do(self, act: str, *arguments: Any) -> None:
        await getattr(self, f"_{act}")(*arguments)

    async def end(self) -> None:
        await self._index()
        owners = self._owned()
        for client in self.clients:
            await client.copy.catch_up(self.api, **client.variables)
            final = "finality" in client.variables
            expected = self.moving.ids(client.fits, self._final if final else None)
            assert client.copy.ids == (expected if client.copy.strict else owners), client.variables

    @property
    def node(self) -> FakeNode:
        return self.moving.node

    @property
    def indexer(self) -> Indexer:
        return self.moving.indexer

    @property
    def _final(self) -> int:
        return self.node.finalized_number

    def _owned(self) -> list[str]:
        """Return the ids of events, mints aside, of devices that the owner has at the end of the event's block."""
        owner: dict[int, str] = {}
        found: list[str] = []
        for block in self.node.blocks:
            for log in block.logs:
                if log.topics.startswith(TRANSFER):
                    owner[token_of(log)] = "0x" + log.topics[76:96].hex()
            kept = {token for token, address in owner.items() if address == OWNER}
            for log in block.logs:
                if token_of(log) in kept and not log.topics.startswith(MINTED):
                    found.append(event_id(self.node.chain_id, block.hash, log.index or 0))
        return found

    async def _mine(self, branch: list[str]) -> None:
        for logs in branch:
            self.node.mine(*LOGS[logs])

    async def _reorg(self, depth: int, branch: list[str]) -> None:
        if depth > self.node.head.number - self._final:
            return
        self.branches.append(list(self.node.blocks))
        self.node.reorg(depth, *(LOGS[logs] for logs in branch))

    async def _return(self) -> None:
        """The branch of some time ago wins again, one block longer."""
        old = self.branches[0 if len(self.branches) < 3 else -2]
        shared = sum(1 for ours, theirs in zip(self.node.blocks, old, strict=False) if ours is theirs)
        if shared > self._final:
            self.branches.append(list(self.node.blocks))
            self.node.switch_to(old)
            self.node.mine()

    async def _restart(self) -> None:
        self.indexer.restart()

    async def _step(self) -> None:
        await self.indexer.step()

    async def _index(self) -> None:
        await self.indexer.catch_up()

    async def _pull(self, first: int) -> None:
        for client in self.clients:
            await client.copy.pull(self.api, first, **client.variables)

    async def _save(self) -> None:
        for client in self.clients:
            client.saved = client.copy.saved()

    async def _drop(self) -> None:
        for client in self.clients:
            client.copy = client.saved.saved()
