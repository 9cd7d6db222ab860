"""Logs that are several facts: an event for each item, in the order of the chain, and the log only once."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from indexer.store.event_ranges import EventRanges
from indexer.store.watch_set import WatchedContract
from indexer.sync.backfill import Pace
from indexer.sync.interpretation import interpret
from indexer.sync.rebuild import rebuild
from schema.events import Kind
from schema.profile.model import Profile, load_profile, parse_profile
from schema.tables.values import MAX_OFFSET, offset_of
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by, new_transaction
from tests.support.databases import NewDatabase
from tests.support.index.indexing import Indexer, Tables, engine_of

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "depot.toml"))
DEPOT, OFFICE, PLANT = b"d" * 20, b"o" * 20, b"p" * 20
CONTRACTS = (WatchedContract("depot", DEPOT, 0, True), WatchedContract("office", OFFICE, 0, True))
ALICE, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20
CERTIFIED = "Certified(uint64 indexed lot, address[] units, bytes32[] serials)"


def unit(number: int) -> str:
    return f"0x{number:040x}"


def certified(*numbers: int, serials: int | None = None, lot: int = 7) -> list[Log]:
    names = tuple(f"SN{number}".encode().ljust(32, b"\0") for number in numbers)[:serials]
    logs = [
        emitted_by(
            "Lot(uint64 indexed lot, (uint16,bytes32) terms)", lot, (1, b"Acme".ljust(32, b"\0")), address=OFFICE
        ),
        emitted_by(CERTIFIED, lot, tuple(map(unit, numbers)), names, address=DEPOT),
    ]
    transaction = new_transaction()
    return [replace(log, transaction=transaction) for log in logs]


def handed(*numbers: int, to: str = BOB) -> Log:
    signature = "Handed(address indexed from, address to, address[] units)"
    return emitted_by(signature, ALICE, to, tuple(map(unit, numbers)), address=DEPOT)


def opened() -> Log:
    return emitted_by("Opened(bytes2 indexed region, address plant)", b"eu", "0x" + PLANT.hex(), address=DEPOT)


def checked(*numbers: int) -> Log:
    signature = "Checked(uint8 stage, address[] units, bool[] passed)"
    return emitted_by(
        signature, 2, tuple(map(unit, numbers)), tuple(number % 2 == 0 for number in numbers), address=PLANT
    )


@pytest.fixture
def new_indexer(engine: Engine) -> Callable[..., Indexer]:
    return lambda node, **how: Indexer(engine, node, profile=how.pop("profile", PROFILE), contracts=CONTRACTS, **how)


def history(node: FakeNode) -> None:
    node.mine(*certified(1, 2, 3), handed(1, 3))
    node.mine(handed(2), opened(), *certified(4), checked(4, 1))
    node.mine(handed(), *certified(5, 6, serials=1), handed(4, 4))


EVENTS = [
    # block, offset, log, item, kind, device
    (1, 0, 0, 0, Kind.MANUFACTURER_LICENSED, None),
    (1, 1, 1, 0, Kind.DEVICE_MINTED, 1),
    (1, 2, 1, 1, Kind.DEVICE_MINTED, 2),
    (1, 3, 1, 2, Kind.DEVICE_MINTED, 3),
    (1, 4, 2, 0, Kind.DEVICE_TRANSFERRED, 1),
    (1, 5, 2, 1, Kind.DEVICE_TRANSFERRED, 3),
    (2, 0, 0, 0, Kind.DEVICE_TRANSFERRED, 2),
    (2, 1, 1, 0, Kind.UNMAPPED, None),
    (2, 2, 2, 0, Kind.MANUFACTURER_LICENSED, None),
    (2, 3, 3, 0, Kind.DEVICE_MINTED, 4),
    (2, 4, 4, 0, Kind.TEST_RECORDED, 4),
    (2, 5, 4, 1, Kind.TEST_RECORDED, 1),
    (3, 0, 0, 0, Kind.UNMAPPED, None),  # no item
    (3, 1, 1, 0, Kind.MANUFACTURER_LICENSED, None),
    (3, 2, 2, 0, Kind.UNDECODABLE, None),  # other lengths
    (3, 3, 3, 0, Kind.DEVICE_TRANSFERRED, 4),
    (3, 4, 3, 1, Kind.DEVICE_TRANSFERRED, 4),
]


def events(indexer: Indexer) -> list[tuple[int, int, int, int, int, int | None]]:
    numbers = {row["id"]: int.from_bytes(row["token_id"], "big") for row in indexer.rows("device")}
    return [
        (
            row["position"] >> 20,
            offset_of(row["position"]),
            offset_of(row["position"]) if row["wide_log_index"] is None else row["wide_log_index"],
            row["item"],
            row["kind"],
            numbers.get(row["device_id"]),
        )
        for row in indexer.rows("event")
    ]


@pytest.mark.parametrize(("finality", "blocks"), [(0, 100), (0, 1), (64, 1)])
async def test_each_item_is_an_event_behind_the_item_before_it(
    new_indexer: Callable[..., Indexer], finality: int, blocks: int
) -> None:
    node = FakeNode(finality=finality)
    history(node)
    indexer = new_indexer(node, pace=Pace(blocks, side_by_side=1))
    await indexer.catch_up()
    assert events(indexer) == EVENTS
    rows = indexer.rows("event")
    assert all(bool(row["topics"]) == bool(row["data"]) == (row["item"] == 0) for row in rows)
    before = indexer.tables()
    indexer.rebuild()
    assert indexer.tables() == before


async def test_logs_are_counted_once_in_digests_and_ranges(
    new_indexer: Callable[..., Indexer], new_database: NewDatabase
) -> None:
    node = FakeNode(finality=0)
    history(node)
    indexer = new_indexer(node)
    await indexer.catch_up()
    stored = EventRanges(indexer.engine, node.chain_id).read(1, 3).blocks
    assert [[log.log_index for log in block.logs] for block in stored] == [[0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3]]
    other = await tables_by(one_each(), node, new_database())
    assert other["chain"] == indexer.tables()["chain"]
    assert other["block"] == indexer.tables()["block"]


async def tables_by(profile: Profile, node: FakeNode, url: str) -> Tables:
    """Returns the tables of a new index by a profile."""
    with engine_of(url) as engine:
        indexer = Indexer(engine, node, profile=profile, contracts=CONTRACTS)
        await indexer.catch_up()
        return indexer.tables()


def one_each() -> Profile:
    """Returns the profile with rules for single devices: no log of arrays is a fact."""
    text = PROFILE.text.replace("address[]", "address").replace("[] ", " ")
    lines = [line for line in text.splitlines() if not line.startswith("each ")]
    return parse_profile("\n".join(lines), "one each")


async def test_a_rebuild_by_another_profile_spreads_logs_and_joins_them_again(
    new_indexer: Callable[..., Indexer], new_database: NewDatabase
) -> None:
    node = FakeNode(finality=0)
    history(node)
    indexer = new_indexer(node)
    await indexer.catch_up()
    before, contracts = indexer.tables(), indexer.store.watch_set()
    without = await tables_by(one_each(), node, new_database())
    for profile, tables in ((one_each(), without), (PROFILE, before)):
        rebuild(indexer.store, indexer.store.checkpoint(), interpret(profile, contracts))
        assert indexer.tables() == tables


async def test_a_reorg_takes_all_items_and_keeps_them_as_orphans(new_indexer: Callable[..., Indexer]) -> None:
    node = FakeNode(finality=64)
    history(node)
    indexer = new_indexer(node)
    await indexer.catch_up()
    node.reorg(3, [*certified(9, 8), handed(9)], [opened()])
    await indexer.catch_up()
    orphans = [(row["position"] >> 20, row["item"], row["kind"]) for row in indexer.rows("orphaned_event")]
    assert orphans == [(block, item, kind) for block, _, _, item, kind, _ in EVENTS]
    assert [row[5] for row in events(indexer)] == [None, 9, 8, 9, None]


async def test_items_behind_a_wide_log_index_keep_their_order(new_indexer: Callable[..., Indexer]) -> None:
    node = FakeNode(finality=0)
    logs = [*certified(1, 2, 3), handed(3, 1)]
    node.mine(*(replace(log, index=index) for log, index in zip(logs, (5, MAX_OFFSET - 1, 2**32), strict=True)))
    indexer = new_indexer(node)
    await indexer.catch_up()
    assert [(log, item, device) for _, _, log, item, _, device in events(indexer)] == [
        (5, 0, None),
        (MAX_OFFSET - 1, 0, 1),
        (MAX_OFFSET - 1, 1, 2),
        (MAX_OFFSET - 1, 2, 3),
        (2**32, 0, 3),
        (2**32, 1, 1),
    ]
    assert [offset for _, offset, *_ in events(indexer)][1:] == list(range(MAX_OFFSET - 4, MAX_OFFSET + 1))
    before = indexer.tables()
    indexer.rebuild()
    assert indexer.tables() == before
