"""The bundle of every device of two networks passes its check: the demo fleet and a DIMO network."""

import asyncio
from random import Random

import pytest
from sqlalchemy import select

from indexer.commands.sync import sync
from indexer.settings import Settings
from indexer.verification.attestation import Unattestable
from schema.bundle.document import to_json
from schema.bundle.making import make_bundle
from schema.did import parse_did
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.tables import Chain
from schema.tables.values import block_of
from tests.support.api.hostile_register import DID, build_hostile_register
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import Nodes
from tests.support.checking import check
from tests.support.dimo.network import YEARS, Network
from tests.support.dimo.stage import Stage
from tests.support.dimo.traffic import mint_vehicle
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


def test_every_device_of_a_dimo_network_has_a_bundle_that_passes(sqlite_url: str) -> None:
    with Anvil("--no-mining", "--order", "fifo", "--timestamp", str(BEGAN - 86_400)) as chain:
        network = Network(Stage(chain), seed=5, began=BEGAN)
        _live(network)
        _index(chain, sqlite_url, "dimo", network.stage.contracts_setting)
        assert _check_all(chain, sqlite_url) >= DEVICES


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
            network.mine()


def _index(chain: Anvil, url: str, profile: str, contracts: str) -> None:
    chain.mine(FINALITY)
    environ = {"RPC_URLS": chain.url, "DATABASE_URL": url, "PROFILE": profile, "CONTRACTS": contracts, "LOOKS": "1"}
    assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0


def _check_all(chain: Anvil, url: str) -> int:
    """Verify all blocks, make and check the bundle of every device, and return how many there are."""
    engine = connect(url)
    asyncio.run(_verify(Indexed(engine, chain.chain_id), chain))
    device = Chain.metadata.tables["device"].c
    with engine.begin() as connection:
        devices = connection.execute(select(device.contract, device.token_id)).all()
        for contract, token_id in devices:
            bundle = make_bundle(connection, chain.chain_id, contract, token_id)
            assert bundle is not None
            checked = check(to_json(bundle), {})
            assert checked.did == f"did:erc721:{chain.chain_id}:0x{contract.hex()}:{token_id}"
    engine.dispose()
    return len(devices)


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
