"""Facts of two logs, from an index that is served: canonical, orphaned and read again, on both databases."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from indexer.store.watch_set import WatchedContract
from schema.profile.model import load_profile
from tests.support.api.asking import Api, asking
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by, new_transaction
from tests.support.index.indexing import Indexer, open_engine

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "foundry.toml"))
FOUNDRY, TITLES = b"f" * 20, b"t" * 20
CONTRACTS = (WatchedContract("foundry", FOUNDRY, 0, True), WatchedContract("titles", TITLES, 0, True))
OWNER = "0x" + "aa" * 20

EVENTS = """{ lifecycleEvents { nodes { kind ... on DeviceMinted { serialNumber device { tokenId } } } }
    orphanedEvents { nodes { event { kind ... on DeviceMinted { serialNumber } } } } }"""


def enrolled(*numbers: int) -> list[Log]:
    """Returns the logs of one transaction that enrolls devices."""
    transaction = new_transaction()
    issued = [
        emitted_by(
            "Issued(address indexed owner, uint256 id, string name)", OWNER, number, f"SN{number}", address=TITLES
        )
        for number in numbers
    ]
    enrolled = "Enrolled(address indexed device, address owner, bytes32 document)"
    devices = [emitted_by(enrolled, f"0x{number:040x}", OWNER, bytes(32), address=FOUNDRY) for number in numbers]
    return [replace(log, transaction=transaction) for log in (*issued, *devices)]


@pytest.fixture
def indexer(database_url: str) -> Iterator[Indexer]:
    engine = open_engine(database_url)
    yield Indexer(engine, FakeNode(finality=2), profile=PROFILE, contracts=CONTRACTS)
    engine.dispose()


async def test_facts_of_two_logs_are_the_same_backfilled_followed_orphaned_and_rebuilt(
    indexer: Indexer, database_url: str
) -> None:
    node = indexer.node
    node.mine(*enrolled(1, 2), *enrolled(3))
    node.mine_blocks(3)
    await indexer.catch_up()
    node.mine(*enrolled(4))
    await indexer.catch_up()
    node.reorg(1, enrolled(5, 6))
    await indexer.catch_up()
    with asking(database_url) as api:
        await check_events(api)
        before = indexer.tables()
        indexer.rebuild()
        assert indexer.tables() == before
        await check_events(api)


async def check_events(api: Api) -> None:
    data = await api.ask(EVENTS)
    minted = [
        (event["serialNumber"], event["device"]["tokenId"])
        for event in data["lifecycleEvents"]["nodes"]
        if event["kind"] == "DEVICE_MINTED"
    ]
    assert minted == [(f"SN{number}", str(number)) for number in (1, 2, 3, 5, 6)]
    assert [node["event"]["serialNumber"] for node in data["orphanedEvents"]["nodes"]] == ["SN4"]
