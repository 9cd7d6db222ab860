"""Queries of fleet clients about DIMO devices."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from schema.events import Kind
from tests.support.api.asking import Api
from tests.support.chain.fakechain import FakeNode
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
from tests.support.index.indexing import engine_of

CHAIN_ID = 137
LATER = b"\xad" * 20
SUCCESSOR = 6
AMBIGUOUS = "AMBIGUOUS"


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Device 1 is claimed and paired, 2 was reset, 3 is burned, 4 is of LoRa, 5 became 6; and there are 50 others."""
    url = f"sqlite:///{tmp_path_factory.mktemp('dimo') / 'api.db'}"
    node = FakeNode(chain_id=CHAIN_ID)
    node.mine(*maker(1), *license_minted(9, FACTORY), transferred(5, ZERO, BOB, "vehicle"))
    node.mine(
        event_log("registry", "VehicleNodeMinted", 1, 5, BOB),
        event_log("registry", "ManufacturerAttributeSet", 1, "a", "b"),
    )
    node.mine(*mint(1), attribute(1, "Serial", "SN-1"), attribute(1, "IMEI", "490154203237518"))
    node.mine(*transaction(transferred(1, FACTORY, ALICE), claim(1, ALICE)))
    node.mine(
        event_log("registry", "AftermarketDevicePaired", 1, 5, BOB),
        event_log("registry", "BeneficiarySet", DEVICES, 1, BOB),
    )
    node.mine(privilege(1, BOB, FAR), permission(1, BOB, 0b11_00_11_10_00, FAR))
    node.mine(*mint(2, b"\x02" * 20))
    node.mine(event_log("registry", "AftermarketDeviceAddressReset", 1, 2, LATER))
    node.mine(*mint(3, b"\x03" * 20), attribute(3, "Serial", "SN-1"))
    node.mine(*burn(3, FACTORY))
    node.mine(*mint(4, b"\x04" * 20), attribute(4, "DevEUI", "70B3D57ED0000001"))
    node.mine(*mint(5, b"\x05" * 20), attribute(5, "Serial", "SN-5"))
    reprovisioned = [*burn(5, FACTORY), *mint(SUCCESSOR, b"\x05" * 20), attribute(SUCCESSOR, "Serial", "SN-5")]
    node.mine(*transaction(*reprovisioned))
    for token in range(10, 60):
        node.mine(*mint(token, bytes([token]) * 20))
    node.mine(event_log("stake", "LicenseRevoked", 9), transferred(9, FACTORY, ZERO, "stake"))
    node.mine(transferred(5, BOB, ALICE, "vehicle"), event_log("registry", "VehicleNodeBurned", 5, BOB))
    node.mine(
        event_log("registry", "AftermarketDeviceUnpaired", 2, 0, BOB),
        event_log("registry", "AftermarketDeviceUnclaimed", 2),
    )
    node.mine(transferred(1, FACTORY, FACTORY, "manufacturer"))
    with engine_of(url) as engine:
        asyncio.run(index(engine, node))
    opened = Api(url)
    yield opened
    opened.engine.dispose()


LOOK_UP = "query ($by: DeviceBy!) { device(by: $by) { tokenId } }"


@pytest.mark.parametrize(
    ("by", "token"),
    [
        ({"tokenId": "1"}, "1"),
        ({"tokenDID": f"did:erc721:{CHAIN_ID}:{hex_of(DEVICES)}:1"}, "1"),
        ({"address": hex_of(UNIT)}, "1"),
        ({"address": hex_of(LATER)}, "2"),
        ({"everHadAddress": hex_of(b"\x02" * 20)}, "2"),
        ({"address": hex_of(b"\x02" * 20)}, None),
        ({"address": hex_of(b"\x05" * 20)}, str(SUCCESSOR)),
        ({"serialNumber": {"value": "SN-5", "manufacturerId": "1"}}, AMBIGUOUS),
        ({"imei": "49-015420-323751-8"}, "1"),
        ({"devEUI": "70B3D57ED0000001"}, "4"),
        ({"everHadAddress": hex_of(b"\x05" * 20)}, AMBIGUOUS),
        ({"tokenId": "9"}, None),
    ],
)
async def test_a_device_is_found_by_each_of_its_keys(api: Api, by: dict[str, Any], token: str | None) -> None:
    if token == AMBIGUOUS:
        error = await api.refusal(LOOK_UP, by=by)
        assert (error["extensions"]["reason"], len(error["extensions"]["candidates"])) == ("AMBIGUOUS", 2)
        return
    device = (await api.ask(LOOK_UP, by=by))["device"]
    assert device == (token and {"tokenId": token})


COUNT = "query ($filter: DeviceFilter!) { devices(first: 0, filterBy: $filter) { totalCount nodes { id } } }"


@pytest.mark.parametrize(
    ("filter", "count"),
    [
        ({"owner": {"eq": hex_of(ALICE)}}, 1),
        ({"beneficiary": {"eq": hex_of(BOB)}}, 1),
        ({"manufacturerId": {"eq": "1"}}, 56),
        ({"authorizedUser": {"user": {"eq": hex_of(BOB)}}}, 1),
        ({"pairedVehicleId": {"eq": "5"}}, 1),
        ({"claimedAt": {"isNull": False}}, 1),
        ({"endOfLifeStatus": {"eq": "DECOMMISSIONED"}}, 2),
        ({"manufacturerLicensedAtMint": {"eq": "PASS"}}, 56),
    ],
)
async def test_devices_are_counted_without_a_page(api: Api, filter: dict[str, Any], count: int) -> None:
    assert (await api.ask(COUNT, filter=filter))["devices"] == {"totalCount": count, "nodes": []}


async def test_a_page_holds_a_hundred(api: Api) -> None:
    page = (await api.ask("{ devices(first: 100) { nodes { tokenId } pageInfo { hasNextPage } } }"))["devices"]
    assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (56, False)


async def test_a_hundred_look_ups_go_in_one_request_and_one_bad_key_spoils_no_other(api: Api) -> None:
    keys = [f'd{n}: device(by: {{address: "{hex_of(bytes([n]) * 20)}"}}) {{ tokenId }}' for n in range(10, 109)]
    answer = await api.answer(f'{{ {" ".join(keys)} bad: device(by: {{tokenDID: "nothing"}}) {{ tokenId }} }}')
    assert answer["data"]["d10"] == {"tokenId": "10"}
    assert answer["data"]["d100"] is None
    assert answer["data"]["bad"] is None


DEVICE = """
query ($token: BigInt!) {
  device(by: {tokenId: $token}) {
    owner claimedAt provisionedAt beneficiary pairedAt
    pairedVehicle { tokenId tokenDID owner }
    predecessor { tokenId } successor { tokenId }
    manufacturer { tokenId tokenDID name owner license { status revokedAt grant { kind } revocation { kind } } }
    manufacturerLicenseAtMint { status grant { kind } }
    endOfLife { status steps { totalCount } }
    hardwareLicense { id } manufacturedAt initialFirmware firmware { version } inCircuitTests { totalCount }
    authorizedUsers { nodes { source permissions permissionIds agreementURI } }
  }
}
"""


async def test_a_device_has_its_claim_vehicle_manufacturer_and_grants(api: Api) -> None:
    device = (await api.ask(DEVICE, token="1"))["device"]
    assert device["owner"].lower() == hex_of(ALICE)
    assert device["claimedAt"] == device["provisionedAt"] is not None
    assert device["beneficiary"].lower() == hex_of(BOB)
    assert device["pairedVehicle"]["tokenId"] == "5"
    assert device["pairedVehicle"]["tokenDID"].lower() == f"did:erc721:{CHAIN_ID}:{hex_of(ADDRESS_OF['vehicle'])}:5"
    assert device["pairedVehicle"]["owner"].lower() == hex_of(ALICE)
    maker = device["manufacturer"]
    assert (maker["tokenId"], maker["name"]) == ("1", "Maker 1")
    assert maker["tokenDID"].lower() == f"did:erc721:{CHAIN_ID}:{hex_of(ADDRESS_OF['manufacturer'])}:1"
    assert maker["license"]["status"] == "REVOKED"
    assert maker["license"]["grant"] == {"kind": "LICENSE_MINTED"}
    assert maker["license"]["revocation"] == {"kind": "LICENSE_REVOKED"}
    assert device["manufacturerLicenseAtMint"] == {"status": "VALID", "grant": {"kind": "LICENSE_MINTED"}}
    assert device["authorizedUsers"]["nodes"] == [
        {"source": "privilege:2", "permissions": None, "permissionIds": [2], "agreementURI": None},
        # 10 is no 11, and permission 0 is unused
        {"source": "sacd", "permissions": "824", "permissionIds": [2, 4], "agreementURI": "ipfs://agreement"},
    ]


async def test_what_the_chain_does_not_carry_is_null_and_never_invented(api: Api) -> None:
    device = (await api.ask(DEVICE, token="1"))["device"]
    for name in ("hardwareLicense", "manufacturedAt", "initialFirmware", "firmware"):
        assert device[name] is None
    assert device["inCircuitTests"] == {"totalCount": 0}


async def test_a_reprovisioned_device_names_the_one_before_and_that_one_it(api: Api) -> None:
    old, new = [(await api.ask(DEVICE, token=str(token)))["device"] for token in (5, SUCCESSOR)]
    assert (old["owner"], old["endOfLife"]["status"]) == (None, "DECOMMISSIONED")
    assert (old["predecessor"], old["successor"]) == (None, {"tokenId": str(SUCCESSOR)})
    assert (new["predecessor"], new["successor"]) == ({"tokenId": "5"}, None)


SOURCES = """
query ($token: BigInt!, $field: DeviceField!) {
  device(by: {tokenId: $token}) { sourceOf(field: $field) { origin reason event { kind } } }
}
"""


@pytest.mark.parametrize(
    ("token", "field", "origin", "kind"),
    [
        (1, "OWNER", "LOG", "DEVICE_TRANSFERRED"),
        (1, "SERIAL_NUMBER", "LOG", "DEVICE_ATTRIBUTE_SET"),
        (1, "ADDRESS", "LOG", "DEVICE_MINTED"),
        (2, "ADDRESS", "LOG", "FACTORY_RESET"),
        (1, "CLAIMED_AT", "LOG", "DEVICE_CLAIMED"),
        (1, "PROVISIONED_AT", "DERIVED", "DEVICE_CLAIMED"),
        (2, "PROVISIONED_AT", "NOT_ON_CHAIN", None),
        (1, "PAIRED_VEHICLE", "LOG", "DEVICE_PAIRED"),
        (2, "PAIRED_VEHICLE", "LOG", "DEVICE_UNPAIRED"),
        (3, "PAIRED_VEHICLE", "LOG", "DEVICE_TRANSFERRED"),
        (1, "BENEFICIARY", "LOG", "BENEFICIARY_SET"),
        (1, "MANUFACTURER", "LOG", "DEVICE_MINTED"),
        (1, "MINTED_AT", "LOG", "DEVICE_MINTED"),
        (1, "MANUFACTURED_AT", "NOT_ON_CHAIN", None),
        (1, "FIRMWARE", "NOT_ON_CHAIN", None),
        (1, "INITIAL_FIRMWARE", "NOT_ON_CHAIN", None),
        (1, "HARDWARE_LICENSE", "NOT_ON_CHAIN", None),
        (1, "END_OF_LIFE", "NOT_ON_CHAIN", None),
        (3, "END_OF_LIFE", "DERIVED", "DEVICE_TRANSFERRED"),
        (4, "DEV_EUI", "LOG", "DEVICE_ATTRIBUTE_SET"),
        (4, "IMEI", "NOT_ON_CHAIN", None),
        (4, "HARDWARE_REVISION", "NOT_ON_CHAIN", None),
    ],
)
async def test_each_value_names_its_source(api: Api, token: int, field: str, origin: str, kind: str | None) -> None:
    source = (await api.ask(SOURCES, token=str(token), field=field))["device"]["sourceOf"]
    assert (source["origin"], source["event"]) == (origin, kind and {"kind": kind})
    assert source["reason"].endswith(".")


PROVENANCE = """
query ($token: BigInt!) {
  device(by: {tokenId: $token}) {
    provenance {
      manufacturerLicensedAtMint { verdict } hardwareLicensedAtMint { verdict } imeiUnique { verdict }
      serialUniqueForManufacturer { verdict } addressUnique { verdict }
      provisionedAfterQuality { verdict reason evidence { kind } } noActivityAfterEndOfLife { verdict }
    }
  }
}
"""


async def test_provenance_rests_on_what_is_there(api: Api) -> None:
    checks = (await api.ask(PROVENANCE, token="1"))["device"]["provenance"]
    claimed = checks.pop("provisionedAfterQuality")
    assert (claimed["verdict"], claimed["evidence"]) == ("UNKNOWN", [{"kind": "DEVICE_CLAIMED"}])
    assert {name: check["verdict"] for name, check in checks.items()} == {
        "manufacturerLicensedAtMint": "PASS",
        "hardwareLicensedAtMint": "UNKNOWN",
        "imeiUnique": "PASS",
        "serialUniqueForManufacturer": "FAIL",
        "addressUnique": "PASS",
        "noActivityAfterEndOfLife": "NOT_APPLICABLE",
    }


async def test_a_reprovisioned_device_is_no_duplicate_of_its_predecessor(api: Api) -> None:
    for token in (5, SUCCESSOR):
        checks = (await api.ask(PROVENANCE, token=str(token)))["device"]["provenance"]
        assert checks["serialUniqueForManufacturer"]["verdict"] == checks["addressUnique"]["verdict"] == "PASS"


HISTORY = """
{
  lifecycleEvents(first: 100, filterBy: {kind: {notIn: [DEVICE_MINTED, DEVICE_TRANSFERRED, DEVICE_ATTRIBUTE_SET]}}) {
    nodes {
      kind action bizStep disposition
      ... on DeviceClaimed { claimant device { tokenId } }
      ... on DeviceUnclaimed { claimant }
      ... on DevicePaired { vehicle { tokenId } }
      ... on DeviceUnpaired { vehicle { tokenId } }
      ... on DeviceBurned { formerOwner }
      ... on BeneficiarySet { beneficiary }
      ... on ManufacturerMinted { name manufacturer { tokenId } }
      ... on ManufacturerTransferred { sender recipient manufacturer { tokenId } }
      ... on ManufacturerAttributeSet { attribute value manufacturer { tokenId } }
      ... on LicenseMinted { licenseId account licensedManufacturer { tokenId } }
      ... on LicenseTransferred { licenseId sender recipient licensedManufacturer { tokenId } }
      ... on LicenseRevoked { licenseId licensedManufacturer { tokenId } }
      ... on VehicleMinted { owner vehicle { tokenId } }
      ... on VehicleTransferred { sender recipient vehicle { tokenId } }
      ... on VehicleBurned { formerOwner vehicle { tokenId } }
      ... on FactoryReset { address }
    }
  }
}
"""


async def test_every_kind_of_event_is_returned_with_its_subject(api: Api) -> None:
    nodes = (await api.ask(HISTORY))["lifecycleEvents"]["nodes"]
    first: dict[str, Any] = {}
    for node in nodes:
        first.setdefault(node["kind"], node)
    assert {kind.name for kind in Kind if Kind.DEVICE_CLAIMED <= kind <= Kind.VEHICLE_BURNED} <= first.keys()
    assert first["DEVICE_CLAIMED"]["claimant"].lower() == hex_of(ALICE)
    assert first["DEVICE_CLAIMED"]["device"] == {"tokenId": "1"}
    assert first["DEVICE_PAIRED"]["vehicle"] == {"tokenId": "5"}
    assert first["DEVICE_PAIRED"]["bizStep"] == "installing"
    assert first["DEVICE_UNPAIRED"]["vehicle"] is None
    assert first["DEVICE_BURNED"]["action"] == "DELETE"
    assert first["MANUFACTURER_MINTED"]["manufacturer"] == {"tokenId": "1"}
    assert (first["LICENSE_MINTED"]["licenseId"], first["LICENSE_MINTED"]["account"].lower()) == ("9", hex_of(FACTORY))
    assert first["LICENSE_REVOKED"]["licensedManufacturer"] == {"tokenId": "1"}
    assert first["LICENSE_REVOKED"]["action"] is None
    assert first["VEHICLE_BURNED"]["vehicle"] == {"tokenId": "5"}
    assert first["FACTORY_RESET"]["address"].lower() == hex_of(LATER)


async def test_the_action_of_a_burn_is_found_by_filter(api: Api) -> None:
    query = "{ lifecycleEvents(filterBy: {action: {eq: DELETE}}) { nodes { kind action } } }"
    nodes = (await api.ask(query))["lifecycleEvents"]["nodes"]
    assert {node["kind"] for node in nodes} == {"DEVICE_TRANSFERRED", "DEVICE_BURNED"}
    assert {node["action"] for node in nodes} == {"DELETE"}
