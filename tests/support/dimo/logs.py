"""Logs of DIMO's contracts in their present shapes, and a fake chain of them, indexed by the real step."""

from typing import Any

from sqlalchemy import Engine

from indexer.store.watch_set import WatchedContract
from schema.profile.model import load_profile
from tests.support.chain.fakechain import FakeNode, Log, emitted_by, new_transaction
from tests.support.index.indexing import Indexer

PROFILE = load_profile("dimo")
ROLES = ("registry", "manufacturer", "aftermarket_device", "synthetic_device", "vehicle", "sacd", "stake")
ADDRESS_OF = {role: bytes([0xC0 + number]) * 20 for number, role in enumerate(ROLES)}
DEVICES = ADDRESS_OF["aftermarket_device"]
ZERO, ALICE, BOB, FACTORY = bytes(20), b"\xa1" * 20, b"\xb0" * 20, b"\xfa" * 20
UNIT = b"\xde" * 20
FAR = 2**40

# the present shape of each event is the profile's first of that name
SIGNATURES: dict[tuple[str, str], str] = {}
for rule in PROFILE.rules:
    SIGNATURES.setdefault((rule.contract, rule.event.name), rule.signature)


def event_log(role: str, name: str, *values: Any) -> Log:
    return emitted_by(SIGNATURES[role, name], *values, address=ADDRESS_OF[role])


def transaction(*logs: Log) -> list[Log]:
    """Returns the logs as those of one transaction."""
    hash = new_transaction()
    return [Log(log.topics, log.data, log.address, hash) for log in logs]


def transferred(token: int, sender: bytes, recipient: bytes, role: str = "aftermarket_device") -> Log:
    return event_log(role, "Transfer", sender, recipient, token)


def attribute(token: int, name: str, value: str) -> Log:
    return event_log("registry", "AftermarketDeviceAttributeSet", token, name, value)


def mint(token: int, unit: bytes = UNIT, maker: int = 1, owner: bytes = FACTORY) -> list[Log]:
    minted = event_log("registry", "AftermarketDeviceNodeMinted", maker, token, unit, owner)
    return transaction(transferred(token, ZERO, owner), minted)


def burn(token: int, owner: bytes) -> list[Log]:
    return [transferred(token, owner, ZERO), event_log("registry", "AftermarketDeviceNodeBurned", token, owner)]


def license_minted(number: int, holder: bytes) -> list[Log]:
    return transaction(transferred(number, ZERO, holder, "stake"), event_log("stake", "LicenseMinted", holder, number))


def claim(token: int, owner: bytes) -> Log:
    return event_log("registry", "AftermarketDeviceClaimed", token, owner)


def privilege(token: int, user: bytes, expires: int, number: int = 2) -> Log:
    return event_log("aftermarket_device", "PrivilegeSet", token, 1, number, user, expires)


def permission(token: int, user: bytes, permissions: int, expires: int) -> Log:
    return event_log("sacd", "PermissionsSet", DEVICES, token, permissions, user, expires, 0, "ipfs://agreement")


def maker(number: int, owner: bytes = FACTORY) -> list[Log]:
    minted = event_log("registry", "ManufacturerNodeMinted", f"Maker {number}", number, owner)
    return transaction(transferred(number, ZERO, owner, "manufacturer"), minted)


async def index(engine: Engine, node: FakeNode, *, whole: bool = True, without: tuple[str, ...] = ()) -> Indexer:
    contracts = [WatchedContract(role, ADDRESS_OF[role], 0, whole) for role in ROLES if role not in without]
    indexer = Indexer(engine, node, profile=PROFILE, contracts=contracts)
    await indexer.catch_up()
    return indexer
