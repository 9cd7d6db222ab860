"""Random events of few devices, so that they collide: minted twice, burned, out of order, contradictory."""

from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.support.chain.fakechain import GENESIS_TIME, FakeNode, Log, emitted

TOKENS = (1, 2, 2**256 - 1)
MAKERS = (1, 2)
HARDWARE_LICENSES = (10, 11)
NOBODY = bytes(20)
PEOPLE = (b"\xa1" * 20, b"\xb0" * 20)
ANYONE = (*PEOPLE, NOBODY)
TIMES = (0, 1, GENESIS_TIME, *range(GENESIS_TIME + 10, GENESIS_TIME + 200, 30), 2**63, 2**64 - 1)
TEXTS = ("", "a", "SN-1", "SN-2", "1.0.0", "v2.10.0", "490154203237518", "49-015420-323751-8", "123")
CODES = (0, 1, 2, 3, 4, 255)
HASHES = (bytes(32), b"\x01" * 32)
ATTRIBUTES = ("serialNumber", "imei", "devEUI", "hardwareRevision", "manufacturedAt", "colour", "", "a")
PERMISSIONS = (0, 1, 2**256 - 1)

REPORT: dict[str, tuple[Any, ...]] = {"tokenId": TOKENS, "passed": (True, False), "testedAt": TIMES, "station": TEXTS}
LICENSE: dict[str, tuple[Any, ...]] = {"licenseURI": TEXTS, "licenseHash": HASHES, "expiresAt": TIMES}

EVENTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Transfer": {"from": ANYONE, "to": ANYONE, "tokenId": TOKENS},
    "CertificateMinted": {
        "tokenId": TOKENS,
        "device": ANYONE,
        "manufacturerId": MAKERS,
        "hardwareLicenseId": HARDWARE_LICENSES,
        "serialNumber": TEXTS,
        "imei": TEXTS,
        "manufacturedAt": TIMES,
        "firmwareVersion": TEXTS,
    },
    "ManufacturerLicensed": {"manufacturerId": MAKERS, "account": ANYONE, "name": TEXTS, **LICENSE},
    "ManufacturerLicenseRevoked": {"manufacturerId": MAKERS, "reason": TEXTS},
    "HardwareLicensed": {
        "hardwareLicenseId": HARDWARE_LICENSES,
        "manufacturerId": MAKERS,
        "model": TEXTS,
        "hardwareRevision": TEXTS,
        **LICENSE,
    },
    "HardwareLicenseRevoked": {"hardwareLicenseId": HARDWARE_LICENSES, "reason": TEXTS},
    "CertificateCorrected": {"tokenId": TOKENS, "attribute": ATTRIBUTES, "value": TEXTS},
    "DeviceAddressReset": {"tokenId": TOKENS, "device": ANYONE},
    "InCircuitTestRecorded": REPORT,
    "MechanicalTestRecorded": REPORT,
    "QualityInspectionRecorded": {"tokenId": TOKENS, "passed": (True, False), "inspectedAt": TIMES},
    "DeviceProvisioned": {"tokenId": TOKENS, "provisionedAt": TIMES},
    "UserAuthorized": {
        "tokenId": TOKENS,
        "user": PEOPLE,
        "organization": TEXTS,
        "permissions": PERMISSIONS,
        "expiresAt": TIMES,
    },
    "UserRevoked": {"tokenId": TOKENS, "user": PEOPLE},
    "FactoryReset": {"tokenId": TOKENS, "initiator": ANYONE, "resetAt": TIMES, "reason": CODES},
    "FirmwareUpdated": {
        "tokenId": TOKENS,
        "toVersion": TEXTS,
        "imageHash": HASHES,
        "result": CODES,
        "appliedAt": TIMES,
    },
    "EndOfLifeRecorded": {
        "tokenId": TOKENS,
        "process": CODES,
        "occurredAt": TIMES,
        "facility": TEXTS,
        "sanitization": CODES,
    },
}
"""Every event of the reference contract, with the values that its arguments take; other arguments are zero."""


class Fact(NamedTuple):
    """An event that the contract emits."""

    name: str
    arguments: dict[str, Any]

    def log(self) -> Log:
        return emitted(self.name, **self.arguments)


class Block(NamedTuple):
    """A block to be mined: the seconds since its parent, and its events."""

    after: int
    facts: list[Fact]

    def mine(self, node: FakeNode) -> None:
        node.mine(*(fact.log() for fact in self.facts), after=self.after)


def random_block(seed: int) -> Block:
    """Returns the block of a seed."""
    random = Random(seed)
    return Block(random.choice((1, 12, 40)), [random_fact(random) for _ in range(random.randint(0, 9))])


def random_fact(random: Random) -> Fact:
    name = random.choice(FREQUENT)
    return Fact(name, {argument: random.choice(values) for argument, values in EVENTS[name].items()})


FREQUENT = (*EVENTS, *("Transfer", "CertificateMinted", "UserAuthorized", "UserRevoked", "EndOfLifeRecorded") * 2)

BLOCKS = st.builds(random_block, st.integers(0, 10**6))
"""Blocks by their seed: drawing every argument with hypothesis would take longer than indexing."""
