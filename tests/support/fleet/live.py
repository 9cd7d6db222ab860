"""The next act of a live fleet: an ordinary act on a random device in service."""

from collections.abc import Callable
from random import Random

from tests.support.fleet.acts import (
    Act,
    Authorize,
    Draft,
    EndLife,
    MintPallet,
    Provision,
    RecordTest,
    ResetDevice,
    Revoke,
    TransferDevice,
    UpdateFirmware,
)
from tests.support.fleet.names import (
    CLEAR,
    DAY,
    DECOMMISSIONED,
    DESTROY,
    DISPOSED,
    FACILITIES,
    FAILED,
    IN_CIRCUIT,
    LICENSED_FOR_EVER,
    MECHANICAL,
    MODELS,
    NONE,
    ORGANIZATIONS,
    OWNERS,
    PURGE,
    QUALITY,
    READ,
    RECYCLED,
    ROLLED_BACK,
    STATIONS,
    SUCCEEDED,
    USER_REQUEST,
    account,
    imei,
)
from tests.support.fleet.records import Device
from tests.support.fleet.world import World

PRESENT_VERSION = "2.12.0"


def next_act(world: World, random: Random, now: int) -> Act:
    """Returns the next act, which the contract accepts."""
    in_service = [device for device in world.devices.values() if device.end_of_life == "IN_SERVICE"]
    if len(in_service) < 5 or random.random() < 0.03:
        return _mint(world, random, now)
    unfinished = [device for device in in_service if _is_unfinished(device)]
    if unfinished and random.random() < 0.25:
        return _make(random.choice(unfinished), random, now)
    device = random.choice(in_service)
    kinds, weights = zip(*CHOICES, strict=True)
    choice: Callable[[Device, Random, int], Act] = random.choices(kinds, weights)[0]
    return choice(device, random, now)


def _update(device: Device, random: Random, now: int) -> Act:
    result = random.choices((SUCCEEDED, FAILED, ROLLED_BACK), (85, 10, 5))[0]
    return UpdateFirmware(at=now, token=device.token, to_version=PRESENT_VERSION, result=result)


def _authorize(device: Device, random: Random, now: int) -> Act:
    organization = random.choice(ORGANIZATIONS)
    expires_at = random.choice((0, now + 300, now + 30 * DAY))  # some expire while one watches
    return Authorize(
        at=now,
        token=device.token,
        user=account(organization),
        organization=organization,
        permissions=READ,
        expires_at=expires_at,
    )


def _revoke(device: Device, random: Random, now: int) -> Act:
    grants = device.users(now)
    if not grants:
        return _authorize(device, random, now)
    return Revoke(at=now, token=device.token, user=random.choice(grants).user)


def _reset(device: Device, random: Random, now: int) -> Act:
    return ResetDevice(at=now, token=device.token, reason=USER_REQUEST)


def _transfer(device: Device, random: Random, now: int) -> Act:
    return TransferDevice(at=now, token=device.token, recipient=account(random.choice(OWNERS)))


def _is_unfinished(device: Device) -> bool:
    return device.provisioned_at is None and device.manufacturer in LICENSED_FOR_EVER


def _make(device: Device, random: Random, now: int) -> Act:
    """Returns the next step of a device in the factory: a test, then the provisioning."""
    missing = [kind for kind in (IN_CIRCUIT, MECHANICAL, QUALITY) if not device.tests_of(kind)]
    if not missing:
        return Provision(at=now, token=device.token, provisioned_at=now)
    station = random.choice(STATIONS[missing[0]])
    return RecordTest(at=now, token=device.token, kind=missing[0], passed=True, station=station, tested_at=now)


def _end(device: Device, random: Random, now: int) -> Act:
    process = random.choice((DECOMMISSIONED, RECYCLED, DISPOSED))
    sanitization = random.choice((NONE, CLEAR, PURGE, DESTROY))
    facility = random.choice(FACILITIES)
    return EndLife(at=now, token=device.token, process=process, facility=facility, sanitization=sanitization)


def _mint(world: World, random: Random, now: int) -> Act:
    model = random.choice([model for model in MODELS if model.maker in LICENSED_FOR_EVER and not model.revoked_on])
    first_token = max(world.devices, default=0) + 1
    drafts = tuple(
        Draft(
            device=account(f"live device {token}"),
            model=model.number,
            serial_number=f"LIVE-{token:06}",
            imei=imei(model.tac, token % 1_000_000),
            manufactured_at=now - DAY,
            firmware="2.11.0",
        )
        for token in range(first_token, first_token + random.randrange(1, 4))
    )
    owner = account(random.choice(OWNERS))
    return MintPallet(at=now, manufacturer=model.maker, owner=owner, first_token=first_token, drafts=drafts)


# act and weight
CHOICES = (
    (_update, 30),
    (_authorize, 15),
    (_revoke, 10),
    (_reset, 10),
    (_transfer, 8),
    (_end, 5),
)
