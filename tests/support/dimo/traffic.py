"""The vehicles of a simulated DIMO network, their synthetic devices, and grants on them, on makers and by accounts.

Each act emits its events on the stage and applies their effect to the world.
"""

from collections.abc import Callable

from tests.support.dimo.network import DAY, FAR, Network
from tests.support.dimo.stage import Line
from tests.support.dimo.world import NOBODY, Granting, Maker, Synthetic, Vehicle

CONNECTIONS = (b"Ruptela", b"Tesla", b"Motorq")
DEFINITIONS = ("ford_focus_2020", "tesla_model-3_2023", "kia_niro_2021")


def drive(network: Network) -> None:
    """Carries out one random act on a vehicle."""
    living = [vehicle for vehicle in network.world.vehicles.values() if vehicle.owner]
    act = network.traffic.choices([act for act, _ in ACTS], weights=[weight for _, weight in ACTS])[0]
    act(network, network.traffic.choice(living))


def mint_vehicle(network: Network) -> None:
    number, owner = len(network.world.vehicles) + 1, _person(network)
    vehicle = Vehicle(token=number, owner=owner, minted_at=network.time)
    network.world.vehicles[number] = vehicle
    maker, definition = number % 5 + 1, network.traffic.choice(DEFINITIONS)
    minted: Line = ("registry", "defineVehicle", maker, number, owner, definition)
    if network.year == "2022":
        minted = ("registry", "mintVehicleIn2022", number, owner)
    elif network.year == "2023":
        minted = ("registry", "mintVehicle", maker, number, owner)
        vehicle.manufacturer = maker
    else:
        vehicle.manufacturer, vehicle.definition = maker, definition
    lines = [("vehicle", "transfer", NOBODY, owner, number), minted, _attribute(network, vehicle, "Make", "Ford")]
    if network.traffic.random() < 0.5:
        lines += _connecting(network, vehicle)
    network.stage.play(*lines)


def correct(network: Network, vehicle: Vehicle) -> None:
    name = network.traffic.choice(("Make", "Model", "Year", "ImageURI"))
    value = network.traffic.choice(("", f"{name} {network.traffic.randrange(100)}"))
    network.stage.play(_attribute(network, vehicle, name, value))


def define(network: Network, vehicle: Vehicle) -> None:
    vehicle.definition = network.traffic.choice(DEFINITIONS)
    network.stage.play(("registry", "setVehicleDefinition", vehicle.token, vehicle.definition))


def transfer(network: Network, vehicle: Vehicle) -> None:
    former, owner = vehicle.owner, _person(network)
    vehicle.give(owner)
    network.stage.play(("vehicle", "transfer", former, owner, vehicle.token))


def burn(network: Network, vehicle: Vehicle) -> None:
    """Burns a vehicle without a device, its synthetic device first."""
    if network.world.paired(vehicle.token):
        return
    owner, lines = vehicle.owner, _disconnecting(network, vehicle)
    vehicle.give(None)
    vehicle.burned_at = network.time
    burned = "burnVehicleIn2023" if network.year == "2023" else "burnVehicle"
    network.stage.play(
        *lines, ("vehicle", "transfer", owner, NOBODY, vehicle.token), ("registry", burned, vehicle.token, owner)
    )


def connect(network: Network, vehicle: Vehicle) -> None:
    if network.world.connected(vehicle.token) is None:
        network.stage.play(*_connecting(network, vehicle))


def disconnect(network: Network, vehicle: Vehicle) -> None:
    if lines := _disconnecting(network, vehicle):
        network.stage.play(*lines)


def correct_synthetic(network: Network, vehicle: Vehicle) -> None:
    device = network.world.connected(vehicle.token)
    if device is not None:
        value = network.traffic.choice(("", str(network.traffic.randrange(100))))
        _set(device.attributes, "ExternalId", value)
        function = "setSyntheticDeviceAttributeIn2023" if network.year == "2023" else "setSyntheticDeviceAttribute"
        network.stage.play(("registry", function, device.token, "ExternalId", value))


def move_synthetic(network: Network, vehicle: Vehicle) -> None:
    device = network.world.connected(vehicle.token)
    if device is not None:
        former, owner = device.owner, _person(network)
        device.give(owner)
        network.stage.play(("synthetic_device", "transfer", former, owner, device.token))


def set_privilege(network: Network, vehicle: Vehicle) -> None:
    role, token, subject = _subject(network, vehicle)
    user, scope = _person(network), network.traffic.randrange(1, 6)
    expires = network.traffic.choice([0, network.time + DAY, network.time + 400 * DAY, network.time - 1, FAR])
    if expires:
        subject.privileges[user, str(scope)] = expires
    else:
        subject.privileges.pop((user, str(scope)), None)
    old = network.year == "2022" and role != "synthetic_device"
    network.stage.play((role, "setPrivilegeIn2022" if old else "setPrivilege", token, 1, scope, user, expires))


def set_permissions(network: Network, vehicle: Vehicle) -> None:
    role, token, subject = _subject(network, vehicle)
    _permit(network, network.stage.address(role), token, subject)


def share_account(network: Network, _: Vehicle) -> None:
    account = _person(network)
    _permit(network, account, 0, network.world.accounts.setdefault(account, Granting()))


def share_elsewhere(network: Network, _: Vehicle) -> None:
    """Grants access to a token of a contract that is not watched."""
    network.stage.play(network.permitted("0x" + "cc" * 20, 5, _person(network), 12, FAR, "ipfs://elsewhere"))


def _permit(network: Network, asset: str, token: int, subject: Granting) -> None:
    user = _person(network)
    if network.year == "today" and network.traffic.random() < 0.25:
        subject.permissions.pop(user, None)
        network.stage.play(("sacd", "renouncePermissions", asset, token, user))
        return
    permissions = network.traffic.choice([0, 0b1100, 0b11_11_00])
    end = network.traffic.choice([0, network.time + 30 * DAY, FAR])
    subject.permissions[user] = (permissions, end, "ipfs://agreement")
    network.stage.play(network.permitted(asset, token, user, *subject.permissions[user]))


def _subject(network: Network, vehicle: Vehicle) -> tuple[str, int, Granting]:
    """Returns role, token and state of what a grant is on: mostly the vehicle."""
    device, chance = network.world.connected(vehicle.token), network.traffic.random()
    if device is not None and chance < 0.2:
        return "synthetic_device", device.token, device
    if chance < 0.3:
        maker: Maker = network.traffic.choice(list(network.world.makers.values()))
        return "manufacturer", maker.number, maker
    return "vehicle", vehicle.token, vehicle


def _connecting(network: Network, vehicle: Vehicle) -> list[Line]:
    token, owner = len(network.world.synthetics) + 1, vehicle.owner
    old = network.year in ("2022", "2023")
    name = network.traffic.choice(CONNECTIONS)
    connection = network.traffic.randrange(1, 4) if old else int.from_bytes(name.ljust(32, b"\0"))
    address = f"0x{0x5D << 152 | token:040x}"
    network.world.synthetics[token] = Synthetic(
        token=token,
        owner=owner,
        address=address,
        vehicle=vehicle.token,
        connection=connection,
        minted_at=network.time,
    )
    return [
        ("synthetic_device", "transfer", NOBODY, owner, token),
        ("registry", "mintSyntheticDevice", connection, token, vehicle.token, address, owner),
    ]


def _disconnecting(network: Network, vehicle: Vehicle) -> list[Line]:
    device = network.world.connected(vehicle.token)
    if device is None:
        return []
    owner = device.owner
    device.give(None)
    device.burned_at = network.time
    burned = "burnSyntheticDeviceIn2023" if network.year == "2023" else "burnSyntheticDevice"
    return [
        ("synthetic_device", "transfer", owner, NOBODY, device.token),
        ("registry", burned, device.token, vehicle.token, owner),
    ]


def _attribute(network: Network, vehicle: Vehicle, name: str, value: str) -> Line:
    _set(vehicle.attributes, name, value)
    function = {"2023": "setVehicleAttributeIn2023", "2025": "setVehicleAttributeIn2025"}.get(network.year)
    return ("registry", function or "setVehicleAttribute", vehicle.token, name, value)


def _set(attributes: dict[str, str], name: str, value: str) -> None:
    if value:
        attributes[name] = value
    else:
        attributes.pop(name, None)


def _person(network: Network) -> str:
    return network.traffic.choice(network.people)


ACTS: list[tuple[Callable[[Network, Vehicle], None], int]] = [
    (lambda network, _: mint_vehicle(network), 8),
    (correct, 10),
    (define, 4),
    (transfer, 8),
    (burn, 2),
    (connect, 8),
    (disconnect, 3),
    (correct_synthetic, 4),
    (move_synthetic, 3),
    (set_privilege, 14),
    (set_permissions, 16),
    (share_account, 4),
    (share_elsewhere, 1),
]
