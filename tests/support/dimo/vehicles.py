"""Logs of vehicles, synthetic devices and grants on them, and a chain of them: two vehicles live, one is burned."""

from tests.support.chain.fakechain import FakeNode, Log
from tests.support.dimo.logs import (
    ADDRESS_OF,
    ALICE,
    BOB,
    FAR,
    ZERO,
    attribute,
    event_log,
    maker,
    mint,
    privilege,
    transaction,
    transferred,
)

VEHICLES, SYNTHETICS = ADDRESS_OF["vehicle"], ADDRESS_OF["synthetic_device"]
CAROL, LINK = b"\xca" * 20, b"\x5d" * 20
RUPTELA = int.from_bytes(b"Ruptela".ljust(32, b"\0"))
CHAIN_ID = 137


def mint_vehicle(token: int, owner: bytes, definition: str, manufacturer: int = 1) -> list[Log]:
    minted = event_log("registry", "VehicleNodeMintedWithDeviceDefinition", manufacturer, token, owner, definition)
    return transaction(transferred(token, ZERO, owner, "vehicle"), minted)


def set_vehicle(token: int, name: str, value: str) -> Log:
    return event_log("registry", "VehicleAttributeSet", token, name, value)


def mint_synthetic(token: int, vehicle: int, owner: bytes, connection: int, address: bytes = LINK) -> list[Log]:
    minted = event_log("registry", "SyntheticDeviceNodeMinted", connection, token, vehicle, address, owner)
    return transaction(transferred(token, ZERO, owner, "synthetic_device"), minted)


def burn_synthetic(token: int, vehicle: int, owner: bytes) -> list[Log]:
    burned = event_log("registry", "SyntheticDeviceNodeBurned", token, vehicle, owner)
    return [transferred(token, owner, ZERO, "synthetic_device"), burned]


def permitted(asset: bytes, token: int, user: bytes, permissions: int = 0b1100, expires: int = FAR) -> Log:
    return event_log("sacd", "PermissionsSet", asset, token, permissions, user, expires, 3, "ipfs://agreement")


def renounced(asset: bytes, token: int, user: bytes) -> Log:
    return event_log("sacd", "PermissionsRenounced", asset, token, user)


def vehicle_chain() -> FakeNode:
    """Returns a chain: ALICE's vehicle 1 has a device and a synthetic device, BOB's 2 had one, and 3 is burned."""
    node = FakeNode(chain_id=CHAIN_ID)
    node.mine(*maker(1), *maker(2))
    node.mine(
        *mint_vehicle(1, ALICE, "ford_focus_2020"), set_vehicle(1, "Make", "Ford"), set_vehicle(1, "Model", "Focus")
    )
    node.mine(*mint_vehicle(2, ALICE, "kia_niro_2021", 2), set_vehicle(2, "Make", "Kia"))
    node.mine(*mint_vehicle(3, CAROL, "kia_niro_2021", 2))
    node.mine(*mint(9), attribute(9, "Serial", "SN-9"), event_log("registry", "AftermarketDevicePaired", 9, 1, ALICE))
    node.mine(*mint(8, b"\x08" * 20))
    node.mine(*mint_synthetic(1, 2, ALICE, 2, b"\x5e" * 20), *mint_synthetic(2, 1, ALICE, RUPTELA))
    node.mine(event_log("registry", "SyntheticDeviceAttributeSet", 2, "ExternalId", "x-1"))
    node.mine(event_log("vehicle", "PrivilegeSet", 1, 1, 3, BOB, FAR), permitted(VEHICLES, 1, CAROL))
    node.mine(event_log("vehicle", "PrivilegeSet", 2, 1, 4, CAROL, FAR), permitted(VEHICLES, 2, CAROL))
    node.mine(transferred(2, ALICE, BOB, "vehicle"), event_log("registry", "DeviceDefinitionIdSet", 2, "kia_ev6_2022"))
    node.mine(event_log("synthetic_device", "PrivilegeSet", 2, 1, 1, BOB, FAR), permitted(SYNTHETICS, 2, CAROL))
    node.mine(
        event_log("manufacturer", "PrivilegeSet", 1, 1, 1, BOB, FAR), permitted(ALICE, 0, BOB), privilege(9, BOB, FAR)
    )
    node.mine(permitted(BOB, 0, CAROL), renounced(BOB, 0, CAROL))
    node.mine(*burn_synthetic(1, 2, ALICE))
    node.mine(transferred(3, CAROL, ZERO, "vehicle"), event_log("registry", "VehicleNodeBurned", 3, CAROL))
    node.mine(event_log("registry", "VehicleAttributeSet", 1, "Model", ""))
    return node
