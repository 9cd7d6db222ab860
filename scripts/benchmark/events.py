"""The events of the synthetic chain: factories mint pallets of devices, and every device goes through its life.

A device has about 16 events over two years, most of them in the field; in a fleet that grows fast, about 10. A seed
determines all events.
"""

import heapq
from collections.abc import Iterator
from hashlib import sha3_256
from random import Random
from typing import Any, NamedTuple

DAY = 86_400
BEGAN = 1_700_000_000
DAYS = 730
PALLET = 10
EVENTS_A_DEVICE = 16
GROWING_DAYS, EVENTS_A_YOUNG_DEVICE = 210, 10
"""A fleet that grows from nothing for so many days has so many events a device."""
OWNERS_SHARE = 100
"""Devices of an owner, on average."""
LIVING_STRIDE = 50
OWNED_IN_A_FLEET = 75

ZERO = bytes(20)
MAKERS = 5
MODELS_A_MAKER = 4
RELEASES = tuple(f"{major}.{minor}.{patch}" for major in (1, 2) for minor in range(5) for patch in range(3))
ORGANIZATIONS = tuple(f"{name} {kind}" for name in ("Northwind", "Contoso", "Fabrikam", "Litware", "Köln Süd")
                      for kind in ("Logistics", "Rentals", "Insurance", "Recovery"))  # fmt: skip
NEVER_ENDS = 0


class Emitted(NamedTuple):
    """An event of the reference contract, with its arguments in the order of its signature."""

    name: str
    values: tuple[Any, ...]


class Transaction(NamedTuple):
    """The events of one transaction, and its time in unix seconds."""

    time: int
    events: tuple[Emitted, ...]


def generate(events: int, seed: int = 1) -> Iterator[Transaction]:
    """Yields transactions in order of time with this many events in total; the last transaction is cut short."""
    return _first(events, events // EVENTS_A_DEVICE, DAYS, Random(seed))


def generate_growth(events: int, seed: int = 1) -> Iterator[Transaction]:
    """Yields as `generate` does, with 1.6 times as many devices: a factory makes them in a third of the time."""
    return _first(events, events // EVENTS_A_YOUNG_DEVICE, GROWING_DAYS, Random(seed))


def _first(events: int, devices: int, days: int, random: Random) -> Iterator[Transaction]:
    pallets = max(devices // PALLET, 1)
    owners = max(pallets * PALLET // OWNERS_SHARE, 10)
    for transaction in _interleaved(days * DAY // pallets, owners, 1, random):
        yield transaction._replace(events=transaction.events[:events])
        events -= len(transaction.events)
        if events <= 0:
            return


def generate_fleet(devices: int, seed: int = 1) -> Iterator[Transaction]:
    """Yields two years of this many devices. One in fifty is sold and used; the others stay in stock."""
    pallets = max(devices // PALLET, 1)
    owners = max(devices // LIVING_STRIDE // OWNED_IN_A_FLEET, 1)
    minted = 0
    for transaction in _interleaved(DAYS * DAY // pallets, owners, LIVING_STRIDE, Random(seed)):
        yield transaction
        minted += len(transaction.events) // 2 if transaction.events[-1].name == "CertificateMinted" else 0
        if minted >= devices:
            return


def address(kind: str, number: int) -> bytes:
    """Returns the address of a party or a device, the same in every run."""
    return digest(f"{kind} {number}")[:20]


def _interleaved(pause: int, owners: int, stride: int, random: Random) -> Iterator[Transaction]:
    """Interleaves the factory's pallets, one every `pause` seconds, and the lives of every `stride`th device."""
    yield from _licenses()
    waiting: list[Upcoming] = []
    factory = _factory(random, pause, owners, stride, waiting)
    upcoming = next(factory)
    while True:
        while waiting and waiting[0][0] <= upcoming.time:
            _, device, due, life = waiting[0]
            yield due
            following = next(life, None)
            if following is None:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (following.time, device, following, life))
        yield upcoming
        upcoming = next(factory)


Upcoming = tuple[int, int, Transaction, Iterator[Transaction]]
"""Time, device, its next transaction, and those after it."""


def _licenses() -> Iterator[Transaction]:
    for maker in range(1, MAKERS + 1):
        name = f"Manufacturer {maker}"
        values = (maker, address("maker", maker), name, _uri("license", maker), digest(name), NEVER_ENDS)
        yield Transaction(BEGAN, (Emitted("ManufacturerLicensed", values),))
        for model in _models(maker):
            held = (model, maker, f"Tracker {model}", "A1", _uri("hardware", model), digest(f"m{model}"), NEVER_ENDS)
            yield Transaction(BEGAN, (Emitted("HardwareLicensed", held),))


def _factory(random: Random, pause: int, owners: int, stride: int, waiting: list[Upcoming]) -> Iterator[Transaction]:
    """Mints a pallet every `pause` seconds, and adds the next transaction of its devices to `waiting`."""
    first = 1
    time = BEGAN + DAY
    while True:
        maker = random.randint(1, MAKERS)
        owner = address("maker", maker)
        minted: list[Emitted] = []
        for token in range(first, first + PALLET):
            minted.append(Emitted("Transfer", (ZERO, owner, token)))
            minted.append(Emitted("CertificateMinted", _certificate(random, token, maker, time)))
            if token % stride:
                continue
            life = _live(random, token, owner, owners, time + random.randint(DAY // 4, DAY // 2))
            begins = next(life)
            heapq.heappush(waiting, (begins.time, token, begins, life))
        yield Transaction(time, tuple(minted))
        first += PALLET
        time += max(pause, 1)


def _certificate(random: Random, token: int, maker: int, time: int) -> tuple[Any, ...]:
    model = random.choice(_models(maker))
    firmware = RELEASES[min((time - BEGAN) * len(RELEASES) // (DAYS * DAY), len(RELEASES) - 1)]
    serial = f"SN-{maker}{token:09}"
    return token, address("device", token), maker, model, serial, _imei(token), time - DAY, firmware


# A device's life


def _live(random: Random, token: int, owner: bytes, owners: int, time: int) -> Iterator[Transaction]:
    """Yields the transactions of a device after its mint: tests, sale, and years in the field."""
    for name in ("InCircuitTestRecorded", "MechanicalTestRecorded", "QualityInspectionRecorded"):
        passed = random.random() > 0.05
        for outcome in (passed,) if passed else (False, True):
            yield Transaction(time, (Emitted(name, _report(name, token, outcome, time)),))
            time += random.randint(DAY // 10, DAY)
    yield Transaction(time, (Emitted("DeviceProvisioned", (token, time)),))
    time += random.randint(DAY, 40 * DAY)
    buyer = address("owner", random.randint(1, owners))
    yield Transaction(time, (Emitted("Transfer", (owner, buyer, token)), _grant(random, token, owners, time)))
    yield from _serve(random, token, buyer, owners, time)


def _serve(random: Random, token: int, owner: bytes, owners: int, time: int) -> Iterator[Transaction]:
    """Yields a device's years in the field, until the end of its life."""
    release = 0
    users: list[bytes] = []
    while True:
        time += 1 + int(random.expovariate(1 / (40 * DAY)))
        match random.choices(DEEDS, WEIGHTS)[0]:
            case "update":
                before, release = RELEASES[release], min(release + random.randint(1, 3), len(RELEASES) - 1)
                result = 0 if random.random() > 0.08 else 1
                image = digest(RELEASES[release])
                event = Emitted("FirmwareUpdated", (token, before, RELEASES[release], image, result, time - 60))
            case "grant":
                event = _grant(random, token, owners, time)
                users.append(event.values[1])
            case "revoke":
                user = users.pop() if users else owner
                event = Emitted("UserRevoked", (token, user))
            case "reset":
                event = Emitted("FactoryReset", (token, owner, time - 5, random.randint(0, 4)))
            case "transfer":
                buyer = address("owner", random.randint(1, owners))
                event = Emitted("Transfer", (owner, buyer, token))
                owner = buyer
            case "correct":
                event = Emitted("CertificateCorrected", (token, *random.choice(CORRECTIONS)))
            case "readdress":
                event = Emitted("DeviceAddressReset", (token, address("new device", token + random.randint(0, 999))))
            case _:
                yield from _retire(random, token, time)
                return
        yield Transaction(time, (event,))


DEEDS = ("update", "grant", "revoke", "reset", "transfer", "correct", "readdress", "retire")
WEIGHTS = (45, 18, 10, 9, 6, 4, 2, 4)
CORRECTIONS = (("hardwareRevision", "A2"), ("colour", "black"), ("mounting", "under the dashboard"), ("colour", ""))


def _retire(random: Random, token: int, time: int) -> Iterator[Transaction]:
    for process in range(1, random.randint(1, 3) + 1):
        facility = f"Recovery yard {random.randint(1, 9)}"
        evidence = _uri("evidence", token)
        values = (token, process, time - 30, facility, random.randint(0, 3), evidence, digest(evidence))
        yield Transaction(time, (Emitted("EndOfLifeRecorded", values),))
        time += random.randint(DAY, 30 * DAY)


def _report(name: str, token: int, passed: bool, time: int) -> tuple[Any, ...]:
    uri = _uri(name, token)
    return token, passed, time - 30, f"station {token % 7}", uri, digest(uri)


def _grant(random: Random, token: int, owners: int, time: int) -> Emitted:
    user = address("user", random.randint(1, owners * 10))
    expires = 0 if random.random() < 0.3 else time + random.randint(30, 700) * DAY
    permissions = random.choice((3, 15, 2**128 + 1))
    return Emitted("UserAuthorized", (token, user, random.choice(ORGANIZATIONS), permissions, expires))


def _models(maker: int) -> range:
    return range(100 * maker + 1, 100 * maker + 1 + MODELS_A_MAKER)


def _uri(kind: str, number: int) -> str:
    return f"https://certificates.example/{kind}/{number}"


def digest(text: str) -> bytes:
    return sha3_256(text.encode()).digest()


def _imei(number: int) -> str:
    body = f"35209900{number % 10**6:06}"
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(body)]
    return body + str(-sum(digit // 10 + digit % 10 for digit in doubled) % 10)
