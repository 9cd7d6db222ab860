"""Contracts of another making, on a real node: what their profiles read is what both checks of a bundle prove."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from indexer.check.bundle import Failed
from indexer.commands.sync import sync
from indexer.settings import Settings
from schema.bundle.document import Bundle, manifest_of, to_json
from schema.bundle.making import make_bundle
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.values import OPEN
from schema.vocabulary import Verdict
from tests.support.chain.devchain import Anvil, Artifact, Contract
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import compile_solidity
from tests.support.checking import check
from tests.support.index.verifying import FINALITY, Indexed, attest

FOLDER = Path(__file__).parents[1] / "support" / "chain"
DEVICE = "0x" + "d5" * 20
IMAGE = bytes(range(32))
SERIAL = "SN-ü7".encode().ljust(32, b"\0")


@pytest.fixture
def passport() -> Iterator[Contract]:
    with Anvil() as chain:
        yield deploy(chain, "Passport")


@pytest.fixture
def foundry() -> Iterator[Contract]:
    with Anvil() as chain:
        yield deploy(chain, "Foundry")


def deploy(chain: Anvil, name: str) -> Contract:
    compiled = compile_solidity(FOLDER / f"{name}.sol")
    return Contract.deploy(chain, Artifact(tuple(compiled["abi"]), compiled["bytecode"]))


def test_structs_addresses_and_fixed_bytes_become_a_certificate_that_both_checks_prove(
    passport: Contract, sqlite_url: str
) -> None:
    owner, buyer = passport.chain.accounts[:2]
    send: Any = partial(passport.send, sender=owner)
    send("enroll", DEVICE, (SERIAL, 490154203237518, 1_700_000_000))
    send("note", DEVICE, b"site", b"\x01\xff")
    send("update", (DEVICE, ("1.0", bytes(32)), ("1.1", IMAGE), True), ["calm", "night"])
    send("update", (DEVICE, ("1.1", IMAGE), ("1.2", IMAGE), False), [])  # not done: no fact
    send("hand", DEVICE, buyer)
    passport.chain.mine(FINALITY)
    engine, database = index(passport, sqlite_url, "passport", f"passport={passport.address}")
    columns = "token_id, address, owner, serial_number, imei, manufactured_at"
    rows = database.rows(f"SELECT {columns} FROM device JOIN device_version ON device_id = id WHERE valid_to = {OPEN}")
    assert rows == [
        (
            int(DEVICE, 16).to_bytes(32, "big"),
            bytes.fromhex(DEVICE[2:]),
            bytes.fromhex(buyer[2:]),
            "SN-ü7",
            "490154203237518",
            1_700_000_000,
        )
    ]
    assert database.rows("SELECT name, value FROM device_attribute") == [("site", "0x01ff")]
    assert database.rows("SELECT from_version, to_version, image_hash FROM firmware_update") == [("1.0", "1.1", IMAGE)]

    data = proven_bundle(engine, database, passport, passport.address, int(DEVICE, 16))
    assert check(data, {}).is_complete
    assert json.loads(data)["device"]["did"].endswith(f":{int(DEVICE, 16)}")
    engine.dispose()


def test_a_fact_of_two_logs_becomes_a_certificate_that_both_checks_prove(foundry: Contract, sqlite_url: str) -> None:
    owner, buyer = foundry.chain.accounts[:2]
    titles = "0x" + foundry.call("titles")[-40:]
    devices = ["0x" + f"{number:02x}" * 20 for number in (1, 2, 3)]
    foundry.send("enroll", devices[:2], ["one", "two"], sender=owner)
    foundry.send("enroll", devices[2:], ["three"], sender=buyer)
    foundry.chain.mine(FINALITY)
    engine, database = index(foundry, sqlite_url, "foundry", f"foundry={foundry.address},titles={titles}")
    columns = "token_id, address, serial_number, owner"
    rows = database.rows(f"SELECT {columns} FROM device JOIN device_version ON device_id = id WHERE valid_to = {OPEN}")
    assert rows == [
        (number.to_bytes(32, "big"), bytes([number] * 20), name, bytes.fromhex(account[2:]))
        for number, name, account in ((1, "one", owner), (2, "two", owner), (3, "three", buyer))
    ]

    data = proven_bundle(engine, database, foundry, titles, 2)
    checked = check(data, {})
    assert checked.is_complete
    kinds = [event["reading"]["kind"] for event in json.loads(data)["events"]]
    assert kinds == ["UNMAPPED", "DEVICE_MINTED", "DEVICE_TRANSFERRED", "UNMAPPED", "DEVICE_MINTED"]
    for left_out in (0, 1, 3, 4):
        with pytest.raises(Failed, match="the logs of its receipt make it another fact"):
            check(without_event(data, left_out), {})
    engine.dispose()


def test_a_contract_of_a_factory_becomes_certificates_that_both_checks_prove(
    foundry: Contract, sqlite_url: str
) -> None:
    titles = "0x" + foundry.call("titles")[-40:]
    send: Any = partial(foundry.send, sender=foundry.chain.accounts[0])
    opened = send("open", "first")
    plant = foundry.event(opened["logs"][-1])[1]["plant"]
    send("make", plant, 2, "second")
    send("test", plant, 2, True)
    foundry.chain.mine(FINALITY)
    engine, database = index(foundry, sqlite_url, "foundry", f"foundry={foundry.address},titles={titles}")
    rows = database.rows("SELECT serial_number, quality_inspection FROM device_version WHERE valid_to = " + str(OPEN))
    assert sorted(rows) == [("first", Verdict.UNKNOWN), ("second", Verdict.PASS)]
    contracts = database.rows("SELECT role, start_block, whole FROM contract WHERE factory_position IS NOT NULL")
    assert contracts == [("plant", int(opened["blockNumber"], 16), 1)]

    data = proven_bundle(engine, database, foundry, plant, 2)
    assert check(data, {}).is_complete
    assert [contract["role"] for contract in json.loads(data)["contracts"]] == ["foundry", "plant", "titles"]
    for right, wrong in (
        ('creates   = "plant"', 'creates   = "mill"'),
        ('token     = "titles"', 'token     = "plant"'),
        ('address   = "plant"', 'address   = "number"'),
    ):
        with pytest.raises(Failed, match="the profile cannot be used: "):
            check(with_profile(data, right, wrong), {})
    too_late = changed(data, lambda document: document["contracts"][1].update(startBlock=10**9))
    with pytest.raises(Failed, match="the profile does not map it"):
        check(too_late, {})
    attested = asyncio.run(attest(database, Nodes(foundry.chain)))
    assert (attested.events, attested.last) == (4, database.levels.progress().final)
    engine.dispose()


def index(contract: Contract, url: str, profile: str, contracts: str) -> tuple[Engine, Indexed]:
    """Indexes the chain by the profile, and returns its database."""
    environ = {
        "RPC_URLS": contract.chain.url,
        "DATABASE_URL": url,
        "PROFILE": str(FOLDER / f"{profile}.toml"),
        "CONTRACTS": contracts,
        "LOOKS": "1",
    }
    assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0
    engine = connect(url)
    return engine, Indexed(engine, contract.chain.chain_id)


def proven_bundle(engine: Engine, database: Indexed, contract: Contract, emitter: str, token_id: int) -> bytes:
    """Verifies the chain, and returns the bundle of a device."""
    asyncio.run(_verify(database, contract.chain))
    with engine.begin() as connection:
        bundle = make_bundle(connection, contract.chain.chain_id, bytes.fromhex(emitter[2:]), token_id)
    assert bundle is not None
    return to_json(bundle)


def without_event(data: bytes, place: int) -> bytes:
    """Returns the bundle without one of its events."""
    return changed(data, lambda document: document["events"].pop(place))


def with_profile(data: bytes, right: str, wrong: str) -> bytes:
    """Returns the bundle with another text of its profile."""
    text = json.loads(data)["profile"]["text"]
    assert right in text
    return changed(data, lambda document: document["profile"].update(text=text.replace(right, wrong, 1)))


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """Returns the bundle after a change, with a manifest that fits."""
    document = json.loads(data)
    change(document)
    document["manifest"] = msgspec.to_builtins(manifest_of(msgspec.convert(document, Bundle)))
    return json.dumps(document).encode()


async def _verify(database: Indexed, chain: Anvil) -> None:
    verifier = database.verifier(Nodes(chain))
    while await verifier.advance() is not None:
        pass
    assert database.failures() == []
