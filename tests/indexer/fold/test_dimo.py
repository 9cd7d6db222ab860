"""Claims, pairings, grants, reprovisioning and license tokens, each on a chain of a few logs."""

from typing import Any

import pytest
from sqlalchemy import Engine

from schema.events import Kind
from schema.tables.values import OPEN
from schema.vocabulary import AuthorizationEndReason, EndOfLifeStatus, EventFlag, LicenseStatus, Verdict
from tests.support.chain.fakechain import BLOCK_SECONDS, GENESIS_TIME, FakeNode, Log, emitted_by
from tests.support.dimo.logs import (
    ADDRESS_OF,
    ALICE,
    BOB,
    DEVICES,
    FACTORY,
    FAR,
    UNIT,
    ZERO,
    attribute,
    burn,
    claim,
    event_log,
    index,
    license_minted,
    maker,
    mint,
    permission,
    privilege,
    transaction,
    transferred,
)
from tests.support.index.indexing import Indexer

chains = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(chain_id=next(chains))


def time_of(block_number: int) -> int:
    return GENESIS_TIME + BLOCK_SECONDS * block_number


def device(indexer: Indexer, token: int = 1) -> dict[str, Any]:
    """Returns the current row of a device."""
    [id] = [row["id"] for row in indexer.rows("device") if int.from_bytes(row["token_id"]) == token]
    [row] = [row for row in indexer.rows("device_version") if row["device_id"] == id and row["valid_to"] == OPEN]
    return row


def flags(indexer: Indexer, kind: Kind) -> list[int]:
    return [row["flags"] for row in indexer.rows("event") if row["kind"] == kind]


async def test_attributes_before_the_mint_are_kept_and_contradict_nothing(engine: Engine, node: FakeNode) -> None:
    first, minted = mint(1)
    node.mine(*transaction(first, attribute(1, "Serial", "SN-1"), attribute(1, "IMEI", "490154203237518"), minted))
    indexer = await index(engine, node)
    row = device(indexer)
    assert (row["serial_number"], row["imei"], row["address"]) == ("SN-1", "490154203237518", UNIT)
    assert row["imei_valid"] == Verdict.PASS
    assert flags(indexer, Kind.DEVICE_ATTRIBUTE_SET) == [0, 0]


async def test_an_attribute_set_to_nothing_is_cleared(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), attribute(1, "Serial", "SN-1"), attribute(1, "DefinitionURI", "ipfs://d"))
    node.mine(attribute(1, "Serial", ""), attribute(1, "DefinitionURI", ""))
    indexer = await index(engine, node)
    assert device(indexer)["serial_number"] is None
    assert [row["valid_to"] == OPEN for row in indexer.rows("device_attribute")] == [False]


async def test_vehicle_5_manufacturer_5_and_device_5_are_three_things(engine: Engine, node: FakeNode) -> None:
    node.mine(transferred(5, ZERO, ALICE, "vehicle"), transferred(5, ZERO, FACTORY, "manufacturer"))
    node.mine(*mint(5, maker=5), event_log("registry", "AftermarketDevicePaired", 5, 5, ALICE))
    indexer = await index(engine, node)
    assert [row["contract"] for row in indexer.rows("device")] == [DEVICES]
    assert [row["contract"] for row in indexer.rows("vehicle")] == [ADDRESS_OF["vehicle"]]
    assert [row["contract"] for row in indexer.rows("manufacturer")] == [ADDRESS_OF["manufacturer"]]
    assert device(indexer, 5)["owner"] == FACTORY
    assert device(indexer, 5)["vehicle_id"] == indexer.rows("vehicle")[0]["id"]


async def test_a_claim_stands_for_the_provisioning_that_is_not_on_chain(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1))
    node.mine(*transaction(transferred(1, FACTORY, ALICE), claim(1, ALICE)))
    node.mine(event_log("registry", "AftermarketDeviceUnclaimed", 1))
    indexer = await index(engine, node)
    row = device(indexer)
    assert (row["owner"], row["claimed_at"], row["provisioned_at"]) == (ALICE, None, time_of(2))
    assert row["provisioned_after_quality"] == Verdict.UNKNOWN


async def test_a_transfer_does_not_unpair_and_an_unpairing_may_name_any_vehicle(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), event_log("registry", "AftermarketDevicePaired", 1, 7, ALICE))
    node.mine(transferred(1, FACTORY, BOB))
    indexer = await index(engine, node)
    assert (device(indexer)["owner"], device(indexer)["paired_at"]) == (BOB, time_of(1))
    node.mine(event_log("registry", "AftermarketDeviceUnpaired", 1, 0, ALICE))
    await indexer.catch_up()
    assert (device(indexer)["vehicle_id"], device(indexer)["paired_at"]) == (None, None)


async def test_a_pairing_with_vehicle_0_ends_the_one_before(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), event_log("registry", "AftermarketDevicePaired", 1, 7, ALICE))
    node.mine(event_log("registry", "AftermarketDevicePaired", 1, 0, ALICE))
    indexer = await index(engine, node)
    assert (device(indexer)["vehicle_id"], device(indexer)["paired_at"]) == (None, None)
    assert [int.from_bytes(row["token_id"]) for row in indexer.rows("vehicle")] == [7]


async def test_a_mint_takes_over_the_address_of_a_device_burned_in_its_transaction(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*mint(1))
    node.mine(*transaction(*burn(1, FACTORY), *mint(2)))
    indexer = await index(engine, node)
    old, new = device(indexer, 1), device(indexer, 2)
    assert (old["owner"], old["end_of_life_status"]) == (None, EndOfLifeStatus.DECOMMISSIONED)
    assert new["predecessor_id"] == old["device_id"]


async def test_a_mint_in_another_transaction_of_the_block_has_no_predecessor(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1))
    node.mine(*transaction(*burn(1, FACTORY)), *mint(2))
    indexer = await index(engine, node)
    assert device(indexer, 2)["predecessor_id"] is None


async def test_a_burn_leaves_no_claim_beneficiary_or_pairing(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), claim(1, ALICE), event_log("registry", "BeneficiarySet", DEVICES, 1, BOB))
    node.mine(event_log("registry", "AftermarketDevicePaired", 1, 7, ALICE))
    indexer = await index(engine, node)
    assert device(indexer)["beneficiary"] == BOB
    node.mine(*burn(1, FACTORY))
    await indexer.catch_up()
    row = device(indexer)
    assert [row[name] for name in ("claimed_at", "beneficiary", "vehicle_id", "paired_at")] == [None] * 4


async def test_what_a_burned_device_cannot_do_is_flagged(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1))
    node.mine(*burn(1, FACTORY))
    node.mine(claim(1, ALICE), event_log("registry", "AftermarketDevicePaired", 1, 7, ALICE))
    node.mine(event_log("registry", "AftermarketDeviceUnpaired", 1, 7, ALICE), attribute(1, "Serial", ""))
    indexer = await index(engine, node)
    assert flags(indexer, Kind.DEVICE_CLAIMED) == [EventFlag.AFTER_END_OF_LIFE]
    assert flags(indexer, Kind.DEVICE_PAIRED) == [EventFlag.AFTER_END_OF_LIFE]
    assert flags(indexer, Kind.DEVICE_UNPAIRED) == flags(indexer, Kind.DEVICE_ATTRIBUTE_SET) == [0]


async def test_an_address_reset_is_one_factory_reset_with_an_address(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1))
    node.mine(event_log("registry", "AftermarketDeviceAddressReset", 1, 1, ALICE))
    indexer = await index(engine, node)
    assert device(indexer)["address"] == ALICE
    assert len(indexer.rows("factory_reset")) == 1


# Grants


async def test_privileges_last_through_their_second_and_permissions_do_not(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), privilege(1, ALICE, 1_000), permission(1, ALICE, 0b1100, 1_000), permission(1, BOB, 12, 0))
    indexer = await index(engine, node)
    grants = {(row["source"], row["user_address"]): row for row in indexer.rows("authorization")}
    assert grants["privilege", ALICE]["expires_at"] == 1_001
    assert grants["sacd", ALICE]["expires_at"] == 1_000
    assert grants["sacd", BOB]["expires_at"] == 0
    assert grants["privilege", ALICE]["scope"] == "2"
    assert grants["sacd", ALICE]["agreement_uri"] == "ipfs://agreement"


async def test_a_transfer_and_a_burn_void_privileges_and_leave_permissions(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), privilege(1, ALICE, FAR), permission(1, ALICE, 0b1100, FAR))
    node.mine(transferred(1, FACTORY, BOB), privilege(1, ALICE, FAR))
    node.mine(*burn(1, BOB))
    indexer = await index(engine, node)
    ended = [(row["source"], row["end_reason"]) for row in indexer.rows("authorization")]
    assert sorted(ended, key=str) == [
        ("privilege", AuthorizationEndReason.TRANSFERRED),
        ("privilege", AuthorizationEndReason.BURNED),
        ("sacd", None),
    ]


@pytest.mark.parametrize(
    "revocation",
    [
        permission(1, ALICE, 0, FAR),
        event_log("sacd", "PermissionsRenounced", DEVICES, 1, ALICE),
    ],
)
async def test_no_permissions_and_renouncing_revoke(engine: Engine, node: FakeNode, revocation: Log) -> None:
    node.mine(*mint(1), permission(1, ALICE, 0b1100, FAR), privilege(1, ALICE, FAR))
    node.mine(revocation)
    indexer = await index(engine, node)
    ended = {row["source"]: row["end_reason"] for row in indexer.rows("authorization")}
    assert ended == {"sacd": AuthorizationEndReason.REVOKED, "privilege": None}


async def test_a_privilege_of_expiry_0_is_revoked_and_another_privilege_is_not(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1), privilege(1, ALICE, FAR, 1), privilege(1, ALICE, FAR, 2))
    node.mine(privilege(1, ALICE, 0, 1))
    indexer = await index(engine, node)
    ended = {row["scope"]: row["end_reason"] for row in indexer.rows("authorization")}
    assert ended == {"1": AuthorizationEndReason.REVOKED, "2": None}


# Licenses


async def test_a_manufacturer_is_licensed_at_the_mint_by_what_its_owner_then_holds(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*maker(1), *mint(1))
    node.mine(*license_minted(9, FACTORY), *mint(2, b"\x02" * 20))
    node.mine(event_log("stake", "LicenseRevoked", 9), transferred(9, FACTORY, ZERO, "stake"), *mint(3, b"\x03" * 20))
    node.mine(*license_minted(10, BOB), transferred(1, FACTORY, BOB, "manufacturer"), *mint(4, b"\x04" * 20))
    node.mine(transferred(10, BOB, ALICE, "stake"), *mint(5, b"\x05" * 20))
    indexer = await index(engine, node)
    statuses = [LicenseStatus(device(indexer, token)["manufacturer_license_at_mint"]).name for token in range(1, 6)]
    assert statuses == ["NONE", "VALID", "REVOKED", "VALID", "NONE"]
    unlicensed = EventFlag.UNLICENSED
    assert flags(indexer, Kind.DEVICE_MINTED) == [unlicensed, 0, unlicensed, 0, unlicensed]


@pytest.mark.parametrize(("whole", "without"), [(False, ()), (True, ("stake",)), (True, ("manufacturer", "stake"))])
async def test_a_license_that_may_have_been_missed_is_unknown(
    engine: Engine, node: FakeNode, whole: bool, without: tuple[str, ...]
) -> None:
    node.mine(*maker(1), *mint(1))
    indexer = await index(engine, node, whole=whole, without=without)
    assert device(indexer)["manufacturer_license_at_mint"] == LicenseStatus.UNKNOWN
    assert flags(indexer, Kind.DEVICE_MINTED) == [0]


async def test_a_mint_that_names_no_manufacturer_leaves_the_license_unknown(engine: Engine, node: FakeNode) -> None:
    old = "AftermarketDeviceNodeMinted(uint256 tokenId, address indexed device, address indexed owner)"
    minted = emitted_by(old, 1, UNIT, FACTORY, address=ADDRESS_OF["registry"])
    node.mine(*maker(1), transferred(1, ZERO, FACTORY), minted)
    indexer = await index(engine, node)
    row = device(indexer)
    assert (row["manufacturer_id"], row["address"]) == (None, UNIT)
    assert row["manufacturer_license_at_mint"] == LicenseStatus.UNKNOWN


async def test_a_reorg_takes_a_license_back_from_all_manufacturers_of_its_holder(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(*maker(1), *maker(2), *license_minted(9, FACTORY))
    indexer = await index(engine, node)
    before = indexer.rows("manufacturer_version")
    assert [row["grant_position"] is not None for row in before if row["valid_to"] == OPEN] == [True, True]
    node.mine(event_log("stake", "LicenseRevoked", 9))
    await indexer.catch_up()
    assert len(indexer.rows("manufacturer_version")) == len(before) + 2
    node.reorg(1)
    await indexer.catch_up()
    assert indexer.rows("manufacturer_version") == before
    assert indexer.rows("license_version")[-1]["revocation_position"] is None


async def test_a_reorg_takes_back_the_vehicle_that_it_orphaned(engine: Engine, node: FakeNode) -> None:
    node.mine(*mint(1))
    indexer = await index(engine, node)
    before = indexer.tables()
    node.mine(transferred(7, ZERO, ALICE, "vehicle"), event_log("registry", "AftermarketDevicePaired", 1, 7, ALICE))
    await indexer.catch_up()
    node.reorg(1, same_length=False)
    node.mine()
    await indexer.catch_up()
    after = indexer.tables()
    for table in ("vehicle", "vehicle_version", "device_version", "event"):
        assert after[table] == before[table]


async def test_a_vehicle_belongs_to_its_last_recipient_and_has_no_owner_once_burned(
    engine: Engine, node: FakeNode
) -> None:
    node.mine(transferred(7, ZERO, ALICE, "vehicle"), transferred(8, ZERO, ALICE, "vehicle"))
    node.mine(transferred(7, ALICE, BOB, "vehicle"))
    node.mine(transferred(8, ALICE, ZERO, "vehicle"), event_log("registry", "VehicleNodeBurned", 8, ALICE))
    indexer = await index(engine, node)
    assert [row["owner"] for row in indexer.rows("vehicle_version") if row["valid_to"] == OPEN] == [BOB, None]
