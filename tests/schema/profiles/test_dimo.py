"""The DIMO profile: every event shape that its contracts emitted, and the events that it leaves undecoded."""

from typing import Any

import pytest

from schema.abi.signature import parse_event
from schema.events import (
    ZERO_ADDRESS,
    AccessGranted,
    AccessRevoked,
    Address,
    BeneficiarySet,
    DeviceAttributeSet,
    DeviceBurned,
    DeviceClaimed,
    DeviceMinted,
    DevicePaired,
    DeviceTransferred,
    DeviceUnclaimed,
    DeviceUnpaired,
    Fact,
    FactoryReset,
    LicenseMinted,
    LicenseRevoked,
    LicenseTransferred,
    ManufacturerAttributeSet,
    ManufacturerMinted,
    ManufacturerTransferred,
    Seconds,
    SyntheticDeviceAttributeSet,
    SyntheticDeviceBurned,
    SyntheticDeviceMinted,
    SyntheticDeviceTransferred,
    UserAuthorized,
    UserRevoked,
    VehicleAttributeSet,
    VehicleBurned,
    VehicleDefinitionSet,
    VehicleMinted,
    VehicleTransferred,
)
from schema.profile.model import load_profile
from schema.profile.reader import UNMAPPED, DecodedLog, Mapped, Undecodable, Unjoined
from tests.support.chain.abi_log import abi_log

PROFILE = load_profile("dimo")
ROLES = ("registry", "manufacturer", "aftermarket_device", "synthetic_device", "vehicle", "sacd", "stake")
ADDRESS_OF = {role: Address(bytes([number + 1] * 20)) for number, role in enumerate(ROLES)}
READER = PROFILE.compile({role: [address] for role, address in ADDRESS_OF.items()})
DEVICES, VEHICLES = ADDRESS_OF["aftermarket_device"], ADDRESS_OF["vehicle"]
ALICE, BOB, UNIT = Address(b"\xa1" * 20), Address(b"\xb0" * 20), Address(b"\xde" * 20)


def read(role: str, signature: str, *values: Any) -> DecodedLog | Unjoined:
    topics, data = abi_log(signature, *values)
    return READER.read(ADDRESS_OF[role], topics, data, 1)


NAMED: dict[str, Any] = {
    "vehicle": {"vehicle_id": 5},
    "synthetic_device": {"synthetic_device_id": 5},
    "manufacturer": {"manufacturer_id": 5},
}
"""What a grant on token 5 of each role names."""

ASSETS: list[tuple[bytes, int, dict[str, Any]]] = [
    *((ADDRESS_OF[role], 5, named) for role, named in NAMED.items()),
    (ALICE, 0, {"grantor": ALICE}),
]
"""The asset and the token of permissions, and what they name."""

SHAPES: list[tuple[str, str, tuple[Any, ...], Fact]] = [
    (
        "aftermarket_device",
        "Transfer(address indexed a, address indexed b, uint256 indexed c)",
        (ALICE, BOB, 5),
        DeviceTransferred(token_id=5, sender=ALICE, recipient=BOB),
    ),
    (
        "manufacturer",
        "Transfer(address indexed a, address indexed b, uint256 indexed c)",
        (ALICE, BOB, 5),
        ManufacturerTransferred(manufacturer_id=5, sender=ALICE, recipient=BOB),
    ),
    (
        "vehicle",
        "Transfer(address indexed a, address indexed b, uint256 indexed c)",
        (ALICE, BOB, 5),
        VehicleTransferred(vehicle_id=5, sender=ALICE, recipient=BOB),
    ),
    (
        "stake",
        "Transfer(address indexed a, address indexed b, uint256 indexed c)",
        (ALICE, BOB, 5),
        LicenseTransferred(license_id=5, sender=ALICE, recipient=BOB),
    ),
    (
        "registry",
        "AftermarketDeviceNodeMinted(uint256 indexed m, uint256 t, address indexed d, address indexed o)",
        (3, 5, UNIT, ALICE),
        DeviceMinted(token_id=5, address=UNIT, manufacturer_id=3),
    ),
    (
        "registry",
        "AftermarketDeviceNodeMinted(uint256 t, address indexed d, address indexed o)",
        (5, UNIT, ALICE),
        DeviceMinted(token_id=5, address=UNIT),
    ),
    (
        "registry",
        "AftermarketDeviceNodeBurned(uint256 indexed t, address indexed o)",
        (5, ALICE),
        DeviceBurned(token_id=5, former_owner=ALICE),
    ),
    (
        "registry",
        "AftermarketDeviceNodeBurnedDevAdmin(uint256 indexed t, address indexed o)",
        (5, ALICE),
        DeviceBurned(token_id=5, former_owner=ALICE),
    ),
    (
        "registry",
        "AftermarketDeviceAttributeSet(uint256 t, string a, string i)",
        (5, "Serial", "SN-5"),
        DeviceAttributeSet(token_id=5, attribute="serialNumber", value="SN-5"),
    ),
    (
        "registry",
        "AftermarketDeviceAttributeSet(uint256 t, string a, string i)",
        (5, "HardwareRevision", "7.2"),
        DeviceAttributeSet(token_id=5, attribute="hardwareRevision", value="7.2"),
    ),
    (
        "registry",
        "AftermarketDeviceAttributeSet(uint256 indexed t, string a, string i)",
        (5, "IMEI", ""),
        DeviceAttributeSet(token_id=5, attribute="imei", value=""),
    ),
    (
        "registry",
        "AftermarketDeviceAttributeSetDevAdmin(uint256 indexed t, string a, string i)",
        (5, "DevEUI", "70B3D57ED0000001"),
        DeviceAttributeSet(token_id=5, attribute="devEUI", value="70B3D57ED0000001"),
    ),
    (
        "registry",
        "AftermarketDeviceAttributeSet(uint256 t, string a, string i)",
        (5, "DefinitionURI", "ipfs://d"),
        DeviceAttributeSet(token_id=5, attribute="DefinitionURI", value="ipfs://d"),
    ),
    (
        "registry",
        "AftermarketDeviceAddressReset(uint256 indexed m, uint256 indexed t, address indexed d)",
        (3, 5, UNIT),
        FactoryReset(token_id=5, address=UNIT),
    ),
    (
        "registry",
        "AftermarketDeviceClaimed(uint256 t, address indexed o)",
        (5, ALICE),
        DeviceClaimed(token_id=5, claimant=ALICE),
    ),
    ("registry", "AftermarketDeviceUnclaimed(uint256 indexed t)", (5,), DeviceUnclaimed(token_id=5)),
    (
        "registry",
        "AftermarketDeviceUnclaimed(uint256 indexed t, address indexed o)",
        (5, ALICE),
        DeviceUnclaimed(token_id=5, claimant=ALICE),
    ),
    ("registry", "AftermarketDeviceUnclaimedDevAdmin(uint256 indexed t)", (5,), DeviceUnclaimed(token_id=5)),
    (
        "registry",
        "AftermarketDevicePaired(uint256 t, uint256 v, address indexed o)",
        (5, 6, ALICE),
        DevicePaired(token_id=5, vehicle_id=6),
    ),
    (
        "registry",
        "AftermarketDeviceUnpaired(uint256 t, uint256 v, address indexed o)",
        (5, 6, ALICE),
        DeviceUnpaired(token_id=5, vehicle_id=6),
    ),
    (
        "registry",
        "AftermarketDeviceUnpaired(uint256 indexed t, uint256 indexed v, address indexed o)",
        (5, 6, ALICE),
        DeviceUnpaired(token_id=5, vehicle_id=6),
    ),
    (
        "registry",
        "AftermarketDeviceUnpairedDevAdmin(uint256 indexed t, uint256 indexed v, address indexed o)",
        (5, 0, ALICE),
        DeviceUnpaired(token_id=5, vehicle_id=0),
    ),
    (
        "registry",
        "BeneficiarySet(address indexed a, uint256 indexed t, address indexed b)",
        (DEVICES, 5, BOB),
        BeneficiarySet(token_id=5, beneficiary=BOB),
    ),
    (
        "aftermarket_device",
        "PrivilegeSet(uint256 indexed t, uint256 v, uint256 indexed p, address indexed u, uint256 e)",
        (5, 1, 2, BOB, 99),
        UserAuthorized(token_id=5, user=BOB, expires_at=Seconds(99), source="privilege", scope="2"),
    ),
    (
        "aftermarket_device",
        "PrivilegeSet(uint256 t, uint256 v, uint256 p, address indexed u, uint256 e)",
        (5, 1, 2, BOB, 0),
        UserAuthorized(token_id=5, user=BOB, expires_at=Seconds(0), source="privilege", scope="2"),
    ),
    (
        "sacd",
        "PermissionsSet(address indexed a, uint256 indexed t, uint256 p, address indexed g, uint256 e, string s)",
        (DEVICES, 5, 0b1100, BOB, 99, "ipfs://s"),
        UserAuthorized(
            token_id=5,
            user=BOB,
            permissions=12,
            expires_at=Seconds(99),
            source="sacd",
            agreement_uri="ipfs://s",
        ),
    ),
    (
        "sacd",
        "PermissionsSet(address indexed a, uint256 indexed t, uint256 p, address indexed g, uint256 e, uint256 i, "
        "string s)",
        (DEVICES, 5, 0, BOB, 99, 4, ""),
        UserAuthorized(token_id=5, user=BOB, permissions=0, expires_at=Seconds(99), source="sacd", agreement_uri=""),
    ),
    (
        "sacd",
        "PermissionsRenounced(address indexed a, uint256 indexed t, address indexed g)",
        (DEVICES, 5, BOB),
        UserRevoked(token_id=5, user=BOB, source="sacd"),
    ),
    (
        "registry",
        "ManufacturerNodeMinted(string n, uint256 t, address indexed o)",
        ("Acme", 5, ALICE),
        ManufacturerMinted(manufacturer_id=5, name="Acme"),
    ),
    (
        "registry",
        "ManufacturerNodeMinted(uint256 t, address indexed o)",
        (5, ALICE),
        ManufacturerMinted(manufacturer_id=5),
    ),
    (
        "registry",
        "ManufacturerAttributeSet(uint256 t, string a, string i)",
        (5, "Site", "acme.example"),
        ManufacturerAttributeSet(manufacturer_id=5, attribute="Site", value="acme.example"),
    ),
    (
        "stake",
        "LicenseMinted(address indexed u, uint256 t)",
        (ALICE, 5),
        LicenseMinted(license_id=5, account=ALICE),
    ),
    ("stake", "LicenseRevoked(uint256 t)", (5,), LicenseRevoked(license_id=5)),
    (
        "registry",
        "VehicleNodeMinted(uint256 m, uint256 t, address o)",
        (3, 5, ALICE),
        VehicleMinted(vehicle_id=5, owner=ALICE, manufacturer_id=3),
    ),
    (
        "registry",
        "VehicleNodeMinted(uint256 t, address o)",
        (5, ALICE),
        VehicleMinted(vehicle_id=5, owner=ALICE),
    ),
    (
        "registry",
        "VehicleNodeMintedWithDeviceDefinition(uint256 indexed m, uint256 indexed t, address indexed o, string d)",
        (3, 5, ALICE, "ford_focus_2020"),
        VehicleMinted(vehicle_id=5, owner=ALICE, manufacturer_id=3, definition_id="ford_focus_2020"),
    ),
    (
        "registry",
        "VehicleNodeBurned(uint256 indexed t, address indexed o)",
        (5, ALICE),
        VehicleBurned(vehicle_id=5, former_owner=ALICE),
    ),
    (
        "registry",
        "VehicleNodeBurnedDevAdmin(uint256 indexed t, address indexed o)",
        (5, ALICE),
        VehicleBurned(vehicle_id=5, former_owner=ALICE),
    ),
    (
        "registry",
        "DeviceDefinitionIdSet(uint256 indexed t, string d)",
        (5, "kia_niro_2021"),
        VehicleDefinitionSet(vehicle_id=5, definition_id="kia_niro_2021"),
    ),
    *(
        ("registry", signature, (5, "Make", "Ford"), VehicleAttributeSet(vehicle_id=5, attribute="Make", value="Ford"))
        for signature in (
            "VehicleAttributeSet(uint256 t, string a, string i)",
            "VehicleAttributeSet(uint256 indexed t, string a, string i)",
            "VehicleAttributeSetDevAdmin(uint256 indexed t, string a, string i)",
        )
    ),
    (
        "synthetic_device",
        "Transfer(address indexed a, address indexed b, uint256 indexed c)",
        (ALICE, BOB, 7),
        SyntheticDeviceTransferred(synthetic_device_id=7, sender=ALICE, recipient=BOB),
    ),
    (
        "registry",
        "SyntheticDeviceNodeMinted(uint256 c, uint256 t, uint256 indexed v, address indexed d, address indexed o)",
        (2, 7, 5, UNIT, ALICE),
        SyntheticDeviceMinted(synthetic_device_id=7, vehicle_id=5, connection_id=2, address=UNIT, owner=ALICE),
    ),
    *(
        (
            "registry",
            f"SyntheticDeviceNodeBurned{suffix}(uint256 indexed t, uint256 indexed v, address indexed o)",
            (7, 5, ALICE),
            SyntheticDeviceBurned(synthetic_device_id=7, vehicle_id=5, former_owner=ALICE),
        )
        for suffix in ("", "DevAdmin")
    ),
    *(
        (
            "registry",
            f"SyntheticDeviceAttributeSet{suffix}(uint256 indexed t, string a, string i)",
            (7, "ExternalId", "x"),
            SyntheticDeviceAttributeSet(synthetic_device_id=7, attribute="ExternalId", value="x"),
        )
        for suffix in ("", "DevAdmin")
    ),
    *(
        (
            role,
            f"PrivilegeSet(uint256{indexed} t, uint256 v, uint256{indexed} p, address indexed u, uint256 e)",
            (5, 1, 2, BOB, 99),
            AccessGranted(**named, user=BOB, expires_at=Seconds(99), source="privilege", scope="2"),
        )
        for role, named in NAMED.items()
        for indexed in ("", " indexed")
        if indexed or role != "synthetic_device"
    ),
    *(
        (
            "sacd",
            f"PermissionsSet(address indexed a, uint256 indexed t, uint256 p, address indexed g, uint256 e, {rest})",
            (asset, token, 12, BOB, 99, *template, "ipfs://s"),
            AccessGranted(
                **named, user=BOB, permissions=12, expires_at=Seconds(99), source="sacd", agreement_uri="ipfs://s"
            ),
        )
        for asset, token, named in ASSETS
        for rest, template in (("string s", ()), ("uint256 i, string s", (4,)))
    ),
    *(
        (
            "sacd",
            "PermissionsRenounced(address indexed a, uint256 indexed t, address indexed g)",
            (asset, token, BOB),
            AccessRevoked(**named, user=BOB, source="sacd"),
        )
        for asset, token, named in ASSETS
    ),
]


@pytest.mark.parametrize(("role", "signature", "values", "fact"), SHAPES)
def test_every_shape_is_read_as_its_fact(role: str, signature: str, values: tuple[Any, ...], fact: Fact) -> None:
    reading = read(role, signature, *values)
    assert isinstance(reading, Mapped)
    assert reading.fact == fact
    if hasattr(fact, "token_id"):
        assert reading.contracts.device == DEVICES
    if hasattr(fact, "manufacturer_id"):
        assert reading.contracts.manufacturer == ADDRESS_OF["manufacturer"] or fact.manufacturer_id is None
    if hasattr(fact, "vehicle_id"):
        assert reading.contracts.vehicle == VEHICLES or fact.vehicle_id is None


def test_the_vectors_cover_every_rule() -> None:
    read_shapes = {(role, parse_event(signature).topic0, topic_count(signature)) for role, signature, _, _ in SHAPES}
    assert read_shapes == {(rule.contract, rule.event.topic0, rule.event.topic_count) for rule in PROFILE.rules}


def topic_count(signature: str) -> int:
    return parse_event(signature).topic_count


LEFT_RAW: list[tuple[str, str, tuple[Any, ...]]] = [
    (
        "registry",
        "BeneficiarySet(address indexed a, uint256 indexed t, address indexed b)",
        (VEHICLES, 5, BOB),
    ),
    (
        "sacd",
        "PermissionsSet(address indexed a, uint256 indexed t, uint256 p, address indexed g, uint256 e, uint256 i, "
        "string s)",
        (ALICE, 5, 12, BOB, 99, 0, ""),
    ),
    (
        "sacd",
        "PermissionsSet(address indexed a, uint256 indexed t, uint256 p, address indexed g, uint256 e, string s)",
        (ADDRESS_OF["stake"], 0, 12, BOB, 99, ""),
    ),
    (
        "sacd",
        "PermissionsRenounced(address indexed a, uint256 indexed t, address indexed g)",
        (ADDRESS_OF["stake"], 5, BOB),
    ),
    (
        "registry",
        "AftermarketDeviceTransferred(uint256 indexed t, address indexed a, address indexed b)",
        (5, ALICE, BOB),
    ),
    (
        "registry",
        "AftermarketDeviceTransferredDevAdmin(uint256 indexed t, address indexed a, address indexed b)",
        (5, ALICE, BOB),
    ),
    ("registry", "AftermarketDeviceAttributeAdded(string a)", ("Serial",)),
    ("registry", "VehicleStorageNodeIdSet(uint256 indexed v, uint256 indexed s)", (5, 6)),
    (
        "aftermarket_device",
        "PrivilegeCreated(uint256 indexed p, bool enabled, string description)",
        (1, True, "Factory reset"),
    ),
]


@pytest.mark.parametrize(("role", "signature", "values"), LEFT_RAW)
def test_logs_about_no_token_that_is_served_are_unmapped(role: str, signature: str, values: tuple[Any, ...]) -> None:
    assert read(role, signature, *values) is UNMAPPED


def test_a_known_event_in_an_unknown_shape_is_undecodable() -> None:
    reading = read(
        "registry", "AftermarketDevicePaired(uint256 indexed t, uint256 indexed v, address indexed o)", 5, 6, BOB
    )
    assert isinstance(reading, Undecodable)
    assert "4 topics" in reading.reason


@pytest.mark.parametrize(
    ("signature", "start", "end"),
    [
        ("AftermarketDeviceNodeMinted(uint256 t, address indexed d, address indexed o)", "476b4c98", "dfe3"),
        ("ManufacturerNodeMinted(uint256 t, address indexed o)", "8f9181f0", "c420"),
        ("VehicleNodeMinted(uint256 t, address o)", "09ec7fe5", "c32f"),
        ("PrivilegeSet(uint256 t, uint256 v, uint256 p, address indexed u, uint256 e)", "61a24679", ""),
        ("AftermarketDeviceUnpaired(uint256 indexed t, uint256 indexed v, address indexed o)", "d9135724", ""),
        ("AftermarketDeviceAttributeSet(uint256 indexed t, string a, string i)", "977fe0dd", ""),
    ],
)
def test_the_older_shapes_have_the_topics_that_the_chain_shows(signature: str, start: str, end: str) -> None:
    topic0 = parse_event(signature).topic0.hex()
    assert topic0.startswith(start)
    assert topic0.endswith(end)


def test_a_role_without_an_address_is_not_watched_and_its_ids_stay_unknown() -> None:
    reader = PROFILE.compile({"registry": [ADDRESS_OF["registry"]], "aftermarket_device": [DEVICES]})
    minted = abi_log(SHAPES[4][1], *SHAPES[4][2])
    reading = reader.read(ADDRESS_OF["registry"], *minted, 1)
    assert isinstance(reading, Mapped)
    assert reading.fact == DeviceMinted(token_id=5, address=UNIT)
    paired = abi_log("AftermarketDevicePaired(uint256 t, uint256 v, address indexed o)", 5, 6, ALICE)
    assert reader.read(ADDRESS_OF["registry"], *paired, 1) is UNMAPPED


@pytest.mark.parametrize("chain_id", [137, 80002])
def test_the_public_networks_have_all_seven_contracts(chain_id: int) -> None:
    contracts = PROFILE.networks[chain_id]
    assert set(contracts) == set(ROLES)
    assert len({contract.address for addresses in contracts.values() for contract in addresses}) == len(ROLES)
    assert ZERO_ADDRESS not in {contract.address for addresses in contracts.values() for contract in addresses}
