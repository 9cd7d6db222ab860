"""The bundle of every subject of two networks passes its check: the demo fleet and a DIMO network."""

import asyncio
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from indexer.check.bundle import Failed
from indexer.commands.sync import sync
from indexer.settings import Settings
from indexer.verification.stored_digests import Unattestable
from schema.bundle.document import to_json
from schema.bundle.making import make_bundle
from schema.bundle.subjects import SUBJECTS
from schema.did import parse_did
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.tables import Chain
from schema.tables.values import block_of
from tests.support.api.hostile_register import DID, build_hostile_register
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import Nodes
from tests.support.checking import check, resealed
from tests.support.dimo.network import YEARS, Network
from tests.support.dimo.stage import Stage
from tests.support.dimo.traffic import drive, mint_vehicle
from tests.support.dimo.world import World
from tests.support.fleet import Fleet, start_chain
from tests.support.index.verifying import FINALITY, Indexed, attest

NOW = 1_763_800_000
BEGAN = 1_667_300_000
DEVICES = 60


def test_every_device_of_the_demo_has_a_bundle_that_passes(sqlite_url: str) -> None:
    with start_chain(NOW) as chain:
        fleet = Fleet.build(chain, devices=DEVICES, now=NOW)
        _index(chain, sqlite_url, "device-certificate", f"certificate={fleet.contract.address}")
        assert _check_all(chain, sqlite_url) >= DEVICES


def test_the_demos_whole_chain_is_attested_and_no_deleted_log_goes_unnoticed(sqlite_url: str) -> None:
    with start_chain(NOW) as chain:
        fleet = Fleet.build(chain, devices=20, now=NOW)
        _index(chain, sqlite_url, "device-certificate", f"certificate={fleet.contract.address}")
        database = Indexed(connect(sqlite_url), chain.chain_id)
        attested = asyncio.run(attest(database, Nodes(chain)))
        columns = ", ".join(column.name for column in Chain.metadata.tables["event"].columns)
        events = database.rows(f"SELECT {columns} FROM event")
        assert attested.events == len(events) > 100
        database.execute("CREATE TABLE kept AS SELECT * FROM event")
        for event in Random(1).sample(events, 12):
            position = event[columns.split(", ").index("position")]
            database.execute("DELETE FROM event WHERE position = :position", position=position)
            with pytest.raises(Unattestable, match=f"block {block_of(position)}: log .* is not stored"):
                asyncio.run(attest(database, Nodes(chain)))
            database.execute("INSERT INTO event SELECT * FROM kept WHERE position = :position", position=position)
        asyncio.run(attest(database, Nodes(chain)))
        database.engine.dispose()


@pytest.fixture(scope="module")
def dimo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Anvil, str, World]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('bundles') / 'dimo.db'}"
    with Anvil("--no-mining", "--order", "fifo", "--timestamp", str(BEGAN - 86_400)) as chain:
        network = Network(Stage(chain), seed=5, began=BEGAN)
        _live(network)
        _index(chain, url, "dimo", network.stage.contracts_setting)
        yield chain, url, network.world


def test_every_token_of_a_dimo_network_has_a_bundle_that_passes(dimo: tuple[Anvil, str, World]) -> None:
    chain, url, world = dimo
    assert _check_all(chain, url) == len(world.units) + len(world.vehicles) + len(world.synthetics)
    assert min(len(world.units), len(world.vehicles), len(world.synthetics)) > 10


Change = Callable[[dict[str, Any]], None]


def _owner(document: dict[str, Any]) -> None:
    document["state"]["vehicle"]["vehicle_version"][0]["owner"] = "0x" + "11" * 20


def _grant(document: dict[str, Any]) -> None:
    document["state"]["vehicle"]["authorization"].pop()


def _event(document: dict[str, Any]) -> None:
    number, *others = [event for event in document["events"] if event["reading"]["kind"] == "VEHICLE_ATTRIBUTE_SET"]
    assert others
    document["events"].remove(number)


def _no_subject(document: dict[str, Any]) -> None:
    del document["vehicle"]


def _two_subjects(document: dict[str, Any]) -> None:
    document["device"] = document["vehicle"]


def _rows_of_another(document: dict[str, Any]) -> None:
    document["state"]["device"] = document["state"].pop("vehicle")


def _another_noun(document: dict[str, Any]) -> None:
    document["syntheticDevice"] = document.pop("vehicle")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_owner, "state, vehicle_version, row 1: owner is"),
        (_grant, "state, authorization: it has"),
        (_event, "is about the vehicle, and the bundle leaves it out"),
        (_no_subject, "the document is about 0 subjects, not about one"),
        (_two_subjects, "the document is about 2 subjects, not about one"),
        (_rows_of_another, "state: it has the rows of 1 subjects, not those of the vehicle alone"),
        (_another_noun, "the trust statement is not the one of this format"),
    ],
)
def test_a_changed_bundle_of_a_vehicle_fails(dimo: tuple[Anvil, str, World], change: Change, reason: str) -> None:
    chain, url, world = dimo
    vehicle = max(world.vehicles.values(), key=lambda vehicle: (len(vehicle.grants(0)), len(vehicle.attributes)))
    engine = connect(url)
    asyncio.run(_verify(Indexed(engine, chain.chain_id), chain))
    with engine.begin() as connection:
        contract = connection.execute(text("SELECT DISTINCT contract FROM vehicle")).scalar_one()
        bundle = make_bundle(connection, chain.chain_id, contract, vehicle.token, SUBJECTS["vehicle"])
    engine.dispose()
    assert bundle is not None
    document: dict[str, Any] = msgspec.json.decode(to_json(bundle))
    change(document)
    with pytest.raises(Failed, match=re.escape(reason)):
        check(resealed(document), {})


def _live(network: Network) -> None:
    for number in range(1, 6):
        network.mint_maker(number, licensed=number != 4)
    for _ in range(8):
        mint_vehicle(network)
    network.mine()
    for quarter, year in enumerate(YEARS, 1):
        network.year = year
        while len(network.world.units) < DEVICES * quarter // len(YEARS):
            network.mint()
            for _ in range(12):
                network.live()
            for _ in range(4):
                drive(network)
            network.mine()


def _index(chain: Anvil, url: str, profile: str, contracts: str) -> None:
    chain.mine(FINALITY)
    environ = {"RPC_URLS": chain.url, "DATABASE_URL": url, "PROFILE": profile, "CONTRACTS": contracts, "LOOKS": "1"}
    assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0


def _check_all(chain: Anvil, url: str) -> int:
    """Verifies all blocks, makes and checks the bundle of every subject, and returns how many there are."""
    engine = connect(url)
    asyncio.run(_verify(Indexed(engine, chain.chain_id), chain))
    count = 0
    with engine.begin() as connection:
        for kind in SUBJECTS.values():
            identity = Chain.metadata.tables[kind.name].c
            for contract, token_id in connection.execute(select(identity.contract, identity.token_id)).all():
                bundle = make_bundle(connection, chain.chain_id, contract, token_id, kind)
                assert bundle is not None
                checked = check(to_json(bundle), {})
                assert checked.did == f"did:erc721:{chain.chain_id}:0x{contract.hex()}:{token_id}"
                count += 1
    engine.dispose()
    return count


async def _verify(database: Indexed, chain: Anvil) -> None:
    verifier = database.verifier(Nodes(chain))
    while await verifier.advance() is not None:
        pass
    assert database.failures() == []


def test_a_device_with_hostile_texts_has_a_bundle_that_nothing_contradicts(sqlite_url: str) -> None:
    build_hostile_register(sqlite_url)
    token = parse_did(DID)
    assert token is not None
    engine = connect(sqlite_url)
    with engine.begin() as connection:
        bundle = make_bundle(connection, *token)
    engine.dispose()
    assert bundle is not None
    assert check(to_json(bundle), {}).did == DID
