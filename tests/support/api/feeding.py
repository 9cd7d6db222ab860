"""A client that keeps a copy of the events by the change feed, and the chain that the copy must equal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.graphql.paging.tokens import EventId, write_id
from tests.support.api.asking import Api, Json, asking
from tests.support.chain.fakechain import FakeBlock, FakeNode, Log, emitted
from tests.support.index.indexing import Indexer, open_engine

Fits = Callable[[FakeBlock, Log], bool]
OWNER, BUYER = "0x" + "11" * 20, "0x" + "22" * 20

CHANGES = """query ($after: String, $first: Int, $filter: LifecycleEventFilter, $finality: Finality! = UNSAFE) {
  changes(after: $after, first: $first, filterBy: $filter, finality: $finality) {
    endCursor hasMore messages { cursor retracted event { id kind finality block { number finality } logIndex } } } }"""


def minted(token: int, **changes: Any) -> list[Log]:
    arguments = {"manufacturerId": 1, "firmwareVersion": "1.0.0", **changes}
    return [emitted("Transfer", to=OWNER, tokenId=token), emitted("CertificateMinted", tokenId=token, **arguments)]


def updated(token: int, version: str = "2.0.0") -> Log:
    return emitted("FirmwareUpdated", tokenId=token, toVersion=version)


def sold(token: int, buyer: str = BUYER) -> Log:
    return emitted("Transfer", **{"from": OWNER, "to": buyer, "tokenId": token})


class Moving:
    """A fake node and its index, which grow and reorg together.

    `state_url` is where a delivery may keep its state: the database, which a pooler may hide from `url`.
    """

    def __init__(self, url: str, *, state_url: str | None = None, **node: Any) -> None:
        self.url = url
        self.state_url = state_url or url
        self.node = FakeNode(**node)
        self.indexer = Indexer(open_engine(url), self.node)

    async def mine(self, *logs: Log) -> FakeBlock:
        block = self.node.mine(*logs)
        await self.indexer.catch_up()
        return block

    async def reorg(self, depth: int, *blocks: Sequence[Log]) -> None:
        self.node.reorg(depth, *blocks)
        await self.indexer.catch_up()

    def ids(
        self, fits: Callable[[FakeBlock, Log], bool] = lambda block, log: True, up_to: int | None = None
    ) -> list[str]:
        """Returns the ids of the canonical events that fit, up to a block, in order."""
        return [
            write_id(EventId(self.node.chain_id, block.hash, log.index or 0, None))
            for block in self.node.blocks[: None if up_to is None else up_to + 1]
            for log in block.logs
            if fits(block, log)
        ]

    def close(self) -> None:
        self.indexer.engine.dispose()


@dataclass
class Copy:
    """The client's copy: events in order, each with its cursor, and the cursor to continue from.

    If `strict`, every message must be the only possible next one. A filter by a device's state needs a lax copy: a
    retraction may name an event that was never sent.
    """

    strict: bool = True
    events: list[tuple[str, str]] = field(default_factory=list)
    cursor: str | None = None

    @property
    def ids(self) -> list[str]:
        return [id for id, _ in self.events]

    def apply(self, messages: Sequence[Json]) -> None:
        for message in messages:
            id, cursor = message["event"]["id"], message["cursor"]
            if not message["retracted"]:
                assert id not in self.ids, f"{id} was sent twice"
                self.events.append((id, cursor))
            elif self.strict:
                assert self.events, "a retraction of an event that was never sent"
                assert self.events.pop()[0] == id, "a retraction out of order"
                assert not self.events or self.events[-1][1] == cursor, "not the cursor of the event before it"
            else:
                self.events = [event for event in self.events if event[0] != id]
            self.cursor = cursor

    def saved(self) -> "Copy":
        """Returns the copy on the disk of a client that saves after each message."""
        return Copy(self.strict, list(self.events), self.cursor)

    async def pull(self, api: Api, first: int = 100, **variables: Any) -> bool:
        """Requests one page and applies it. Returns whether there is more."""
        page = (await api.ask(CHANGES, after=self.cursor, first=first, **variables))["changes"]
        assert len(page["messages"]) <= first
        self.apply(page["messages"])
        if page["messages"]:
            assert page["endCursor"] == self.cursor
        self.cursor = page["endCursor"]
        return bool(page["hasMore"])

    async def catch_up(self, api: Api, first: int = 100, **variables: Any) -> None:
        """Requests pages until there is no more."""
        while await self.pull(api, first, **variables):
            pass


__all__ = ["BUYER", "CHANGES", "OWNER", "Api", "Copy", "Json", "Moving", "asking", "minted", "sold", "updated"]
