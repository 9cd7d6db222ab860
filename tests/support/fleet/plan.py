"""The plan of a fleet: all acts of two years, in order. The same seed and last day give the same plan."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.support.fleet.acts import (
    Act,
    Draft,
    LicenseManufacturer,
    LicenseModel,
    MintPallet,
    RevokeManufacturer,
    RevokeModel,
)
from tests.support.fleet.life import Life
from tests.support.fleet.names import (
    DAY,
    FIRST_MINT_ON,
    LAST_MINT_ON,
    MAKERS,
    MODELS,
    OWNERS,
    YEARS_TWO,
    Model,
    account,
    imei,
    version_on,
)
from tests.support.fleet.stories import STORIES, Story

PALLET = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    number: int
    round: int
    story: Story
    model: Model


def plan(devices: int, *, seed: int, now: int) -> list[Act]:
    """Returns the acts of a fleet, earliest first, none after `now` (unix seconds)."""
    random = Random(seed)
    start = now - YEARS_TWO
    acts = list(_registry(start))
    token = 1
    for day, pallet in _pallets(_devices(devices, random), random):
        minted_at = start + int(day * DAY)
        acts.append(_mint(pallet, token, minted_at, int(day), random))
        for place, device in enumerate(pallet):
            life = Life(
                number=device.number,
                round=device.round,
                token=token + place,
                start=start,
                minted_at=minted_at,
                now=now,
                random=random,
            )
            device.story.plan(life)
            acts += life.acts
        token += len(pallet)
    return sorted(acts, key=lambda act: act.at)


def _registry(start: int) -> Iterator[Act]:
    """Yields the acts of the registrar: licenses granted, revoked and renewed."""

    def on(day: int) -> int:
        return start + day * DAY

    for maker in MAKERS:
        expires_at = on(maker.expires_on) if maker.expires_on else 0
        yield LicenseManufacturer(at=on(1), manufacturer=maker.number, name=maker.name, expires_at=expires_at)
        if maker.revoked_on:
            yield RevokeManufacturer(at=on(maker.revoked_on), manufacturer=maker.number, reason=maker.reason)
        if maker.renewed_on:
            yield LicenseManufacturer(
                at=on(maker.renewed_on), manufacturer=maker.number, name=maker.name, expires_at=on(2000)
            )
    for model in MODELS:
        yield LicenseModel(
            at=on(2),
            model=model.number,
            manufacturer=model.maker,
            name=model.name,
            revision=model.revision,
            expires_at=on(model.expires_on) if model.expires_on else 0,
        )
        if model.revoked_on:
            yield RevokeModel(at=on(model.revoked_on), model=model.number, reason=model.reason)


def _devices(count: int, random: Random) -> list[_Device]:
    """Returns devices with the stories in turn, so that even a small fleet has many stories."""
    rounds: Counter[int] = Counter()
    devices = []
    for number in range(count):
        place = number % len(STORIES)
        story = STORIES[place]
        model = random.choice([model for model in MODELS if model.maker in story.makers])
        devices.append(_Device(number=number, round=rounds[place], story=story, model=model))
        rounds[place] += 1
    return devices


def _pallets(devices: list[_Device], random: Random) -> list[tuple[float, list[_Device]]]:
    """Returns pallets of devices of one model, with random days of minting, in the order of the days."""
    pallets: list[list[_Device]] = []
    for model in MODELS:
        batch = [device for device in devices if device.model is model]
        pallets += [batch[first : first + PALLET] for first in range(0, len(batch), PALLET)]
    days = [random.uniform(FIRST_MINT_ON, LAST_MINT_ON) for _ in pallets]
    return sorted(zip(days, pallets, strict=True), key=lambda pallet: pallet[0])


def _mint(pallet: list[_Device], first_token: int, minted_at: int, day: int, random: Random) -> MintPallet:
    return MintPallet(
        at=minted_at,
        manufacturer=pallet[0].model.maker,
        owner=account(random.choice(OWNERS)),
        first_token=first_token,
        drafts=tuple(_draft(device, minted_at, day, random) for device in pallet),
    )


def _draft(device: _Device, minted_at: int, day: int, random: Random) -> Draft:
    story, number = device.story, device.number
    return Draft(
        device=account(f"device {number}"),
        model=device.model.number,
        serial_number=story.serial_number(device.round) if story.serial_number else f"SN-{number:06}",
        imei=story.imei(device.round) if story.imei else imei(device.model.tac, number),
        manufactured_at=minted_at - random.randrange(DAY, 10 * DAY),
        firmware=version_on(day),
    )
