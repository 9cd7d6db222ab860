"""Proofs by GraphQL and bundles over HTTP pass the offline check."""

import asyncio
from pathlib import Path
from typing import Any

import rlp

from api.settings import Settings
from indexer.check.bundle import check
from tests.support.api.asking import Api, asking
from tests.support.api.server import CLIENT, serving
from tests.support.chain.evidence import Nodes, altering, proven_log
from tests.support.chain.factory import Factory
from tests.support.chain.factory import report as passing
from tests.support.index.verifying import index, indexed

HISTORY = """
query ($did: String!) {
  device(by: {tokenDID: $did}) { history(first: 50) { nodes {
    verification verificationNote logIndex transactionIndex contract
    block { number hash } raw { topics data } proof { header key nodes receiptLogIndex }
  } } }
}
"""


def did(factory: Factory, token: int = 1) -> str:
    return f"did:erc721:31337:{factory.contract.address}:{token}"


async def history(api: Api, factory: Factory) -> list[dict[str, Any]]:
    answer = await api.ask(HISTORY, did=did(factory))
    nodes: list[dict[str, Any]] = answer["device"]["history"]["nodes"]
    return nodes


def verify(factory: Factory, url: str, nodes: Nodes | None = None) -> None:
    async def advance() -> None:
        verifier = database.verifier(nodes or Nodes(factory.chain))
        while await verifier.advance() is not None:
            pass

    with indexed(factory, url) as database:
        asyncio.run(advance())


def live(factory: Factory, url: str) -> None:
    factory.mint()
    factory.send("recordInCircuitTest", 1, passing(), sender=factory.maker)
    index(factory, url)


def test_every_event_of_a_verified_block_has_a_valid_proof(factory: Factory, database_url: str) -> None:
    live(factory, database_url)
    with asking(database_url) as api:
        before = asyncio.run(history(api, factory))
        assert all("is final and waits for its verification" in event["verificationNote"] for event in before)
        assert {(event["verification"], event["proof"]) for event in before} == {("BLOOM", None)}
        verify(factory, database_url)
        events = asyncio.run(history(api, factory))
        assert len(api.statements) < 25, "one statement reads the proofs of all events"
    assert len(events) == 3
    for event in events:
        assert (event["verification"], event["verificationNote"]) == ("RECEIPTS", None)
        proof = event["proof"]
        assert bytes.fromhex(proof["key"][2:]) == rlp.encode(event["transactionIndex"])
        nodes = [bytes.fromhex(node[2:]) for node in proof["nodes"]]
        header = bytes.fromhex(proof["header"][2:])
        proven, log = proven_log(header, event["transactionIndex"], nodes, proof["receiptLogIndex"])
        assert f"0x{proven.hash.hex()}" == event["block"]["hash"] == factory.chain.block(proven.number)["hash"]
        assert f"0x{log.address.hex()}" == event["contract"].lower()
        assert (f"0x{log.topics.hex()}", f"0x{log.data.hex()}") == (
            "0x" + "".join(topic[2:] for topic in event["raw"]["topics"]),
            event["raw"]["data"],
        )


def test_a_block_that_could_not_be_verified_has_a_reason(factory: Factory, sqlite_url: str) -> None:
    live(factory, sqlite_url)

    def unknown(receipts: list[dict[str, Any]]) -> None:
        receipts[0]["type"] = "0x71"

    verify(factory, sqlite_url, Nodes(factory.chain, altering("eth_getBlockReceipts", unknown)))
    with asking(sqlite_url) as api:
        events = asyncio.run(history(api, factory))
    assert {event["verification"] for event in events} == {"BLOOM"}
    assert all("a receipt of type 0x71" in event["verificationNote"] for event in events)
    assert all(event["proof"] is None for event in events)


def test_the_bundle_that_is_served_passes_the_offline_check(factory: Factory, sqlite_url: str) -> None:
    live(factory, sqlite_url)
    verify(factory, sqlite_url)
    with serving(Settings(database_url=sqlite_url)) as address:
        answer = CLIENT.get(f"{address}/devices/{did(factory)}/bundle.json")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        checked = check(answer.content, {})
        assert (checked.did, checked.events) == (did(factory), 5)
        assert "device-1.bundle.json" in answer.headers["Content-Disposition"]
        again = CLIENT.get(
            f"{address}/devices/{did(factory)}/bundle.json", headers={"If-None-Match": answer.headers["ETag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        upper = did(factory).replace(factory.contract.address[2:], factory.contract.address[2:].upper())
        assert CLIENT.get(f"{address}/devices/{upper}/bundle.json").content == answer.content


def test_a_bundle_of_changed_rows_is_refused_with_the_contradiction(factory: Factory, sqlite_url: str) -> None:
    live(factory, sqlite_url)
    verify(factory, sqlite_url)
    with indexed(factory, sqlite_url) as chain, serving(Settings(database_url=sqlite_url)) as address:
        for changed, contradiction in (
            ("UPDATE event SET topics = zeroblob(32)", "is not read as it was stored. Read all events again"),
            ("UPDATE receipt_proof SET nodes = zeroblob(9)", "Make it again: certindex verify --from"),
        ):
            chain.execute(changed)
            answer = CLIENT.get(f"{address}/devices/{did(factory)}/bundle.json")
            error = answer.json()["error"]
            assert (answer.status_code, error.split(": ")[0]) == (500, f"The stored data of {did(factory)} is damaged")
            assert contradiction in error


def test_a_bundle_of_no_device_is_refused_with_a_valid_example(factory: Factory, sqlite_url: str) -> None:
    live(factory, sqlite_url)
    with serving(Settings(database_url=sqlite_url)) as address:
        for name, status, message in (
            (did(factory, 77), 404, "There is no device"),
            (did(factory).replace("31337", "1"), 404, "There is no device"),
            ("1", 400, "Example: did:erc721:137:"),
            (f"did:erc721:31337:{factory.contract.address}:{2**256}", 400, "is not the DID of a device"),
            ("did:erc721:99999999999999999999:0x00:1", 400, "is not the DID of a device"),
        ):
            answer = CLIENT.get(f"{address}/devices/{name}/bundle.json")
            assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


def test_a_bundle_of_the_past_is_refused(factory: Factory, sqlite_url: str) -> None:
    live(factory, sqlite_url)
    with serving(Settings(database_url=sqlite_url)) as address:
        refused = CLIENT.get(f"{address}/devices/{did(factory)}/bundle.json?asOf=1")
    assert refused.status_code == 400
    assert 'no parameter "asOf" here: the answer is as of the newest indexed block' in refused.json()["error"]


def test_a_bundle_of_an_empty_database_is_not_a_server_error(tmp_path: Path) -> None:
    with serving(Settings(database_url=f"sqlite:///{tmp_path / 'missing.db'}")) as address:
        answer = CLIENT.get(f"{address}/devices/did:erc721:1:0x{'11' * 20}:1/bundle.json")
    assert answer.status_code == 503
    assert "Try again later" in answer.json()["error"]
