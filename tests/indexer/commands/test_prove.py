"""`certindex prove`: the bundle of a device by its name; what is not verified yet is verified first."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from indexer.check.__main__ import INCOMPLETE
from indexer.check.bundle import check
from tests.support.certindex import Certindex
from tests.support.chain.factory import Factory
from tests.support.dimo.logs import index as index_dimo
from tests.support.dimo.vehicles import SYNTHETICS, VEHICLES, vehicle_chain
from tests.support.index.indexing import engine_of
from tests.support.index.verifying import index, indexed


@pytest.fixture
def url(factory: Factory, sqlite_url: str) -> str:
    for number in (1, 2):
        factory.mint(number=number)
    index(factory, sqlite_url)
    return sqlite_url


def test_what_is_not_proven_yet_is_proven_first(
    factory: Factory, database_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    factory.mint()
    index(factory, database_url)
    path = tmp_path / "bundle.json"
    done = certindex("prove", "1", "-o", str(path), "--rpc-urls", factory.chain.url, database_url=database_url)
    assert (done.status, done.out.startswith(f"{path}: did:erc721:31337:")) == (0, True), done.err
    assert check(path.read_bytes(), {}).events == 4
    done = certindex("prove", "1", "-o", str(path), database_url=database_url)
    assert done.status == 0, "the proofs are stored now, no node is needed"
    done = certindex("check", str(path), "--rpc-url", factory.chain.url)
    assert (done.status, done.out[:4]) == (0, "PASS")


def test_a_device_is_named_by_its_token_or_its_did(factory: Factory, url: str, certindex: Certindex) -> None:
    node = ("--rpc-urls", factory.chain.url)
    by_token = certindex("prove", "2", *node, database_url=url)
    did = f"did:erc721:31337:{factory.contract.address}:2"
    by_did = certindex("prove", did.replace("abcdef", "ABCDEF"), *node, database_url=url)
    assert by_token.out == by_did.out
    assert json.loads(by_token.out)["device"]["did"] == did


def test_a_vehicle_and_a_synthetic_device_are_named_by_their_dids(
    sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    with engine_of(sqlite_url) as engine:
        asyncio.run(index_dimo(engine, vehicle_chain()))
    path = tmp_path / "bundle.json"
    for contract, member in ((VEHICLES, "vehicle"), (SYNTHETICS, "syntheticDevice")):
        did = f"did:erc721:137:0x{contract.hex()}:2"
        assert certindex("prove", did, "-o", str(path), database_url=sqlite_url).status == INCOMPLETE
        assert json.loads(path.read_bytes())[member]["did"] == did


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("77", "Chain 31337 has no device 77, as far as it is indexed."),
        (str(2**256), "has no device"),
        ("one", '"one" names no device. Example: 42, or did:erc721:137:0x'),
        ("did:erc721:1:0x" + "11" * 20 + ":1", "is of chain 1, the database's chain is 31337"),
        ("did:erc721:31337:0x" + "11" * 20 + ":1", "has no device, vehicle or synthetic device did"),
    ],
)
def test_a_device_that_is_not_there_is_refused(url: str, certindex: Certindex, device: str, message: str) -> None:
    done = certindex("prove", device, database_url=url)
    assert (done.status, message in done.err, done.out) == (1, True, ""), done.err


def test_without_a_node_what_is_not_proven_is_named(url: str, certindex: Certindex) -> None:
    done = certindex("prove", "1", database_url=url)
    assert done.status == 1
    assert "3 blocks with events of the bundle are not verified yet, the first is block 2" in done.err
    assert "Example: RPC_URLS=http://127.0.0.1:8545" in done.err


def test_a_device_whose_stored_events_are_wrong_is_not_proven(factory: Factory, url: str, certindex: Certindex) -> None:
    with indexed(factory, url) as database:
        first = database.rows("SELECT min(id) FROM manufacturer")[0][0]
        database.execute("UPDATE event SET transaction_hash = zeroblob(32) WHERE position = :first", first=first)
    done = certindex("prove", "1", "--rpc-urls", factory.chain.url, database_url=url)
    assert done.status == 1
    assert (
        "Block 2 holds an event of the bundle and cannot be proven: log 0 is stored with another transaction hash"
        in done.err
    )


def test_a_device_whose_stored_events_mean_something_else_is_not_proven(
    factory: Factory, url: str, certindex: Certindex
) -> None:
    with indexed(factory, url) as database:
        database.execute("UPDATE event SET topics = zeroblob(length(topics)) WHERE device_id IS NOT NULL")
    done = certindex("prove", "1", database_url=url)
    assert done.status == 1
    assert "is not read as it was stored. Read all events again: certindex rebuild" in done.err


def test_a_bundle_whose_state_was_tampered_with_is_not_written(
    factory: Factory, url: str, certindex: Certindex, tmp_path: Path
) -> None:
    with indexed(factory, url) as database:
        database.execute("UPDATE device_version SET serial_number = 'SN-FORGED'")
    path = tmp_path / "bundle.json"
    done = certindex("prove", "1", "-o", str(path), "--rpc-urls", factory.chain.url, database_url=url)
    assert (done.status, path.exists()) == (1, False)
    assert "would not pass its own check: state, device_version, row 1: serial_number is" in done.err
    assert "certindex rebuild" in done.err


def test_a_stored_proof_that_was_tampered_with_is_named_with_the_way_out(
    factory: Factory, url: str, certindex: Certindex
) -> None:
    node = ("--rpc-urls", factory.chain.url)
    assert certindex("prove", "1", *node, database_url=url).status == 0
    with indexed(factory, url) as database:
        database.execute("UPDATE receipt_proof SET nodes = zeroblob(9)")
    done = certindex("prove", "1", database_url=url)
    assert "cannot be read. Make it again: certindex verify --from" in done.err
    assert certindex("verify", *done.err.split("certindex verify ")[1].split(), *node, database_url=url).status == 0
    assert f"block {int(done.err.split('--from ')[1].split()[0])}" not in certindex("prove", "1", database_url=url).err


def test_a_token_id_of_two_contracts_is_selected_by_its_did(factory: Factory, url: str, certindex: Certindex) -> None:
    with indexed(factory, url) as database:
        columns = "chain_id, id, contract, token_id"
        database.execute(
            f"INSERT INTO device ({columns}) SELECT chain_id, id + 1, :other, token_id FROM device", other=b"\x11" * 20
        )
    done = certindex("prove", "1", database_url=url)
    assert done.status == 1
    assert f"name one: did:erc721:31337:0x{'11' * 20}:1, did:erc721:31337:{factory.contract.address}:1" in done.err


def test_a_file_that_cannot_be_written_is_named(
    factory: Factory, url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "no" / "folder.json"
    done = certindex("prove", "1", "-o", str(path), "--rpc-urls", factory.chain.url, database_url=url)
    assert (done.status, f"{path} cannot be written: No such file or directory" in done.err) == (1, True)


def test_what_only_reads_waits_for_no_writer(factory: Factory, url: str, certindex: Certindex) -> None:
    """As while `certindex rebuild` writes all rows in one transaction."""
    node = ("--rpc-urls", factory.chain.url)
    with indexed(factory, url) as chain:
        last = str(chain.levels.progress().final)
        assert certindex("verify", "--to", "9", *node, database_url=url).status == 0
        with chain.engine.begin() as connection:
            connection.execute(text("UPDATE chain SET revision = revision"))
            for command in (
                ("status",),
                ("digest",),
                ("prove", "1"),
                ("attest", "--to", last, *node),
                ("reconcile", *node),
            ):
                done = certindex(*command, database_url=url)
                assert (command, done.status, done.err) == (command, 0, "")
