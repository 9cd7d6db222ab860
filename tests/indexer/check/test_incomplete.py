"""An honest bundle with events that are not proven yet is INCOMPLETE: nothing is wrong, and the check names them."""

import asyncio
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.settings import Settings
from indexer.check.__main__ import report
from indexer.check.bundle import Failed
from indexer.commands.sync import sync
from indexer.store.verification import VerificationStore
from schema.bundle.document import canonical
from schema.vocabulary import FailureCause
from tests.support.api.asking import asking
from tests.support.api.server import CLIENT, serving
from tests.support.certindex import Certindex
from tests.support.chain.evidence import Nodes, altering
from tests.support.chain.factory import HASH, Factory
from tests.support.checking import check, resealed
from tests.support.databases import Databases
from tests.support.index.verifying import FINALITY, index, indexed, settings_for

Document = dict[str, Any]
Change = Callable[[Document], None]

NOTES = """query ($did: String!) {
  device(by: {tokenDID: $did}) { history(first: 50) { nodes { block { number } verification verificationNote } } } }"""


def verify(factory: Factory, url: str, nodes: Nodes | None = None, *, keep_proofs: bool = True) -> None:
    """Verifies all final blocks, as the loop of `certindex run` does."""

    async def advance() -> None:
        levels = VerificationStore(database.engine, database.chain_id, keep_proofs=keep_proofs)
        verifier = database.verifier(nodes or Nodes(factory.chain), levels=levels)
        while await verifier.advance() is not None:
            pass

    with indexed(factory, url) as database:
        asyncio.run(advance())


def live_on(factory: Factory, url: str) -> list[int]:
    """Indexes two further events of device 1, which are not final, and returns their blocks."""
    blocks = [
        int(factory.send("updateFirmware", 1, version, HASH, 0, 1_700_000_160)["blockNumber"], 16)
        for version in ("1.1.0", "1.2.0")
    ]
    asyncio.run(sync(settings_for(factory, url)))
    return blocks


def download(factory: Factory, url: str, path: Path) -> str:
    """Writes the bundle that the API serves, and returns the header that states whether it is complete."""
    with serving(Settings(database_url=url)) as address:
        answer = CLIENT.get(f"{address}/devices/did:erc721:31337:{factory.contract.address}:1/bundle.json")
    assert answer.status_code == 200
    path.write_bytes(answer.content)
    return str(answer.headers["Bundle-Status"])


def test_events_that_are_not_final_are_named_with_the_block_that_makes_them_provable(
    factory: Factory, database_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    index(factory, database_url)
    verify(factory, database_url)
    first, second = live_on(factory, database_url)
    verify(factory, database_url)

    assert download(factory, database_url, path) == "INCOMPLETE; unproven=2"
    unproven = [
        {"blockNumber": block, "logIndex": 0, "cause": "NOT_FINAL", "provableAt": block + FINALITY}
        for block in (first, second)
    ]
    assert json.loads(path.read_bytes())["unproven"] == unproven
    done = certindex("check", str(path))
    assert (done.status, done.out.split(" ")[0]) == (3, "INCOMPLETE")
    assert "2 of 6 events are not proven yet" in done.out
    for block in (first, second):
        assert (
            f"  not proven: event 0 of block {block}: block {block} is not final yet: its events become provable once "
            f"it is, about when block {block + FINALITY} is indexed\n"
        ) in done.out

    made = certindex("prove", "1", "-o", str(path), database_url=database_url)
    assert (made.status, "INCOMPLETE" in made.err, f"event 0 of block {second}" in made.err) == (3, True, True)
    assert certindex("check", str(path)).status == 3

    with asking(database_url) as api:
        answer = asyncio.run(api.ask(NOTES, did=f"did:erc721:31337:{factory.contract.address}:1"))
    notes = {int(node["block"]["number"]): node["verificationNote"] for node in answer["device"]["history"]["nodes"]}
    assert f"about when block {first + FINALITY} is indexed" in notes[first]
    assert notes[min(notes)] is None

    factory.chain.mine(FINALITY)
    asyncio.run(sync(settings_for(factory, database_url)))
    assert download(factory, database_url, path) == "INCOMPLETE; unproven=2"
    done = certindex("check", str(path))
    assert (done.status, f"block {first} is final and waits for its verification" in done.out) == (3, True)
    verify(factory, database_url)
    assert download(factory, database_url, path) == "COMPLETE"
    assert "unproven" not in json.loads(path.read_bytes())
    done = certindex("check", str(path))
    assert (done.status, done.out.split(" ")[0]) == (0, "PASS")


def test_events_in_a_row_are_named_by_the_first_and_the_last(factory: Factory, sqlite_url: str, tmp_path: Path) -> None:
    factory.mint()
    factory.chain.set_automine(False)
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        factory.contract.post("updateFirmware", 1, version, HASH, 0, 1_700_000_160, sender=factory.owner)
    factory.chain.mine()
    factory.chain.set_automine(True)
    head = factory.chain.block_number
    index(factory, sqlite_url)
    download(factory, sqlite_url, tmp_path / "bundle.json")
    lines = report(check((tmp_path / "bundle.json").read_bytes(), {}))
    assert f"\n  not proven: events 0, 1 of block {head - 1}: " in lines
    assert f"\n  not proven: events 0 to 2 of block {head}: " in lines


def test_a_node_proves_blocks_that_are_not_final_too(
    factory: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    index(factory, sqlite_url)
    live_on(factory, sqlite_url)
    node = ("--rpc-urls", factory.chain.url)
    assert certindex("prove", "1", "-o", str(path), *node, database_url=sqlite_url).status == 0
    assert certindex("check", str(path)).status == 0


def test_on_a_chain_so_young_that_nothing_is_final_no_block_is_promised(
    factory: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    asyncio.run(sync(settings_for(factory, sqlite_url)))
    download(factory, sqlite_url, path)
    done = certindex("check", str(path))
    assert (done.status, "is not final yet" in done.out, "about when" in done.out) == (3, True, False)


def test_proofs_that_are_not_stored_are_incomplete_until_prove_makes_them(
    factory: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    index(factory, sqlite_url)
    verify(factory, sqlite_url, keep_proofs=False)
    assert download(factory, sqlite_url, path) == "INCOMPLETE; unproven=4"
    done = certindex("check", str(path))
    assert (done.status, done.out.count("are not stored (KEEP_PROOFS=off)")) == (3, 3)
    node = ("--rpc-urls", factory.chain.url)
    assert certindex("prove", "1", "-o", str(path), *node, database_url=sqlite_url).status == 0
    assert certindex("check", str(path)).status == 0


def test_a_block_whose_form_is_unknown_is_incomplete_and_one_that_is_stored_wrongly_fails(
    factory: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    index(factory, sqlite_url)

    def unknown(receipts: list[dict[str, Any]]) -> None:
        receipts[0]["type"] = "0x71"

    verify(factory, sqlite_url, Nodes(factory.chain, altering("eth_getBlockReceipts", unknown)))
    download(factory, sqlite_url, path)
    done = certindex("check", str(path))
    assert (done.status, "the form of its receipts or header is unknown" in done.out) == (3, True)

    with indexed(factory, sqlite_url) as database:
        database.execute("UPDATE event SET transaction_hash = zeroblob(32) WHERE device_id IS NOT NULL")
        database.execute("UPDATE chain SET judged_number = 0")
    verify(factory, sqlite_url)
    download(factory, sqlite_url, path)
    done = certindex("check", str(path))
    assert (done.status, "differ from its receipts, as the indexer found" in done.out) == (1, True)


def test_receipts_that_no_provider_has_are_incomplete(
    factory: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    factory.mint()
    index(factory, sqlite_url)
    with indexed(factory, sqlite_url) as database:
        database.execute(
            """INSERT INTO verification_failure (chain_id, number, cause, reason, failed_at, tries)
            SELECT chain_id, number, :cause, 'gone', 0, 5 FROM block WHERE digest IS NOT NULL""",
            cause=FailureCause.NO_EVIDENCE.value,
        )
    download(factory, sqlite_url, path)
    done = certindex("check", str(path))
    assert (done.status, "no provider had its receipts" in done.out) == (3, True)


# A forger cannot hide behind INCOMPLETE


@pytest.fixture(scope="module")
def incomplete(factory_chain: Factory, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A bundle of six events, of which the last two are not proven."""
    url, file = databases.new("sqlite"), tmp_path_factory.mktemp("bundle") / "bundle.json"
    untouched = factory_chain.chain.snapshot()
    factory_chain.mint()
    index(factory_chain, url)
    verify(factory_chain, url)
    live_on(factory_chain, url)
    download(factory_chain, url, file)
    factory_chain.chain.revert(untouched)
    document: Document = json.loads(file.read_bytes())
    assert not check(canonical(document), {}).is_complete
    return document


@pytest.fixture
def document(incomplete: Document) -> Document:
    """A bundle of six events, of which the last two are not proven, for a test that changes it."""
    return deepcopy(incomplete)


def _no_names(document: Document) -> None:
    del document["unproven"]


def _one_name(document: Document) -> None:
    document["unproven"].pop()


def _name_too_many(document: Document) -> None:
    event = document["events"][0]
    named = {"blockNumber": event["blockNumber"], "logIndex": event["logIndex"], "cause": "NOT_FINAL"}
    document["unproven"].insert(0, named | {"provableAt": None})


def _no_such_event(document: Document) -> None:
    document["unproven"][1]["logIndex"] = 7


def _twice(document: Document) -> None:
    document["unproven"].append(document["unproven"][1])


def _not_stored(document: Document) -> None:
    document["unproven"][0]["cause"] = "NOT_STORED"


def _other_data(document: Document) -> None:
    event = document["events"][-1]
    event["data"] = event["data"].replace(b"1.2.0".hex(), b"9.9.9".hex())


def _other_reading(document: Document) -> None:
    document["events"][-1]["reading"]["fields"]["version"] = "9.9.9"


def _other_state(document: Document) -> None:
    document["state"]["device"]["device_version"][-1]["firmware_version"] = "9.9.9"


def _other_time(document: Document) -> None:
    document["blocks"][-1]["timestamp"] += 1


def _no_time(document: Document) -> None:
    del document["blocks"][-1]["timestamp"]


def _time_beside_a_header(document: Document) -> None:
    document["blocks"][0]["timestamp"] = 1


def _unwatched(document: Document) -> None:
    document["events"][-1]["address"] = "0x" + "11" * 20


def _left_out(document: Document) -> None:
    document["events"].pop()


def _no_block(document: Document) -> None:
    document["blocks"].pop()


def _proven_event_changed(document: Document) -> None:
    document["events"][0]["data"] += "00"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_no_names, "the bundle holds no proof of its receipt"),
        (_one_name, "the bundle holds no proof of its receipt"),
        (_name_too_many, "unproven event 0 of block 2: the bundle proves it"),
        (_no_such_event, "the bundle holds no such event"),
        (_twice, "unproven events come twice, or out of order"),
        (_not_stored, "the bundle lacks the header of its block, which does not fit NOT_STORED"),
        (_other_data, "its reading says fields"),
        (_other_reading, "its reading says fields"),
        (_other_state, "state, device_version, row [0-9]+: firmware_version"),
        (_other_time, "state, device_"),
        (_no_time, "the bundle does not state its time"),
        (_time_beside_a_header, "the bundle states a time beside the header"),
        (_unwatched, "is not watched"),
        (_left_out, "the bundle holds no such event"),
        (_no_block, "its block is not in the bundle"),
        (_proven_event_changed, "its data is"),
    ],
)
def test_what_is_wrong_in_an_incomplete_bundle_fails(document: Document, change: Change, reason: str) -> None:
    change(document)
    with pytest.raises(Failed, match=reason):
        check(resealed(document), {})


def test_a_trusted_hash_contradicts_a_block_without_header(document: Document) -> None:
    block = document["blocks"][-1]
    assert check(resealed(document), {block["number"]: bytes.fromhex(block["hash"][2:])}).trusted == [block["number"]]
    with pytest.raises(Failed, match="it is not a block of that chain"):
        check(resealed(document), {block["number"]: bytes(32)})


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_part_that_is_taken_out_makes_an_incomplete_bundle_pass(document: Document, data: st.DataObject) -> None:
    document = deepcopy(document)
    part = data.draw(st.sampled_from(["blocks", "receipts", "events", "unproven"]))
    del document[part][data.draw(st.integers(0, len(document[part]) - 1))]
    with pytest.raises(Failed):
        check(resealed(document), {})
