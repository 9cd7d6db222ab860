"""Vehicles, synthetic devices and grants on other subjects than devices, each on a chain of a few logs."""

from typing import Any

import pytest
from sqlalchemy import Engine

from schema.events import Kind
from schema.tables.values import OPEN
from schema.vocabulary import AuthorizationEndReason
from tests.support.chain.fakechain import FakeNode
from tests.support.dimo.logs import ALICE, BOB, FACTORY, FAR, ZERO, event_log, index, maker, transferred
from tests.support.dimo.vehicles import (
    CAROL,
    LINK,
    RUPTELA,
    SYNTHETICS,
    VEHICLES,
    burn_synthetic,
    mint_synthetic,
    mint_vehicle,
    permitted,
    renounced,
    set_vehicle,
)
from tests.support.index.indexing import Indexer

chains = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(chain_id=next(chains))


def open_row(indexer: Indexer, table: str) -> dict[str, Any]:
    [row] = [row for row in indexer.rows(table) if row["valid_to"] == OPEN]
    return row


def ends(indexer: Indexer) -> list[int | None]:
    """Returns how each grant ended, in their order; None for one in force."""
    return [row["end_reason"] for row in sorted(indexer.rows("authorization"), key=lambda row: row["valid_from"])]


async def test_a_vehicle_has_the_manufacturer_and_definition_of_its_mint_and_the_owner_of_its_transfer(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*maker(1), *mint_vehicle(5, ALICE, "ford_focus_2020"))
    node.mine(transferred(5, ALICE, BOB, "vehicle"), event_log("registry", "DeviceDefinitionIdSet", 5, "ford_ka_2021"))
    indexer = await index(engine, node)
    row = open_row(indexer, "vehicle_version")
    [manufacturer] = indexer.rows("manufacturer")
    assert (row["owner"], row["definition_id"], row["manufacturer_id"]) == (BOB, "ford_ka_2021", manufacturer["id"])
    assert (row["burned_at"], row["mint_position"] is None) == (None, False)


async def test_a_transfer_and_a_burn_of_a_vehicle_void_privileges_and_permissions(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*mint_vehicle(5, ALICE, ""))
    node.mine(event_log("vehicle", "PrivilegeSet", 5, 1, 3, BOB, FAR), permitted(VEHICLES, 5, CAROL))
    node.mine(transferred(5, ALICE, BOB, "vehicle"))
    node.mine(permitted(VEHICLES, 5, ALICE))
    node.mine(transferred(5, BOB, ZERO, "vehicle"), event_log("registry", "VehicleNodeBurned", 5, BOB))
    indexer = await index(engine, node)
    moved, burned = AuthorizationEndReason.TRANSFERRED, AuthorizationEndReason.BURNED
    assert ends(indexer) == [moved, moved, burned]
    row = open_row(indexer, "vehicle_version")
    assert (row["owner"], row["burned_at"] is None, row["definition_id"]) == (None, False, None)


async def test_an_attribute_ends_when_it_is_set_again_and_an_empty_one_is_none(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint_vehicle(5, ALICE, ""), set_vehicle(5, "Make", "Ford"), set_vehicle(5, "Model", "Ka"))
    node.mine(set_vehicle(5, "Make", "Kia"), set_vehicle(5, "Model", ""))
    indexer = await index(engine, node)
    rows = indexer.rows("vehicle_attribute")
    assert sorted((row["name"], row["value"], row["valid_to"] == OPEN) for row in rows) == [
        ("Make", "Ford", False),
        ("Make", "Kia", True),
        ("Model", "Ka", False),
    ]


async def test_the_burn_of_a_synthetic_device_ends_its_privileges_and_not_its_permissions(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*mint_vehicle(5, ALICE, ""), *mint_synthetic(7, 5, ALICE, RUPTELA))
    node.mine(event_log("synthetic_device", "PrivilegeSet", 7, 1, 1, BOB, FAR), permitted(SYNTHETICS, 7, CAROL))
    node.mine(*burn_synthetic(7, 5, ALICE))
    indexer = await index(engine, node)
    row = open_row(indexer, "synthetic_device_version")
    [vehicle] = indexer.rows("vehicle")
    assert (row["address"], row["vehicle_id"], int.from_bytes(row["connection_id"])) == (LINK, vehicle["id"], RUPTELA)
    assert (row["owner"], row["burned_at"] is None) == (None, False)
    assert ends(indexer) == [AuthorizationEndReason.BURNED, None]


async def test_an_event_has_the_ids_of_all_that_it_names(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint_vehicle(5, ALICE, ""), *mint_synthetic(7, 5, ALICE, RUPTELA))
    indexer = await index(engine, node)
    [minted] = [row for row in indexer.rows("event") if row["kind"] == Kind.SYNTHETIC_DEVICE_MINTED]
    [vehicle], [synthetic] = indexer.rows("vehicle"), indexer.rows("synthetic_device")
    assert (minted["vehicle_id"], minted["synthetic_device_id"]) == (vehicle["id"], synthetic["id"])


async def test_permissions_of_an_account_are_of_all_that_it_owns_until_it_is_renounced(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(permitted(ALICE, 0, BOB), permitted(ALICE, 0, CAROL))
    node.mine(renounced(ALICE, 0, CAROL))
    indexer = await index(engine, node)
    [account] = indexer.rows("account")
    assert account["contract"] == ALICE
    assert {row["account_id"] for row in indexer.rows("authorization")} == {account["id"]}
    assert ends(indexer) == [None, AuthorizationEndReason.REVOKED]


async def test_a_sold_manufacturer_loses_its_privileges(engine: Engine, node: FakeNode) -> None:
    node.mine(*maker(1))
    node.mine(event_log("manufacturer", "PrivilegeSet", 1, 1, 1, BOB, FAR))
    node.mine(transferred(1, FACTORY, ALICE, "manufacturer"))
    indexer = await index(engine, node)
    assert ends(indexer) == [AuthorizationEndReason.TRANSFERRED]
