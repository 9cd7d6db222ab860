"""The profile `ioid`: what the logs of a registration, and of the events that it leaves out, become."""

from typing import NamedTuple

import pytest

from schema.events import Address, DeviceAttributeSet, DeviceMinted, DeviceTransferred
from schema.profile.model import load_profile
from schema.profile.reader import UNMAPPED, Mapped
from tests.support.chain.abi_log import abi_log

PROFILE = load_profile("ioid")
NETWORK = PROFILE.networks[4689]
REGISTRY, IOID = (NETWORK[role][0].address for role in ("registry", "ioid"))
READER = PROFILE.compile({"registry": [REGISTRY], "ioid": [IOID]})
DEVICE, OWNER, WALLET = (Address(bytes([number] * 20)) for number in (1, 2, 3))
DID = f"did:io:0x{DEVICE.hex()}"


class Emitted(NamedTuple):
    address: bytes
    topics: bytes
    data: bytes
    transaction_index: int = 0


def emitted(contract: bytes, signature: str, *values: object) -> Emitted:
    return Emitted(contract, *abi_log(signature, *values))


NEW_DEVICE = emitted(
    REGISTRY, "NewDevice(address indexed device, address owner, bytes32 hash)", DEVICE, OWNER, bytes(32)
)
NEW_DEVICE_WITH_URI = emitted(
    REGISTRY,
    "NewDevice(address indexed device, address owner, bytes32 hash, string uri)",
    DEVICE,
    OWNER,
    bytes(32),
    "ipfs://document",
)


@pytest.mark.parametrize("new_device", [NEW_DEVICE, NEW_DEVICE_WITH_URI])
def test_a_registration_is_a_mint_with_owner_address_and_did(new_device: Emitted) -> None:
    created = "CreateIoID(address indexed owner, uint256 id, address wallet, string did)"
    logs = [
        emitted(IOID, "Transfer(address indexed a, address indexed b, uint256 indexed id)", bytes(20), OWNER, 7),
        emitted(IOID, created, OWNER, 7, WALLET, DID),
        new_device,
    ]
    readings = READER.read_block(logs, 1)
    assert [reading.fact for reading in readings if isinstance(reading, Mapped)] == [
        DeviceTransferred(token_id=7, sender=Address(bytes(20)), recipient=OWNER),
        DeviceAttributeSet(token_id=7, attribute="did", value=DID),
        DeviceMinted(token_id=7, address=DEVICE),
    ]
    assert {reading.contracts.device for reading in readings if isinstance(reading, Mapped)} == {IOID}


def test_what_names_a_device_by_its_address_alone_is_unmapped() -> None:
    removed = emitted(REGISTRY, "RemoveDevice(address indexed device, address owner)", DEVICE, OWNER)
    assert READER.read_block([removed], 1) == [UNMAPPED]


def test_the_profile_says_that_its_addresses_are_unverified() -> None:
    assert "ADDRESSES UNVERIFIED" in PROFILE.text
