"""The law of the change feed: after any reorg, and from any stop, a client's copy becomes the canonical chain.

Each page is compared with the shortest way from what the copy holds to what is indexed.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import SQLModel

from api.graphql.context import Context
from api.graphql.inputs.filters import DeviceFilter, LifecycleEventFilter
from api.graphql.inputs.operators import AddressFilter, BigIntFilter
from api.graphql.inputs.operators import LifecycleEventKindFilter as KindFilter
from api.graphql.paging.tokens import EventId, write_id
from api.graphql.roots.changes import ChangePage, changes
from api.graphql.roots.changes import LifecycleEventMessage as Message
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.recorded import Finality, RecordedEvent, recorded_event
from api.reading.snapshot import open_snapshot
from schema.events import Kind
from tests.support.api.asking import Api, Json, asking
from tests.support.api.feeding import BUYER, OWNER, Copy, Moving, minted, sold, updated
from tests.support.chain.fakechain import FakeBlock, FakeNode, Log, emitted
from tests.support.index.indexing import Indexer, open_engine

pytestmark = [pytest.mark.slow, pytest.mark.untimed]


def bought_back(token: int) -> Log:
    return emitted("Transfer", **{"from": BUYER, "to": OWNER, "tokenId": token})


LOGS: dict[str, list[Log]] = {
    "nothing": [],
    "mints": [*minted(1), *minted(2)],
    "update": [updated(1)],
    "updates": [updated(1), updated(2), updated(1)],
    "sale": [updated(1), sold(1)],
    "return": [bought_back(1), updated(1)],
    "round trip": [sold(1), updated(1), bought_back(1)],
    "license": [emitted("ManufacturerLicensed", manufacturerId=1, name="Acme")],
    "noise": [emitted("Approval", tokenId=1)],
}
LOGS_OF_A_BLOCK = st.sampled_from(sorted(LOGS))
BRANCH = st.lists(LOGS_OF_A_BLOCK, min_size=1, max_size=4)
Indexing = Literal["whole", "one step", "not at all", "after a restart"]


class Grow(NamedTuple):
    """Blocks with these logs."""

    branch: Sequence[str]


class Fork(NamedTuple):
    """Other blocks with these logs in place of the last."""

    depth: int
    branch: Sequence[str]


class Return(NamedTuple):
    """An earlier branch wins again, but for its last blocks: these are others, as many as now or one more."""

    which: int
    cut: int
    logs: str


class Read(NamedTuple):
    """Each client takes some pages: from where it stands, or from one of the places where it stood."""

    first: int
    pages: int
    place: int | None = None


class Act(NamedTuple):
    change: Grow | Fork | Return
    indexing: Indexing = "whole"
    reads: Sequence[Read] = (Read(100, 9),)


CHANGES_OF_THE_CHAIN = st.one_of(
    st.builds(Grow, BRANCH),
    st.builds(Fork, st.integers(1, 4), BRANCH),
    st.builds(Return, st.integers(0, 5), st.integers(0, 2), LOGS_OF_A_BLOCK),
)
READS = st.builds(Read, st.sampled_from([1, 2, 3, 100]), st.integers(1, 4), st.none() | st.integers(0, 50))
ACTS = st.lists(
    st.builds(
        Act,
        CHANGES_OF_THE_CHAIN,
        st.sampled_from(["whole", "whole", *get_args(Indexing)]),
        st.lists(READS, max_size=2),
    ),
    min_size=2,
    max_size=7,
)

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
FINALITY = st.sampled_from([64, 4])
FORKS_THAT_RETURN = example(
    acts=[
        Act(Grow(["mints", "updates", "sale"])),
        Act(Fork(2, ["update", "round trip", "nothing"]), reads=[Read(1, 2), Read(100, 9)]),
        Act(Fork(2, ["noise", "return", "sale"]), "one step", reads=[Read(2, 1), Read(3, 2, 5)]),
        Act(Return(0, 1, "update"), reads=[Read(2, 2), Read(100, 9, 9)]),
        Act(Return(1, 0, "nothing"), "after a restart", reads=[Read(1, 3, 7)]),
        Act(Grow(["license", "return"])),
    ],
    finality=64,
)
FORKS_AROUND_SALES = example(
    acts=[
        Act(Grow(["mints", "update", "sale", "update", "noise", "return"])),
        Act(Fork(1, ["update"]), reads=[Read(3, 1, 2)]),
        Act(Fork(4, ["round trip", "updates"]), reads=[Read(2, 2)]),
        Act(Fork(4, ["license", "sale", "update", "update"])),
        Act(Grow(["update"] * 4), reads=[Read(2, 1), Read(2, 2, 4)]),
    ],
    finality=4,
)

FORKS_BEHIND_NOISE = example(
    acts=[Act(Grow(["mints", "noise", "update"])), Act(Fork(1, ["sale"]), reads=[Read(1, 1), Read(100, 9)])],
    finality=64,
)

TRANSFER, MINTED, APPROVAL, LICENSED = (
    log.topics[:32] for log in (sold(1), minted(1)[1], LOGS["noise"][0], LOGS["license"][0])
)


class Client:
    """A reader of one feed, that may begin again from wherever it stood. `fits` takes an event and whether it is owned.

    Lax: the filter asks for the state of devices, so that a retraction may name an event that was never told.
    """

    def __init__(
        self,
        fits: Callable[[Log, bool], bool],
        filter: LifecycleEventFilter | None = None,
        *,
        finality: Finality = Finality.UNSAFE,
        lax: bool = False,
    ) -> None:
        self.fits = fits
        self.filter = filter
        self.finality = finality
        self.lax = lax
        self.copy = Copy(strict=not lax)
        self.stood = [self.copy.saved()]

    def keep(self) -> None:
        if self.copy.cursor not in {copy.cursor for copy in self.stood}:
            self.stood.append(self.copy.saved())


def clients() -> list[Client]:
    """Returns readers of all, of a kind, a device, an owner, of their opposites, of noise, and of what is final."""
    transfers = LifecycleEventFilter(kind=KindFilter(eq=Kind.DEVICE_TRANSFERRED))
    device = LifecycleEventFilter(device=DeviceFilter(token_id=BigIntFilter(eq=BigInt(1))))
    owned = LifecycleEventFilter(device=DeviceFilter(owner=AddressFilter(eq=Address(bytes.fromhex(OWNER[2:])))))
    kept = LifecycleEventFilter(and_=[owned, LifecycleEventFilter(kind=KindFilter(ne=Kind.DEVICE_MINTED))])
    noise = LifecycleEventFilter(kind=KindFilter(eq=Kind.UNMAPPED))
    return [
        Client(lambda log, owned: not is_noise(log)),
        Client(lambda log, owned: log.topics.startswith(TRANSFER), transfers),
        Client(lambda log, owned: token_of(log) == 1, device),
        Client(lambda log, owned: token_of(log) != 1 and not is_noise(log), LifecycleEventFilter(not_=device)),
        Client(lambda log, owned: owned and not log.topics.startswith(MINTED), kept, lax=True),
        Client(lambda log, owned: not owned and not is_noise(log), LifecycleEventFilter(not_=owned), lax=True),
        Client(lambda log, owned: is_noise(log), noise),
        Client(lambda log, owned: not is_noise(log), finality=Finality.FINALIZED),
    ]


def is_noise(log: Log) -> bool:
    return log.topics.startswith(APPROVAL)


def token_of(log: Log) -> int | None:
    if is_noise(log) or log.topics.startswith(LICENSED):
        return None
    return int.from_bytes(log.topics[96:128] if log.topics.startswith(TRANSFER) else log.topics[32:64])


@pytest.fixture
def sqlite_api(sqlite_url: str) -> Iterator[Api]:
    yield from _api_of(sqlite_url)


@pytest.fixture
def postgresql_api(postgres_url: str) -> Iterator[Api]:
    yield from _api_of(postgres_url)


def _api_of(url: str) -> Iterator[Api]:
    open_engine(url).dispose()
    with asking(url) as asked:
        yield asked


@settings(SETTINGS, max_examples=15)
@given(acts=ACTS, finality=FINALITY)
@FORKS_THAT_RETURN
@FORKS_AROUND_SALES
@FORKS_BEHIND_NOISE
def test_a_client_that_applies_every_message_has_the_canonical_chain(
    sqlite_api: Api, acts: Sequence[Act], finality: int
) -> None:
    asyncio.run(_play(sqlite_api, acts, finality))


@settings(SETTINGS, max_examples=3)
@given(acts=ACTS, finality=FINALITY)
@FORKS_THAT_RETURN
@FORKS_AROUND_SALES
@FORKS_BEHIND_NOISE
def test_a_client_of_postgresql_has_the_canonical_chain(
    postgresql_api: Api, acts: Sequence[Act], finality: int
) -> None:
    asyncio.run(_play(postgresql_api, acts, finality))


async def _play(api: Api, acts: Sequence[Act], finality: int) -> None:
    moving = Moving(api.url, finality=finality)
    try:
        world = World(moving, api)
        for act in acts:
            await world.do(act)
        await world.end()
    finally:
        moving.indexer.lease.release()
        with moving.indexer.engine.begin() as connection:
            for table in SQLModel.metadata.sorted_tables:
                connection.execute(table.delete())
        moving.close()


class World:
    """A chain, its index, and the clients; it knows every block there ever was."""

    def __init__(self, moving: Moving, api: Api) -> None:
        self.moving = moving
        self.api = api
        self.clients = clients()
        self.branches: list[list[FakeBlock]] = []
        self.known: dict[bytes, FakeBlock] = {}
        self.indexed: list[FakeBlock] = []
        """What the index stands on, which may be a branch that the node has left."""
        self.final = -1

    @property
    def node(self) -> FakeNode:
        return self.moving.node

    @property
    def indexer(self) -> Indexer:
        return self.moving.indexer

    async def do(self, act: Act) -> None:
        self._change(act.change)
        self.known |= {block.hash: block for block in self.node.blocks}
        await self._index(act.indexing)
        for read in act.reads:
            for client in self.clients:
                await self._read(client, read)

    async def end(self) -> None:
        """A client that stopped anywhere reads on to the end and then has the canonical events."""
        await self._index("whole")
        for client in self.clients:
            for stood in (client.copy, *client.stood[:: max(1, len(client.stood) // 3)]):
                client.copy = stood.saved()
                await self._take_pages(client, Read(100, 100))
                assert client.copy.ids == self._canonical(client)[1], client

    # The chain

    def _change(self, change: Grow | Fork | Return) -> None:
        loose = self.node.head.number - self.node.finalized_number
        match change:
            case Grow(branch):
                for logs in branch:
                    self.node.mine(*LOGS[logs])
            case Fork(depth, branch):
                self.branches.append(list(self.node.blocks))
                self.node.reorg(min(depth, loose), *(LOGS[logs] for logs in branch))
            case Return(which, cut, logs):
                height = self.node.head.number
                cuts = [branch[: len(branch) - cut] for branch in self.branches]
                possible = [branch for branch in cuts if self._shares_what_is_final(branch)]
                if possible:
                    self.branches.append(list(self.node.blocks))
                    self.node.switch_to(possible[which % len(possible)])
                self.node.mine(*LOGS[logs])
                self.node.mine_blocks(height - self.node.head.number)

    def _shares_what_is_final(self, branch: list[FakeBlock]) -> bool:
        final = self.node.finalized_number
        return len(branch) > final and branch[final] is self.node.blocks[final]

    async def _index(self, indexing: Indexing) -> None:
        match indexing:
            case "whole":
                await self.indexer.catch_up()
            case "one step":
                await self.indexer.step()
            case "after a restart":
                self.indexer.restart()
                await self.indexer.catch_up()
            case "not at all":
                pass
        self._look()

    def _look(self) -> None:
        statement = text("SELECT indexed_number, indexed_hash, finalized_number FROM chain")
        with self.indexer.engine.begin() as connection:
            number, hash, final = connection.execute(statement).one()
        block = self.known.get(bytes(hash or b""))
        self.indexed = []
        while block is not None:
            self.indexed.insert(0, block)
            block = self.known.get(block.parent_hash)
        self.final = -1 if final is None else min(final, number)

    # The clients

    async def _read(self, client: Client, read: Read) -> None:
        if read.place is not None:
            client.copy = client.stood[read.place % len(client.stood)].saved()
        await self._take_pages(client, read)

    async def _take_pages(self, client: Client, read: Read) -> None:
        for _ in range(read.pages):
            page = await self._page(client, read.first)
            self._check(client, page, read.first)
            for message in page.messages:
                client.copy.apply([_json(message)])
                client.keep()
            client.copy.cursor = page.end_cursor
            client.keep()
            if not page.has_more:
                return

    async def _page(self, client: Client, first: int) -> ChangePage:
        """Returns what `changes` answers, without the time that GraphQL takes."""
        async with open_snapshot(self.api.engine) as snapshot:
            context = Context(snapshot)
            after, filter_by, finality = client.copy.cursor, client.filter, client.finality
            [page] = await context.run(
                lambda: changes(context, (), after=after, first=first, filter_by=filter_by, finality=finality)
            )
            return page

    def _check(self, client: Client, page: ChangePage, first: int) -> None:
        """A page contains the shortest list of messages that makes the copy canonical, and nothing else."""
        messages = self._without_doubtful(client, page.messages) if client.lax else page.messages
        canonical, sendable = self._canonical(client)
        expected = _way(client.copy.ids, canonical, sendable)
        received = [(_id(message), message.retracted) for message in messages]
        assert received == expected[: len(received)], client
        assert page.has_more or len(received) == len(expected), client
        assert len(page.messages) <= first
        assert client.lax or len(received) == min(first, len(expected)), client
        assert not page.messages or page.end_cursor == page.messages[-1].cursor

    def _without_doubtful(self, client: Client, messages: Sequence[Message]) -> list[Message]:
        """Leaves out retractions of what the copy does not have: they name events that are gone, newest first."""
        gone = [message for message in messages if message.retracted]
        assert all(_event(newer).position > _event(older).position for newer, older in pairwise(gone))
        canonical = {write_id(EventId(self.node.chain_id, block.hash, index, None)) for block, index, _ in self._logs()}
        assert not canonical & set(map(_id, gone))
        held = set(client.copy.ids)
        return [message for message in messages if not message.retracted or _id(message) in held]

    # What is true

    def _canonical(self, client: Client) -> tuple[list[str], list[str]]:
        """Returns the ids of the indexed events that the client's filter selects, and of those that may be sent."""
        owned = self._of_the_owner()
        logs = [
            (block.number, str(write_id(EventId(self.node.chain_id, block.hash, index, None))))
            for block, index, log in self._logs()
            if client.fits(log, (block.hash, index) in owned)
        ]
        ids = [id for _, id in logs]
        return ids, [
            id for number, id in logs if number <= self.final
        ] if client.finality is Finality.FINALIZED else ids

    def _of_the_owner(self) -> set[tuple[bytes, int]]:
        """Returns the events of devices that the owner has at the end of the event's block."""
        owner: dict[int | None, str] = {}
        events: set[tuple[bytes, int]] = set()
        for block in self.indexed:
            for log in block.logs:
                if log.topics.startswith(TRANSFER):
                    owner[token_of(log)] = "0x" + log.topics[76:96].hex()
            for log in block.logs:
                if owner.get(token_of(log)) == OWNER:
                    events.add((block.hash, log.index or 0))
        return events

    def _logs(self) -> list[tuple[FakeBlock, int, Log]]:
        return [(block, log.index or 0, log) for block in self.indexed for log in block.logs]


def _way(held: Sequence[str], canonical: Sequence[str], sendable: Sequence[str]) -> list[tuple[str, bool]]:
    """Returns the messages, (id, retracted), that bring a copy up to date."""
    shared = next(
        (index for index, (ours, theirs) in enumerate(zip(held, canonical, strict=False)) if ours != theirs),
        min(len(held), len(canonical)),
    )
    gone = [(id, True) for id in reversed(held[shared:])]
    return gone + [(id, False) for id in sendable[shared:]]


def _event(message: Message) -> RecordedEvent:
    row: Any = message.event
    return recorded_event(row.row)


def _id(message: Message) -> str:
    event = _event(message)
    return write_id(EventId(event.chain_id, event.block_hash, event.offset, None))


def _json(message: Message) -> Json:
    return {"cursor": message.cursor, "retracted": message.retracted, "event": {"id": _id(message)}}
