"""Reading logs by a profile: facts, unmapped logs and undecodable logs."""

from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from schema.events import (
    AccessGranted,
    Address,
    DeviceAttributeSet,
    DeviceMinted,
    DeviceTransferred,
    EndOfLifeRecorded,
    FirmwareUpdated,
    HardwareLicensed,
    Hash,
    ManufacturerLicensed,
    Seconds,
    TestKind,
    TestRecorded,
    UserAuthorized,
)
from schema.profile.errors import ProfileError
from schema.profile.model import ZeroExpiry, load_profile, parse_profile
from schema.profile.reader import UNMAPPED, Contracts, DecodedLog, Mapped, Reader, Undecodable, Unjoined, Unmapped
from tests.support.chain.abi_log import abi_log
from tests.support.chain.devchain import REPOSITORY

CERTIFICATE = Address(b"c" * 20)
TAG, REGISTRY, REGISTRY_2, ROLL, ELSEWHERE = (Address(letter * 20) for letter in (b"t", b"r", b"s", b"m", b"x"))
ALICE, BOB = Address(b"A" * 20), Address(b"B" * 20)

PALLET_TAG = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "pallet_tag.toml"))
PALLET = PALLET_TAG.compile({"tag": [TAG], "registry": [REGISTRY, REGISTRY_2], "roll": [ROLL]})
REFERENCE = load_profile("device-certificate").compile({"certificate": [CERTIFICATE]})

MINTED = (
    "CertificateMinted(uint256 indexed tokenId, address indexed device, uint256 indexed manufacturerId, "
    "uint256 hardwareLicenseId, string serialNumber, string imei, uint64 manufacturedAt, string firmwareVersion)"
)
BORN = "Born(string unit, bytes16 lot, uint128 tag, uint32 indexed maker, address radio, uint40 at)"
BORN_LATER = "Born(string unit, bytes16 lot, uint128 indexed tag, uint32 indexed maker, address radio, uint40 at)"
ENDED = "Ended(uint128 indexed tag, int8 how, string what)"
CHECKED = "Checked(uint8 grade, uint128 indexed tag, string indexed bench, bytes32[] papers)"
FLASHED = "Flashed(address thing, bytes32 image, uint128 indexed tag, string version, bool worked)"


def read(reader: Reader, contract: bytes, signature: str, *values: object, block: int = 1) -> DecodedLog | Unjoined:
    return reader.read(contract, *abi_log(signature, *values), block)


def fact_of(reading: DecodedLog | Unjoined) -> object:
    assert isinstance(reading, Mapped), reading
    return reading.fact


# The reference contract


def test_a_mint_of_the_reference_contract_is_decoded_with_all_its_fields() -> None:
    reading = read(REFERENCE, CERTIFICATE, MINTED, 2**256 - 1, ALICE, 3, 9, "SN-1", "490154203237518", 2**64 - 1, "")
    assert reading == Mapped(
        DeviceMinted(
            token_id=2**256 - 1,
            address=ALICE,
            manufacturer_id=3,
            hardware_license_id=9,
            serial_number="SN-1",
            imei="490154203237518",
            manufactured_at=Seconds(2**64 - 1),
            firmware_version="",
        ),
        Contracts(*[CERTIFICATE] * 6),
    )


def test_a_log_of_another_contract_or_event_is_unmapped() -> None:
    topics, data = abi_log(MINTED, 1, ALICE, 3, 9, "", "", 0, "")
    assert isinstance(REFERENCE.read(ELSEWHERE, topics, data, 1), Unmapped)
    approval = abi_log("Approval(address indexed a, address indexed b, uint256 indexed id)", ALICE, BOB, 1)
    assert isinstance(REFERENCE.read(CERTIFICATE, *approval, 1), Unmapped)
    assert isinstance(REFERENCE.read(CERTIFICATE, b"", b"", 1), Unmapped)


def test_a_matched_log_with_bad_bytes_is_undecodable_with_a_reason() -> None:
    topics, data = abi_log(MINTED, 1, ALICE, 3, 9, "SN", "", 0, "")
    assert REFERENCE.read(CERTIFICATE, topics, data[:-1], 1) == Undecodable(
        "CertificateMinted: firmwareVersion: the offset 256 at data byte 128 points outside the tails, "
        "which are bytes 160 to 287",
        DeviceMinted,
    )


def test_a_known_event_with_another_number_of_topics_is_undecodable() -> None:
    topics, data = abi_log("Transfer(address indexed from, address indexed to, uint256 amount)", ALICE, BOB, 5)
    assert REFERENCE.read(CERTIFICATE, topics, data, 1) == Undecodable(
        "Transfer: the log has 3 topics, the profile expects 4", DeviceTransferred
    )


def test_text_that_no_database_takes_is_cleaned() -> None:
    topics, data = abi_log(
        "CertificateCorrected(uint256 indexed tokenId, string attribute, bytes value)", 1, "a\0b", b"\xff!"
    )
    topic0 = keccak(text="CertificateCorrected(uint256,string,string)")
    assert fact_of(REFERENCE.read(CERTIFICATE, topic0 + topics[32:], data, 1)) == DeviceAttributeSet(
        token_id=1, attribute="a\N{REPLACEMENT CHARACTER}b", value="\N{REPLACEMENT CHARACTER}!"
    )


TOPIC0S = [rule.event.topic0 for rule in (*load_profile("device-certificate").rules, *PALLET_TAG.rules)]


@given(
    st.sampled_from([(REFERENCE, CERTIFICATE), (PALLET, REGISTRY), (PALLET, TAG), (PALLET, ROLL)]),
    st.sampled_from(TOPIC0S) | st.binary(max_size=32),
    st.lists(st.binary(min_size=32, max_size=32) | st.integers(0, 9).map(lambda n: n.to_bytes(32, "big")), max_size=4),
    st.binary(max_size=3),
    st.binary(max_size=300) | st.lists(st.integers(0, 288), max_size=9).map(lambda n: b"".join(map(word, n))),
    st.integers(0, 9999),
)
def test_decoding_never_raises(
    where: tuple[Reader, Address], topic0: bytes, words: list[bytes], tail: bytes, data: bytes, block: int
) -> None:
    reader, contract = where
    assert isinstance(reader.read(contract, topic0 + b"".join(words) + tail, data, block), DecodedLog)


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


# A certificate contract of another making, by its profile alone


def test_other_names_orders_and_contracts_are_read_by_a_profile_alone() -> None:
    assert read(PALLET, REGISTRY, BORN, "U-1", b"L" * 16, 5, 8, ALICE, 1_700_000_000) == Mapped(
        DeviceMinted(
            token_id=5,
            manufacturer_id=8,
            address=ALICE,
            serial_number="U-1",
            manufactured_at=Seconds(1_700_000_000),
            firmware_version="0.0.1",
        ),
        Contracts(
            device=TAG,
            manufacturer=ROLL,
            hardware_license=REGISTRY,
            vehicle=REGISTRY,
            license=REGISTRY,
            synthetic_device=REGISTRY,
        ),
    )
    moved = read(PALLET, TAG, "Moved(uint128 indexed tag, address to, address from)", 5, ALICE, BOB)
    assert moved == Mapped(DeviceTransferred(token_id=5, sender=BOB, recipient=ALICE), Contracts(*[TAG] * 6))
    listed = read(PALLET, ROLL, "Listed(string title, uint32 maker)", "Acme", 8)
    assert fact_of(listed) == ManufacturerLicensed(manufacturer_id=8, name="Acme")


def test_every_address_of_a_role_is_read_by_its_rules() -> None:
    for registry in (REGISTRY, REGISTRY_2):
        reading = read(PALLET, registry, BORN, "U-1", b"L" * 16, 5, 8, ALICE, 1)
        assert isinstance(reading, Mapped)
        assert reading.contracts.device == TAG


def test_two_shapes_of_one_event_are_distinguished_by_topics_and_blocks() -> None:
    early = ("U-1", b"L" * 16, 5, 8, ALICE, 1)
    assert isinstance(read(PALLET, REGISTRY, BORN, *early, block=4999), Mapped)
    assert isinstance(read(PALLET, REGISTRY, BORN_LATER, *early, block=5000), Mapped)
    assert read(PALLET, REGISTRY, BORN, *early, block=5000) == Undecodable(
        "Born: the log has 2 topics, the profile expects 3", DeviceMinted
    )


@pytest.mark.parametrize(
    ("grade", "bench", "kind", "passed"),
    [
        (1, "electric", TestKind.IN_CIRCUIT, True),
        (2, "shaker", TestKind.MECHANICAL, True),
        (3, "shaker", TestKind.MECHANICAL, False),
        (1, "eyes", TestKind.QUALITY, True),
    ],
)
def test_a_map_translates_numbers_and_hashed_texts(grade: int, bench: str, kind: TestKind, passed: bool) -> None:
    reading = read(PALLET, REGISTRY, CHECKED, grade, 5, bench, [b"p" * 32])
    assert fact_of(reading) == TestRecorded(token_id=5, kind=kind, passed=passed)


@pytest.mark.parametrize(("how", "process"), [(-1, 3), (0, 1), (3, 2), (7, 7)])
def test_a_number_that_a_map_does_not_list_is_unchanged(how: int, process: int) -> None:
    assert fact_of(read(PALLET, REGISTRY, ENDED, 5, how, "scrap")) == EndOfLifeRecorded(token_id=5, process=process)


def test_a_negative_number_is_undecodable() -> None:
    assert read(PALLET, REGISTRY, ENDED, 5, -2, "scrap") == Undecodable("Ended: how: -2 is negative", EndOfLifeRecorded)


def test_where_chooses_among_rules_for_one_event() -> None:
    note = DeviceAttributeSet(token_id=5, attribute="note", value="ended")
    assert fact_of(read(PALLET, REGISTRY, ENDED, 5, 0, "note")) == note
    assert isinstance(read(PALLET, REGISTRY, ENDED, 5, 0, "other"), Unmapped)
    assert fact_of(read(PALLET, REGISTRY, ENDED, 5, -2, "note")) == note


@pytest.mark.parametrize(("worked", "result"), [(True, 0), (False, 1)])
def test_where_excludes_logs_about_another_contract(worked: bool, result: int) -> None:
    flashed = read(PALLET, REGISTRY, FLASHED, TAG, b"h" * 32, 5, "2.0.0", worked)
    assert fact_of(flashed) == FirmwareUpdated(
        token_id=5, to_version="2.0.0", image_hash=Hash(b"h" * 32), result=result
    )
    assert isinstance(read(PALLET, REGISTRY, FLASHED, ELSEWHERE, b"h" * 32, 5, "2.0.0", worked), Unmapped)


def test_a_scope_is_the_decimal_number_of_a_right() -> None:
    warden = "Warden(uint128 indexed tag, uint16 indexed right, address who, uint256 until)"
    assert fact_of(read(PALLET, REGISTRY, warden, 5, 12, ALICE, 0)) == UserAuthorized(
        token_id=5, user=ALICE, expires_at=Seconds(0), scope="12", source="warden"
    )
    policy = PALLET_TAG.grant_policies["warden"]
    assert policy.zero_expiry is ZeroExpiry.REVOKES
    assert policy.expiry_inclusive
    assert policy.zero_permissions_revoke
    assert policy.voided_by_transfer


def test_a_profile_knows_the_public_contracts_of_a_network() -> None:
    contracts = PALLET_TAG.networks[137]
    assert [(contract.address.hex()[:6], contract.start_block) for contract in contracts["registry"]] == [
        ("fa8bec", 1000),
        ("3c152b", 2000),
    ]
    assert [contract.start_block for contract in contracts["tag"]] == [1200]


# Contracts


def test_a_rule_that_needs_an_unwatched_contract_does_not_apply() -> None:
    reader = PALLET_TAG.compile({"registry": [REGISTRY]})
    assert isinstance(read(reader, REGISTRY, BORN, "U-1", b"L" * 16, 5, 8, ALICE, 1), Unmapped)
    assert not reader.has_rule_for(DeviceMinted)
    assert reader.device_contracts == frozenset()


def test_an_id_of_an_unwatched_contract_stays_unknown() -> None:
    reader = PALLET_TAG.compile({"registry": [REGISTRY], "tag": [TAG], "roll": []})
    minted: Any = fact_of(read(reader, REGISTRY, BORN, "U-1", b"L" * 16, 5, 8, ALICE, 1))
    assert (minted.token_id, minted.manufacturer_id) == (5, None)


def test_a_reader_knows_the_contracts_of_its_devices_and_licenses() -> None:
    assert PALLET.device_contracts == {TAG}
    assert PALLET.emitters_of(DeviceMinted, TAG) == {REGISTRY, REGISTRY_2}
    assert PALLET.emitters_of(DeviceTransferred, TAG) == {TAG}
    assert PALLET.has_rule_for(ManufacturerLicensed, ROLL)
    assert not PALLET.has_rule_for(ManufacturerLicensed, REGISTRY)
    assert PALLET.has_rule_for(ManufacturerLicensed)
    assert not PALLET.has_rule_for(HardwareLicensed)
    assert REFERENCE.device_contracts == {CERTIFICATE}
    assert REFERENCE.has_rule_for(HardwareLicensed, CERTIFICATE)


@pytest.mark.parametrize(
    ("contracts", "refusal"),
    [
        ({"tags": [TAG]}, "unknown role 'tags' among the contracts; did you mean 'tag'?"),
        ({"tag": [b"short"]}, "the address 0x73686f7274 of 'tag' has 5 bytes, expected 20"),
        ({"tag": [TAG], "roll": [TAG]}, "has two roles, 'tag' and 'roll'"),
        (
            {"tag": [TAG, ELSEWHERE], "registry": [REGISTRY]},
            "'tag' has 2 addresses, so the contract of token_id is ambiguous",
        ),
    ],
)
def test_ambiguous_contracts_are_refused(contracts: dict[str, list[bytes]], refusal: str) -> None:
    with pytest.raises(ProfileError) as error:
        PALLET_TAG.compile(contracts)
    assert refusal in str(error.value)
    assert "pallet_tag.toml" in str(error.value)


def test_a_profile_is_read_again_from_its_stored_text() -> None:
    again = parse_profile(PALLET_TAG.text, "database")
    assert again.rules == PALLET_TAG.rules
    assert again.grant_policies == PALLET_TAG.grant_policies


SHARED = """
name = "shared"

[grants.contract]
zero_expiry = "never"
voided_by_transfer = ["vehicle"]

[[event]]
contract = "vehicle"
signature = "Transfer(address indexed from, address indexed to, uint256 indexed id)"
fact = "VehicleTransferred"
fields = { vehicle_id = "id", sender = "from", recipient = "to" }

[[event]]
contract = "rights"
signature = "Shared(address indexed asset, uint256 indexed id, address user)"
fact = "AccessGranted"
vehicle = "vehicle"
where = { asset = "@vehicle" }
fields = { vehicle_id = "id", user = "user" }

[[event]]
contract = "rights"
signature = "Shared(address indexed asset, uint256 indexed id, address user)"
fact = "AccessGranted"
where = { asset = "!@", id = 0 }
fields = { grantor = "asset", user = "user" }
"""


def test_a_grant_is_on_the_token_of_a_watched_contract_or_of_an_account_that_is_none() -> None:
    rights, vehicles = Address(b"\x01" * 20), Address(b"\x02" * 20)
    profile = parse_profile(SHARED, "shared.toml")
    reader = profile.compile({"rights": [rights], "vehicle": [vehicles]})

    def reading(asset: bytes, id: int) -> DecodedLog | Unjoined:
        topics, data = abi_log("Shared(address indexed asset, uint256 indexed id, address user)", asset, id, BOB)
        return reader.read(rights, topics, data, 1)

    on_vehicle = reading(vehicles, 7)
    assert isinstance(on_vehicle, Mapped)
    assert on_vehicle.fact == AccessGranted(vehicle_id=7, user=BOB)
    assert on_vehicle.contracts.vehicle == vehicles
    of_account = reading(ALICE, 0)
    assert isinstance(of_account, Mapped)
    assert of_account.fact == AccessGranted(grantor=ALICE, user=BOB)
    assert reading(ALICE, 7) is UNMAPPED
    assert reading(rights, 0) is UNMAPPED
    without_vehicles = profile.compile({"rights": [rights]})
    topics, data = abi_log("Shared(address indexed asset, uint256 indexed id, address user)", vehicles, 7, BOB)
    assert without_vehicles.read(rights, topics, data, 1) is UNMAPPED
