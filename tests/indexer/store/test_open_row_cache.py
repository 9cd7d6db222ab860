"""The cache of open rows equals what is stored, and stays within its limit."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from indexer.changes import Names, OpenRows, TokenKey
from indexer.errors import Stop
from indexer.store.open_row_cache import OpenRowCache
from indexer.store.open_rows import load_open_rows
from indexer.sync.step import Pace
from schema.tables import rows
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.chain.histories import BLOCKS, Block
from tests.support.index.indexing import Indexer, index_afresh

CONTRACT = b"\xce" * 20
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
HISTORY = (
    (
        emitted("Transfer", to=ALICE, tokenId=1),
        emitted("UserAuthorized", tokenId=1, user=BOB, permissions=3),
        emitted("UserAuthorized", tokenId=1, user=ALICE, permissions=1),
        emitted("CertificateCorrected", tokenId=1, attribute="colour", value="black"),
    ),
    (
        emitted("UserRevoked", tokenId=1, user=BOB),
        emitted("CertificateCorrected", tokenId=1, attribute="colour", value="red"),
        emitted("CertificateCorrected", tokenId=1, attribute="mounting", value="roof"),
    ),
)


@settings(max_examples=15, derandomize=True, deadline=None, database=None)
@given(
    st.lists(BLOCKS, max_size=12),
    st.sampled_from((0, 1, 2, 60_000)),
    st.sampled_from((1, 2, 5)),
)
def test_the_rows_are_the_same_however_much_is_remembered(
    engine: Engine, sqlite_engine: Engine, chain: list[Block], most: int, blocks: int
) -> None:
    node = FakeNode(finality=0)
    for block in chain:
        block.mine(node)
    indexer = Indexer(engine, node, pace=Pace(blocks, most=blocks, side_by_side=1))
    indexer.store.open_row_cache = OpenRowCache(most)
    asyncio.run(indexer.catch_up())
    assert indexer.tables() == index_afresh(sqlite_engine, node)


def test_what_is_remembered_is_what_the_database_holds(engine: Engine) -> None:
    node = FakeNode(finality=0)
    indexer = Indexer(engine, node, pace=Pace(1, most=1, side_by_side=1))
    for block in HISTORY:
        node.mine(*block)
        asyncio.run(indexer.catch_up())
    key = (indexer.contracts[0].address, 1)
    remembered, unknown = indexer.store.open_row_cache.recall([key])
    assert unknown == set()
    assert remembered.device_version
    with engine.begin() as connection:
        assert load_open_rows(connection, node.chain_id, _naming(key)) == remembered


@pytest.mark.parametrize("is_remembered", [True, False])
def test_of_a_device_those_grants_and_attributes_are_loaded_that_may_change(
    engine: Engine, *, is_remembered: bool
) -> None:
    node = FakeNode(finality=0)
    for block in HISTORY:
        node.mine(*block)
    indexer = Indexer(engine, node)
    asyncio.run(indexer.catch_up())
    cache = indexer.store.open_row_cache if is_remembered else OpenRowCache()
    key = (indexer.contracts[0].address, 1)
    for table, count in {"authorization": 1, "device_attribute": 2}.items():
        with engine.begin() as connection:
            loaded = load_open_rows(connection, node.chain_id, _naming(key, table), cache)
        assert {name: len(getattr(loaded, name)) for name in ("authorization", "device_attribute")} == {
            "authorization": 0,
            "device_attribute": 0,
            table: count,
        }


def test_a_step_that_fails_leaves_nothing_remembered(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(emitted("Transfer", to=ALICE, tokenId=1))
    indexer = Indexer(engine, node)
    asyncio.run(indexer.catch_up())
    node.mine(emitted("Transfer", **{"from": ALICE}, to=BOB, tokenId=1))
    asyncio.run(indexer.catch_up())
    node.mine(emitted("Transfer", **{"from": BOB}, to=ALICE, tokenId=1))
    with engine.begin() as connection:  # the tables contradict each other: closing the owner's span must fail
        connection.execute(text("DELETE FROM device_version WHERE chain_id = :id"), {"id": node.chain_id})
    with pytest.raises(Stop, match="certindex rebuild"):
        asyncio.run(indexer.catch_up())
    assert indexer.store.open_row_cache.recall([(indexer.contracts[0].address, 1)])[0] == OpenRows()


def test_tables_that_contradict_each_other_stop_a_step_that_remembers_nothing(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(emitted("Transfer", to=ALICE, tokenId=1))
    indexer = Indexer(engine, node)
    asyncio.run(indexer.catch_up())
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM device_activity WHERE chain_id = :id"), {"id": node.chain_id})
    indexer.restart()
    node.mine(emitted("Transfer", **{"from": ALICE}, to=BOB, tokenId=1))
    with pytest.raises(Stop, match=r"1 open rows of device_activity .* certindex rebuild"):
        asyncio.run(indexer.catch_up())


def test_what_was_noted_at_another_checkpoint_is_not_believed() -> None:
    cache = OpenRowCache()
    cache.note(b"one", _device(1))
    assert cache.at(b"one").recall([(CONTRACT, 1)])[0].ids["device"] == {(CONTRACT, 1): 1}
    assert cache.at(b"two").recall([(CONTRACT, 1)]) == (OpenRows(), {(CONTRACT, 1)})


def test_the_devices_written_longest_ago_are_forgotten_first() -> None:
    cache = OpenRowCache(2)
    for number in (1, 2, 1, 3):
        cache.note(b"", _device(number))
    assert cache.recall([(CONTRACT, number) for number in (1, 2, 3)])[1] == {(CONTRACT, 2)}


def test_a_device_is_recalled_as_the_database_gives_it_and_as_it_was_noted_last(engine: Engine) -> None:
    node = FakeNode(finality=0)
    for block in HISTORY:
        node.mine(*block)
    indexer = Indexer(engine, node, pace=Pace(1, most=1, side_by_side=1))
    asyncio.run(indexer.catch_up())
    key = (indexer.contracts[0].address, 1)
    with engine.begin() as connection:
        stored = load_open_rows(connection, node.chain_id, _naming(key))
    cache = OpenRowCache()
    for _ in range(2):  # as the database gives it, and as the cache does
        cache.note(b"", stored)
        stored = cache.recall([key])[0]
    with engine.begin() as connection:
        assert load_open_rows(connection, node.chain_id, _naming(key)) == stored
    changed = _device(1)
    cache.note(b"", changed)
    changed.device_version[1] = rows.DeviceVersion(1, 0, owner=ALICE)
    cache.note(b"", changed)
    assert cache.recall([(CONTRACT, 1)])[0] == changed


def _device(number: int) -> OpenRows:
    open_rows = OpenRows(
        device_version={number: rows.DeviceVersion(number, 0)},
        device_activity={number: rows.DeviceActivity(number, 0, 0)},
    )
    open_rows.ids["device"][CONTRACT, number] = number
    return open_rows


def _naming(device: TokenKey, *tables: str) -> Names:
    return Names({"device": {device}}, {(table, "device"): {device} for table in tables}, set())
