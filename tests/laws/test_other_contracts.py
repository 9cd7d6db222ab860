"""A contract of another making, on a real node: devices known by an address, structs, and texts in fixed bytes."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from indexer.commands.sync import sync
from indexer.settings import Settings
from schema.bundle.document import to_json
from schema.bundle.making import make_bundle
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.values import OPEN
from tests.support.chain.devchain import Anvil, Artifact, Contract
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import compile_solidity
from tests.support.checking import check
from tests.support.index.verifying import FINALITY, Indexed

FOLDER = Path(__file__).parents[1] / "support" / "chain"
DEVICE = "0x" + "d5" * 20
IMAGE = bytes(range(32))
SERIAL = "SN-ü7".encode().ljust(32, b"\0")


@pytest.fixture
def passport() -> Iterator[Contract]:
    compiled = compile_solidity(FOLDER / "Passport.sol")
    with Anvil() as chain:
        yield Contract.deploy(chain, Artifact(tuple(compiled["abi"]), compiled["bytecode"]))


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
    environ = {
        "RPC_URLS": passport.chain.url,
        "DATABASE_URL": sqlite_url,
        "PROFILE": str(FOLDER / "passport.toml"),
        "CONTRACTS": f"passport={passport.address}",
        "LOOKS": "1",
    }
    assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0

    engine = connect(sqlite_url)
    database = Indexed(engine, passport.chain.chain_id)
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

    asyncio.run(_verify(database, passport.chain))
    contract = bytes.fromhex(passport.address[2:])
    with engine.begin() as connection:
        bundle = make_bundle(connection, passport.chain.chain_id, contract, int(DEVICE, 16))
    assert bundle is not None
    data = to_json(bundle)
    assert check(data, {}).is_complete
    assert json.loads(data)["device"]["did"].endswith(f":{int(DEVICE, 16)}")
    engine.dispose()


async def _verify(database: Indexed, chain: Anvil) -> None:
    verifier = database.verifier(Nodes(chain))
    while await verifier.advance() is not None:
        pass
    assert database.failures() == []
