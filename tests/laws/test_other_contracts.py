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
from schema.bundle.subjects import SUBJECTS
from schema.events import Kind
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.values import OPEN
from schema.vocabulary import EventFlag, Verdict
from tests.support.certindex import Certindex
from tests.support.chain.devchain import Anvil, Artifact, Contract
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import compile_solidity
from tests.support.checking import check
from tests.support.databases import NewDatabase
from tests.support.index.indexing import read_tables
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


@pytest.fixture
def depot() -> Iterator[Contract]:
    with Anvil() as chain:
        yield deploy(chain, "Depot")


@pytest.fixture
def roster() -> Iterator[Contract]:
    with Anvil() as chain:
        yield deploy(chain, "Roster")


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


def test_all_of_the_language_at_once_is_the_same_after_a_reorg_and_each_rebuild(
    depot: Contract, database_url: str, new_database: NewDatabase, certindex: Certindex, tmp_path: Path
) -> None:
    """Devices known by address, in arrays, of lots in another log, with texts in bytes32; plants that come later."""
    chain, office = depot.chain, "0x" + depot.call("office")[-40:]
    contracts = f"depot={depot.address},office={office}"
    maker, buyer, other = chain.accounts[:3]
    send: Any = partial(depot.send, sender=maker)
    send("certify", 5, text32("Acme"), [unit(1), unit(2), unit(3)], [text32(f"SN-{number}") for number in (1, 2, 3)])
    opened = send("open", b"eu", [(unit(11), text32("P-11"), b"rev1"), (unit(12), text32("P-12"), b"rev2")])
    plant = depot.event(opened["logs"][-1])[1]["plant"]
    send("check", plant, 2, [unit(11), unit(12)], [True, False])
    send("open", b"us", [(unit(21), text32("P-21"), b"rev1")])  # another region: not watched
    send("hand", buyer, [unit(3), unit(1), unit(3)])
    send("hand", buyer, [])
    send("certify", 5, text32("Acme"), [unit(4), unit(5)], [text32("SN-4")])  # of other lengths
    chain.mine(FINALITY)
    engine, database = index(depot, database_url, "depot", contracts)
    assert states(database) == [
        (1, "SN-1", 5, buyer[2:], Verdict.UNKNOWN),
        (2, "SN-2", 5, None, Verdict.UNKNOWN),
        (3, "SN-3", 5, buyer[2:], Verdict.UNKNOWN),
        (11, "P-11", None, None, Verdict.PASS),
        (12, "P-12", None, None, Verdict.FAIL),
    ]
    assert database.rows("SELECT kind, count(*) FROM event WHERE kind < 2 GROUP BY kind ORDER BY kind") == [
        (Kind.UNMAPPED, 3),  # two openings, and no item
        (Kind.UNDECODABLE, 1),
    ]

    snapshot = chain.snapshot()
    send("open", b"eu", [(unit(31), text32("P-31"), b"rev1"), (unit(32), text32("P-32"), b"rev1")])
    send("hand", other, [unit(2), unit(1)])
    index(depot, database_url, "depot", contracts)[0].dispose()
    assert len(states(database)) == 7
    chain.revert(snapshot)
    send("hand", buyer, [unit(2), unit(3)])
    chain.mine(2)
    index(depot, database_url, "depot", contracts)[0].dispose()
    assert [owner for *_, owner, _ in states(database)] == [buyer[2:]] * 3 + [None] * 2
    orphans = database.rows("SELECT item, kind FROM orphaned_event ORDER BY position")
    assert [kind for item, kind in orphans if item] == [Kind.DEVICE_MINTED, Kind.DEVICE_TRANSFERRED]

    tables = read_tables(engine, chain.chain_id)
    fresh, _ = index(depot, new_database(), "depot", contracts)
    assert read_tables(fresh, chain.chain_id) == tables
    fresh.dispose()
    into = str(tmp_path / "next.db") if database_url.startswith("sqlite") else "next"
    for arguments in ((), ("--check",), ("--into", into)):
        done = certindex("rebuild", *arguments, database_url=database_url)
        assert done.status == 0, done.err
        engine.dispose()
        assert read_tables(engine, chain.chain_id) == tables
    database.execute("DELETE FROM event WHERE item = 2 AND kind = :mint", mint=Kind.DEVICE_MINTED.value)
    done = certindex("rebuild", "--check", database_url=database_url)
    assert (done.status, "the number of its events is 2, the profile makes it 3" in done.out + done.err) == (1, True)
    assert certindex("rebuild", database_url=database_url).status == 0
    assert read_tables(engine, chain.chain_id) == tables

    chain.mine(FINALITY)
    index(depot, database_url, "depot", contracts)[0].dispose()
    for emitter, number, expected in ((plant, 12, IN_PLANT), (depot.address, 3, OF_LOT)):
        data = proven_bundle(engine, database, depot, emitter, int(unit(number), 16))
        assert check(data, {}).is_complete
        events = json.loads(data)["events"]
        assert [(event["reading"]["kind"], event.get("item", 0)) for event in events] == expected
    for right, wrong in (
        ('each         = ["units", "serials"]', 'each = ["units", "lot"]'),
        ('each         = ["units", "serials"]', 'each = ["units", "serials", "units"]'),
        ('each      = "units"\nfields    = { token_id = "units", sender', 'fields = { token_id = "units", sender'),
        ("where     = { stage = 2 }", "where = { passed = true }"),
    ):
        with pytest.raises(Failed, match="the profile cannot be used: "):
            check(with_profile(data, right, wrong), {})
    for change, message in FORGERIES:
        with pytest.raises(Failed, match=message):
            check(changed(data, change), {})
    asyncio.run(attest(database, Nodes(chain)))
    engine.dispose()


def test_facts_that_name_devices_by_address_are_the_same_after_a_reorg_and_each_rebuild(
    roster: Contract, database_url: str, new_database: NewDatabase, certindex: Certindex, tmp_path: Path
) -> None:
    """A device is removed and registers again: its address names another token from then on."""
    chain, fleet = roster.chain, "0x" + roster.call("fleet")[-40:]
    contracts = f"roster={roster.address},fleet={fleet}"
    maker, buyer = chain.accounts[:2]
    send: Any = partial(roster.send, sender=maker)
    send("enroll", unit(1))
    send("enroll", unit(2))
    send("note", unit(1), "one")
    send("test", [unit(1), unit(2), unit(9)], [True, False, True])  # nobody has 9
    send("rekey", unit(2), unit(22))
    send("note", unit(2), "too late")
    send("mount", unit(1), 7)
    send("remove", unit(1))
    chain.mine(FINALITY)
    engine, database = index(roster, database_url, "roster", contracts)

    snapshot = chain.snapshot()
    send("enroll", unit(1))
    send("note", unit(1), "lost")
    index(roster, database_url, "roster", contracts)[0].dispose()
    assert about(database)[-1:] == [("DEVICE_ATTRIBUTE_SET", 3, 0)]
    chain.revert(snapshot)
    send("enrollAndNote", unit(1), "again")
    send("handAndNote", 1, buyer, unit(1), "late")  # a token, and what has its address now
    chain.mine(2)
    index(roster, database_url, "roster", contracts)[0].dispose()
    assert about(database) == ADDRESSED
    documents = "SELECT device_id, value FROM device_attribute WHERE valid_to = " + str(OPEN)
    assert sorted(value for _, value in database.rows(documents)) == ["again", "late"]
    orphans = database.rows("SELECT device_token_id FROM orphaned_event WHERE kind = 4")
    assert [int.from_bytes(token, "big") for (token,) in orphans] == [3]

    tables = read_tables(engine, chain.chain_id)
    fresh, _ = index(roster, new_database(), "roster", contracts)
    assert read_tables(fresh, chain.chain_id) == tables
    fresh.dispose()
    into = str(tmp_path / "next.db") if database_url.startswith("sqlite") else "next"
    for arguments in ((), ("--check",), ("--into", into)):
        done = certindex("rebuild", *arguments, database_url=database_url)
        assert done.status == 0, done.err
        engine.dispose()
        assert read_tables(engine, chain.chain_id) == tables

    chain.mine(FINALITY)
    index(roster, database_url, "roster", contracts)[0].dispose()
    first, third = (proven_bundle(engine, database, roster, roster.address, number) for number in (1, 3))
    for data, number in ((first, 1), (third, 3), (proven_bundle(engine, database, roster, roster.address, 2), 2)):
        assert check(data, {}).is_complete
        assert [event for event in named(data) if event[1] is not None] == [
            (kind, str(token)) for kind, token, _ in ADDRESSED if token == number and kind != "DEVICE_TRANSFERRED"
        ]
    for change, message in ADDRESS_FORGERIES:
        with pytest.raises(Failed, match=message):
            check(changed(first, change), {})
    with pytest.raises(Failed, match="the profile cannot be used: "):
        check(with_profile(first, 'address = "successor"', 'address = { address = "successor" }'), {})
    with engine.begin() as connection:
        bundle = make_bundle(connection, chain.chain_id, bytes.fromhex(fleet[2:]), 7, SUBJECTS["vehicle"])
    assert bundle is not None
    assert check(to_json(bundle), {}).is_complete
    asyncio.run(attest(database, Nodes(chain)))
    engine.dispose()


ADDRESSED = [
    ("DEVICE_TRANSFERRED", 1, 0),
    ("DEVICE_MINTED", 1, 0),
    ("DEVICE_TRANSFERRED", 2, 0),
    ("DEVICE_MINTED", 2, 0),
    ("DEVICE_ATTRIBUTE_SET", 1, 0),
    ("TEST_RECORDED", 1, 0),
    ("TEST_RECORDED", 2, 0),
    ("TEST_RECORDED", None, EventFlag.UNKNOWN_DEVICE),
    ("DEVICE_ADDRESS_RESET", 2, 0),
    ("DEVICE_ATTRIBUTE_SET", None, EventFlag.UNKNOWN_DEVICE),
    ("DEVICE_PAIRED", 1, 0),
    ("END_OF_LIFE_RECORDED", 1, 0),
    ("DEVICE_ATTRIBUTE_SET", 1, 0),
    ("DEVICE_TRANSFERRED", 3, 0),
    ("DEVICE_MINTED", 3, 0),
    ("DEVICE_ATTRIBUTE_SET", 3, 0),
    ("DEVICE_TRANSFERRED", 1, 0),
    ("DEVICE_ATTRIBUTE_SET", 3, 0),
]
"""The facts about devices: the kind, the token of the device and the flags."""


def about(database: Indexed) -> list[tuple[str, int | None, int]]:
    rows = database.rows(
        """SELECT kind, token_id, flags FROM event LEFT JOIN device ON device.id = device_id
        WHERE kind > 1 AND (vehicle_id IS NULL OR kind = 19) ORDER BY position"""
    )
    return [(Kind(kind).name, token and int.from_bytes(token, "big"), flags) for kind, token, flags in rows]


def named(data: bytes) -> list[tuple[str, str | None]]:
    """Returns kind and token of the events of a bundle that name a device by its address, and of its mint."""
    did = json.loads(data)["device"]["tokenId"]
    events = [event["reading"] for event in json.loads(data)["events"]]
    return [
        (reading["kind"], reading["fields"]["token_id"])
        for reading in events
        if reading["fields"].get("token_id", "") in (None, did) and reading["kind"] != "DEVICE_TRANSFERRED"
    ]


def noted(document: Any, value: str) -> list[Any]:
    """Returns the events of a bundle that state this document."""
    return [event for event in document["events"] if event["reading"]["fields"].get("value") == value]


def leave_out_the_other_mint(document: Any) -> None:
    """Leaves out the two logs by which another token got the address of the device."""
    minted = [event for event in document["events"] if event["reading"]["kind"] in ("DEVICE_MINTED", "UNMAPPED")]
    for event in minted[-2:]:
        document["events"].remove(event)


ADDRESS_FORGERIES: tuple[tuple[Callable[[Any], object], str], ...] = (
    (lambda document: document["events"].remove(noted(document, "again")[0]), "is about the device, and the bundle le"),
    (lambda document: noted(document, "again")[1]["reading"]["fields"].update(token_id="1"), 'says fields {"token_id'),
    (lambda document: noted(document, "one")[0]["reading"]["fields"].update(token_id=None), "its bytes say"),
    (leave_out_the_other_mint, "is about the device|its bytes say|makes? it another fact|state, "),
)


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


def unit(number: int) -> str:
    return f"0x{number:040x}"


def text32(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


def states(database: Indexed) -> list[tuple[Any, ...]]:
    """Returns number, serial number, manufacturer, owner and verdict of each device."""
    rows = database.rows(
        f"""SELECT device.token_id, serial_number, manufacturer.token_id, owner, quality_inspection
        FROM device JOIN device_version ON device_id = device.id
        LEFT JOIN manufacturer ON manufacturer.id = manufacturer_id
        WHERE valid_to = {OPEN} ORDER BY device.id"""
    )
    number: Any = partial(int.from_bytes, byteorder="big")
    return sorted(
        (number(id), serial, maker and number(maker), owner and bytes(owner).hex(), verdict)
        for id, serial, maker, owner, verdict in rows
    )


IN_PLANT = [("DEVICE_MINTED", 1), ("TEST_RECORDED", 1)]
OF_LOT = [
    ("DEVICE_MINTED", 0),  # a part of the mint, as is the log of the lot
    ("DEVICE_MINTED", 2),
    ("MANUFACTURER_LICENSED", 0),
    ("DEVICE_TRANSFERRED", 0),
    ("DEVICE_TRANSFERRED", 2),
    ("MANUFACTURER_LICENSED", 0),
    ("DEVICE_TRANSFERRED", 1),
]


def in_items(document: Any) -> list[Any]:
    """Returns the events of the log in which the device comes twice."""
    return [event for event in document["events"] if event["reading"]["kind"] == "DEVICE_TRANSFERRED"]


FORGERIES: tuple[tuple[Callable[[Any], object], str], ...] = (
    (lambda document: document["events"].remove(in_items(document)[1]), "item 2 of log .* the bundle leaves it out"),
    (lambda document: in_items(document)[1].update(item=1), "item 1 of event|it is another|leaves it out"),
    (lambda document: in_items(document)[1].update(item=7), "item 7 of event .* the profile does not map it"),
    (lambda document: in_items(document)[1].update(data="0x00"), "before it has the topics and the data"),
    (lambda document: in_items(document)[1].update(transactionIndex=9), "its transaction_index is another one"),
    (lambda document: in_items(document)[1].pop("item"), "events come twice, or out of order"),
)


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
