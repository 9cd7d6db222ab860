"""Contracts of factories: watched from their block on, whatever blocks a batch holds, and gone with a reorg."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from indexer.errors import Stop
from indexer.store.watch_set import WatchedContract, check_factories
from indexer.sync import creations
from indexer.sync.backfill import Pace
from schema.profile.model import load_profile, parse_profile
from schema.tables.values import position
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by, new_transaction
from tests.support.index.indexing import Indexer

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "foundry.toml"))
FOUNDRY, TITLES = b"f" * 20, b"t" * 20
CONTRACTS = (WatchedContract("foundry", FOUNDRY, 0, True), WatchedContract("titles", TITLES, 0, True))
ONE, TWO, ELSEWHERE = (bytes([number] * 20) for number in (1, 2, 3))


def opened(plant: bytes, number: int = 1, factory: bytes = FOUNDRY) -> Log:
    return emitted_by("Opened(uint256 indexed number, address plant)", number, "0x" + plant.hex(), address=factory)


def made(plant: bytes, unit: int) -> Log:
    return emitted_by("Made(uint256 indexed unit, string serial)", unit, f"SN{unit}", address=plant)


def one_transaction(*logs: Log) -> list[Log]:
    transaction = new_transaction()
    return [replace(log, transaction=transaction) for log in logs]


@pytest.fixture
def new_indexer(engine: Engine) -> Callable[..., Indexer]:
    return lambda node, **how: Indexer(engine, node, profile=PROFILE, contracts=CONTRACTS, **how)


def history(node: FakeNode) -> None:
    """Mines logs of two plants before, in and after the blocks that create them."""
    node.mine(made(ONE, 1))  # not watched yet
    node.mine(*one_transaction(made(ONE, 2), opened(ONE)), made(TWO, 1), made(ELSEWHERE, 1))
    node.mine(made(ONE, 3), made(TWO, 2))
    node.mine(opened(TWO, 2), opened(ONE, 3), made(TWO, 3))
    node.mine(made(ONE, 4), made(TWO, 4))


def serials(indexer: Indexer) -> list[str]:
    return [row["serial_number"] for row in indexer.rows("device_version")]


def plants(indexer: Indexer) -> list[tuple[bytes, int, int, bool]]:
    return [
        (row["address"], row["start_block"], row["factory_position"], bool(row["whole"]))
        for row in indexer.rows("contract")
        if row["role"] == "plant"
    ]


BOTH = [(ONE, 2, position(2, 1), True), (TWO, 4, position(4, 0), True)]


@pytest.mark.parametrize(("finality", "blocks"), [(0, 100), (0, 2), (0, 1), (64, 1), (2, 1)])
async def test_the_rows_are_the_same_however_the_blocks_are_read(
    new_indexer: Callable[..., Indexer], finality: int, blocks: int
) -> None:
    node = FakeNode(finality=finality)
    history(node)
    indexer = new_indexer(node, pace=Pace(blocks, side_by_side=1))
    await indexer.catch_up()
    assert serials(indexer) == ["SN2", "SN3", "SN3", "SN4", "SN4"]
    assert plants(indexer) == BOTH
    before = indexer.tables()
    indexer.rebuild()
    assert indexer.tables() == before
    indexer.restart()
    node.mine(made(TWO, 5))
    await indexer.catch_up()
    assert serials(indexer)[-1] == "SN5"


async def test_a_reorg_takes_the_contract_back_with_the_log_that_created_it(
    new_indexer: Callable[..., Indexer],
) -> None:
    node = FakeNode(finality=64)
    history(node)
    indexer = new_indexer(node)
    await indexer.catch_up()
    node.reorg(2, [made(ONE, 6), made(TWO, 6)], [made(TWO, 7)])
    await indexer.catch_up()
    assert plants(indexer) == BOTH[:1]
    assert serials(indexer) == ["SN2", "SN3", "SN6"]
    node.mine(opened(TWO, 4), made(TWO, 8))
    await indexer.catch_up()
    assert plants(indexer) == [BOTH[0], (TWO, 6, position(6, 0), True)]
    assert serials(indexer)[-1] == "SN8"
    before = indexer.tables()
    indexer.store.roll_back_to(indexer.store.checkpoint(), 0)
    assert plants(indexer) == []
    await indexer.catch_up()
    assert indexer.tables() == before


async def test_a_hostile_log_creates_no_second_role_and_no_contract_at_zero(
    new_indexer: Callable[..., Indexer],
) -> None:
    node = FakeNode(finality=0)
    node.mine(opened(FOUNDRY), opened(TITLES), opened(bytes(20)), opened(ONE, factory=ELSEWHERE))
    node.mine(replace(opened(ONE), data=b"\1" * 32), replace(opened(ONE), data=b""))
    indexer = new_indexer(node)
    await indexer.catch_up()
    assert plants(indexer) == []


async def test_too_many_contracts_are_a_stop_that_names_the_block_and_the_way_out(
    new_indexer: Callable[..., Indexer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creations, "MOST_CONTRACTS", 3)
    node = FakeNode(finality=0)
    history(node)
    indexer = new_indexer(node)
    with pytest.raises(Stop, match=r"Block 4 creates contract 4 .*plant=0x0202.* at most 3 .*Name a factory"):
        await indexer.catch_up()
    assert indexer.rows("event") == []


def test_another_profile_may_not_watch_other_contracts() -> None:
    text = PROFILE.text
    check_factories(
        1, PROFILE, parse_profile(text.replace("string name)", "string label)").replace("join.name", "join.label"), "a")
    )
    for right, wrong in (("whole     = true\n", ""), ("address plant)", "address indexed plant)")):
        other = parse_profile(text.replace(right, wrong, 1), "other")
        with pytest.raises(Stop, match="has other factories than the one that the events of chain 1 were read by"):
            check_factories(1, PROFILE, other)
