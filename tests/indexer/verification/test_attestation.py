"""Attestation and digest: the stored events of a range are complete, and a missing one is found."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import TryAgain
from indexer.verification.attestation import Anchor
from indexer.verification.stored_digests import Unattestable
from schema.tables.values import block_of
from tests.support.certindex import Certindex
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import Nodes, altering
from tests.support.chain.factory import Factory, end_of_life_step
from tests.support.chain.factory import report as passing
from tests.support.index.verifying import FINALITY, attest, index, indexed

RECEIPTS = "eth_getBlockReceipts"
HEADER = "eth_getBlockByNumber"


@pytest.fixture
def lived(factory: Factory) -> Factory:
    """A chain on which something happened, with empty blocks and others' transactions between."""
    chain = factory.chain
    for number in range(1, 4):
        factory.mint(number=number)
        chain.mine(2)
        stranger = {"from": factory.stranger, "to": factory.user, "value": "0x1"}
        chain.send(stranger)
    factory.send("recordInCircuitTest", 2, passing(), sender=factory.maker)
    factory.send("recordEndOfLife", 3, end_of_life_step(1), sender=factory.owner)
    return factory


def test_a_range_whose_events_are_all_there_is_attested(lived: Factory, database_url: str) -> None:
    index(lived, database_url)
    with indexed(lived, database_url) as database:
        attestation = asyncio.run(attest(database, Nodes(lived.chain)))
        assert attestation.events == database.rows("SELECT count(*) FROM event")[0][0]
        without_logs = 4  # the stranger's transactions, and a deployment: their empty blooms exclude nothing
        assert attestation.rebuilt == len(database.level_of_events()) + without_logs
        assert attestation.excluded == attestation.last + 1 - attestation.rebuilt
        assert attestation.digest == database.rows("SELECT digest FROM chain")[0][0]
        assert f"0x{attestation.last_hash.hex()}" == lived.chain.block(attestation.last)["hash"]


def test_without_trust_in_blooms_the_receipts_of_every_block_are_rebuilt(lived: Factory, sqlite_url: str) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        attestation = asyncio.run(attest(database, Nodes(lived.chain), trust_bloom=False))
        assert (attestation.rebuilt, attestation.excluded) == (attestation.last + 1, 0)
        assert attestation.events == database.rows("SELECT count(*) FROM event")[0][0]


def test_whichever_log_is_deleted_from_the_database_the_attestation_fails(lived: Factory, sqlite_url: str) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        columns = "position, address, topics, data, transaction_hash, transaction_index, kind, flags"
        events = database.rows(f"SELECT {columns} FROM event ORDER BY position")
        assert len(events) == 10
        for event in events:
            database.execute("DELETE FROM event WHERE position = :position", position=event[0])
            with pytest.raises(
                Unattestable, match=rf"block {block_of(event[0])}: log \d+ of the block, .* is not stored"
            ):
                asyncio.run(attest(database, Nodes(lived.chain)))
            marks = ", ".join(f":{name}" for name in columns.split(", "))
            values = dict(zip(columns.split(", "), event, strict=True))
            database.execute(
                f"INSERT INTO event (chain_id, {columns}) VALUES (:chain, {marks})", chain=database.chain_id, **values
            )
        asyncio.run(attest(database, Nodes(lived.chain)))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE event SET data = zeroblob(32) WHERE position = :last", "stored with another data"),
        ("UPDATE event SET topics = zeroblob(32) WHERE position = :last", "stored with another topics"),
        ("UPDATE event SET address = zeroblob(20) WHERE position = :last", "stored with another address"),
        ("UPDATE event SET transaction_hash = zeroblob(32) WHERE position = :last", "with another transaction hash"),
        ("UPDATE event SET position = position + 1 WHERE position = :last", "counts logs in an unknown way"),
        ("UPDATE event SET wide_log_index = 4294967295 WHERE position = :last", "counts logs in an unknown way"),
        ("UPDATE event SET position = position + (1 << 20) WHERE position = :last", "is not stored"),
        ("DELETE FROM block WHERE number = :last >> 20", "events of it are stored, but not the block"),
        ("UPDATE block SET hash = zeroblob(32) WHERE number = :last >> 20", "it is stored with the hash 0x0000"),
        ("UPDATE block SET digest = zeroblob(32) WHERE number = :last >> 20", "its stored digest is 0x0000"),
        ("UPDATE block SET timestamp = 1 WHERE number = :last >> 20", "the stored timestamp is 1"),
        (
            "DELETE FROM event WHERE position >> 20 = :last >> 20; DELETE FROM block WHERE number = :last >> 20",
            "is not stored",
        ),
    ],
)
def test_a_database_that_was_tampered_with_is_not_attested(
    lived: Factory, sqlite_url: str, statement: str, reason: str
) -> None:
    lived.send("recordMechanicalTest", 2, passing(), sender=lived.maker)
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        last = database.rows("SELECT max(position) FROM event")[0][0]
        for part in statement.split(";"):
            database.execute(part, last=last)
        with pytest.raises(Unattestable, match=reason):
            asyncio.run(attest(database, Nodes(lived.chain)))


def _drop(receipts: list[Any]) -> None:
    for receipt in receipts:
        receipt["logs"] = receipt["logs"][1:]


def _alter(receipts: list[Any]) -> None:
    for receipt in receipts:
        for log in receipt["logs"]:
            log["topics"][0] = "0x" + "77" * 32


def _add(receipts: list[Any]) -> None:
    for receipt in receipts:
        receipt["logs"] += receipt["logs"][:1]


@pytest.mark.parametrize("change", [_drop, _alter, _add])
def test_receipts_that_a_provider_altered_are_not_attested_until_another_returns_the_right_ones(
    lived: Factory, sqlite_url: str, change: Callable[[list[Any]], None]
) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        with pytest.raises(Unattestable, match="receipts give the root"):
            asyncio.run(attest(database, Nodes(lived.chain, altering(RECEIPTS, change))))
        asyncio.run(attest(database, Nodes(lived.chain, altering(RECEIPTS, change), count=2)))


def _hide_bloom(block: Any) -> None:
    block["logsBloom"] = "0x" + "00" * 256


def _another_parent(block: Any) -> None:
    block["parentHash"] = "0x" + "77" * 32


def _no_hash(block: Any) -> None:
    block["hash"] = None


def _bad_hex(block: Any) -> None:
    block["hash"] = "0xnonsense"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_hide_bloom, "the hash of its header cannot be recomputed"),
        (_another_parent, "the hash of its header cannot be recomputed"),
        (_no_hash, "its header cannot be read|cannot be recomputed"),
        (_bad_hex, "its header cannot be read"),
    ],
)
def test_headers_that_a_provider_altered_are_not_attested_until_another_returns_the_right_ones(
    lived: Factory, sqlite_url: str, change: Callable[[Any], None], reason: str
) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        with pytest.raises(Unattestable, match=reason):
            asyncio.run(attest(database, Nodes(lived.chain, altering(HEADER, change))))
        asyncio.run(attest(database, Nodes(lived.chain, altering(HEADER, change), count=2)))


def test_a_provider_of_another_chain_is_detected_by_the_known_hash(lived: Factory, sqlite_url: str) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database, Anvil() as other:
        other.mine(lived.chain.block_number)
        with pytest.raises(Unattestable, match=r"block \d+: (it is stored with the hash|the headers lead to)"):
            asyncio.run(attest(database, Nodes(other)))


def test_headers_of_two_branches_are_requested_again(lived: Factory, sqlite_url: str) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database, Anvil("--chain-id", "31337") as other:
        other.mine(lived.chain.block_number)

        def two_branches(method: str, answer: Any) -> Any:
            if method == HEADER and int(answer["number"], 16) == 5:
                return other.block(5)
            return answer

        with pytest.raises(TryAgain, match="Block 5 is not a child of block 4"):
            asyncio.run(attest(database, Nodes(lived.chain, two_branches)))


def test_a_hash_of_the_readers_own_must_be_met(lived: Factory, sqlite_url: str) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        head = lived.chain.block()
        number, hash = int(head["number"], 16), bytes.fromhex(head["hash"][2:])
        asyncio.run(attest(database, Nodes(lived.chain), anchor=Anchor(number, hash, "given")))
        with pytest.raises(Unattestable, match=f"block {number}: the headers lead to 0x{hash.hex()}, the given hash"):
            asyncio.run(attest(database, Nodes(lived.chain), anchor=Anchor(number, bytes(32), "given")))


def test_the_command_writes_what_it_attests(
    lived: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    index(lived, sqlite_url)
    url = ("--rpc-urls", lived.chain.url)
    path = tmp_path / "attestation.json"
    done = certindex("attest", "-o", str(path), *url, database_url=sqlite_url)
    assert (done.status, done.out[:4]) == (0, "PASS"), done.out + done.err
    document = json.loads(path.read_text())
    assert document["contracts"][0]["address"] == lived.contract.address
    assert (document["from"], document["to"]) == (0, lived.chain.block_number - FINALITY)
    assert document["blocks"] == document["excludedByBloom"] + document["rebuilt"]
    assert (document["events"], document["anchor"]["source"]) == (10, "stored")
    output = certindex("digest", database_url=sqlite_url).out
    assert document["digestAfter"] in output
    head = lived.chain.block()
    options = ("--block-hash", f"{int(head['number'], 16)}={head['hash']}")
    done = certindex("attest", "--from", "3", "--to", "9", *options, *url, database_url=sqlite_url)
    part = json.loads(done.out)
    assert (part["from"], part["to"], part["anchor"]["source"]) == (3, 9, "given")
    assert part["digestBefore"] != document["digestBefore"]
    with indexed(lived, sqlite_url) as database:
        last = database.rows("SELECT max(position) FROM event")[0][0]
        database.execute("DELETE FROM event WHERE position = :last", last=last)
    path.unlink()
    done = certindex("attest", "-o", str(path), *url, database_url=sqlite_url)
    assert done.status == 1
    assert f": block {block_of(last)}: log 0 of the block" in done.out
    assert not path.exists(), "what fails is not attested"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "100000"), "is the last one that is indexed and final"),
        (("--from", "9", "--to", "8"), "--from 9 lies after --to 8"),
        (("--to", "9", "--block-hash", f"8=0x{'11' * 32}"), "it must be of block 9, or of one after it"),
    ],
)
def test_a_range_that_cannot_be_attested_is_refused(
    lived: Factory, sqlite_url: str, certindex: Certindex, options: tuple[str, ...], message: str
) -> None:
    index(lived, sqlite_url)
    done = certindex("attest", *options, "--rpc-urls", lived.chain.url, database_url=sqlite_url)
    assert (done.status, message in done.err) == (1, True), done.err


# The digest


def test_two_deployments_with_the_same_events_have_the_same_digest(
    lived: Factory, new_database: Callable[[], str], certindex: Certindex
) -> None:
    urls = new_database(), new_database()
    for url in urls:
        index(lived, url)
    at = str(lived.chain.block_number - FINALITY - 2)
    first, second = (certindex("digest", "--to", at, database_url=url) for url in urls)
    assert first.out == second.out
    assert first.out.startswith(f"chain=31337 block={at} digest=0x")
    assert certindex("digest", "--stored", "--to", at, database_url=urls[0]).out == first.out
    with indexed(lived, urls[0]) as database:
        status = database.rows("SELECT digest FROM chain")[0][0]
    assert f"digest=0x{bytes(status).hex()}" in certindex("digest", database_url=urls[0]).out


def test_a_changed_event_no_longer_gives_the_digest(lived: Factory, sqlite_url: str, certindex: Certindex) -> None:
    index(lived, sqlite_url)
    with indexed(lived, sqlite_url) as database:
        position = database.rows("SELECT position FROM event ORDER BY position")[4][0]
        database.execute("UPDATE event SET data = zeroblob(32) WHERE position = :position", position=position)
    done = certindex("digest", database_url=sqlite_url)
    assert (done.status, f"FAIL block {block_of(position)}: its stored digest is" in done.out) == (1, True)
    assert certindex("digest", "--stored", database_url=sqlite_url).status == 0


def test_a_digest_beyond_what_is_indexed_is_refused(lived: Factory, sqlite_url: str, certindex: Certindex) -> None:
    index(lived, sqlite_url)
    done = certindex("digest", "--to", "99999", database_url=sqlite_url)
    assert (done.status, "is indexed to block" in done.err) == (1, True)
