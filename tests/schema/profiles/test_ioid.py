"""The profile `ioid`: what the logs of a registration, an update and a removal become."""

from typing import NamedTuple

import pytest

from schema.events import Address, DeviceAttributeSet, DeviceMinted, DeviceTransferred, EndOfLifeRecorded
from schema.profile.model import load_profile
from schema.profile.reader import Mapped
from schema.vocabulary import EndOfLifeProcess
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


def test_a_removal_is_an_end_of_life_and_an_update_an_attribute_of_the_device_with_the_address() -> None:
    updated = "UpdateDevice(address indexed device, address owner, bytes32 hash, string uri)"
    logs = [
        emitted(REGISTRY, updated, DEVICE, OWNER, bytes(32), "ipfs://next"),
        emitted(REGISTRY, "RemoveDevice(address indexed device, address owner)", DEVICE, OWNER),
    ]
    readings = [reading for reading in READER.read_block(logs, 1) if isinstance(reading, Mapped)]
    address = int.from_bytes(DEVICE, "big")
    assert [reading.fact for reading in readings] == [
        DeviceAttributeSet(token_id=address, attribute="documentURI", value="ipfs://next"),
        EndOfLifeRecorded(token_id=address, process=EndOfLifeProcess.DECOMMISSIONED),
    ]
    assert {(reading.contracts.by_address, reading.contracts.device) for reading in readings} == {(True, IOID)}


def test_the_profile_says_that_its_addresses_are_unverified() -> None:
    assert "ADDRESSES UNVERIFIED" in PROFILE.text
