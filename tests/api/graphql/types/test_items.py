"""Logs that are several facts: an event for each item in every list, feed and state, and the log with each of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from indexer.check.__main__ import report
from indexer.store.watch_set import WatchedContract
from schema.bundle.document import to_json
from schema.bundle.making import make_bundle
from schema.profile.model import load_profile
from tests.support.api.feeding import Api, Copy
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by, new_transaction
from tests.support.checking import check, check_in_browser
from tests.support.index.indexing import Indexer

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "depot.toml"))
DEPOT, OFFICE = b"d" * 20, b"o" * 20
CONTRACTS = (WatchedContract("depot", DEPOT, 0, True), WatchedContract("office", OFFICE, 0, True))
ALICE, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20
EVENT = "id kind logIndex item deviceDID transactionHash block { number } raw { topics data }"

pytestmark = pytest.mark.usefixtures("indexer")


def unit(number: int) -> str:
    return f"0x{number:040x}"


def certified(*numbers: int) -> list[Log]:
    serials = tuple(f"SN{number}".encode().ljust(32, b"\0") for number in numbers)
    units = tuple(map(unit, numbers))
    transaction = new_transaction()
    terms = (1, b"Acme".ljust(32, b"\0"))
    logs = [
        emitted_by("Lot(uint64 indexed lot, (uint16,bytes32) terms)", 7, terms, address=OFFICE),
        emitted_by(
            "Certified(uint64 indexed lot, address[] units, bytes32[] serials)", 7, units, serials, address=DEPOT
        ),
    ]
    return [replace(log, transaction=transaction) for log in logs]


def handed(*numbers: int, to: str = BOB) -> Log:
    signature = "Handed(address indexed from, address to, address[] units)"
    return emitted_by(signature, ALICE, to, tuple(map(unit, numbers)), address=DEPOT)


@pytest.fixture
async def indexer(new_indexer: Callable[..., Indexer]) -> Indexer:
    node = FakeNode(finality=64)
    node.mine(*certified(1, 2, 3), handed(3, 1))
    node.mine(handed(2, 2))
    indexer = new_indexer(node, profile=PROFILE, contracts=CONTRACTS)
    await indexer.catch_up()
    return indexer


async def listed(own_api: Api, field: str, arguments: str = "") -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await own_api.ask(f"{{ {field}{arguments} {{ nodes {{ {EVENT} }} }} }}"))[field][
        "nodes"
    ]
    return nodes


async def test_each_item_is_an_event_with_the_bytes_of_its_log(own_api: Api, indexer: Indexer) -> None:
    events = await listed(own_api, "lifecycleEvents", "(orderBy: {field: POSITION, direction: ASC})")
    assert [(int(each["block"]["number"]), each["logIndex"], each["item"], number(each)) for each in events] == [
        *((1, 0, 0, None), (1, 1, 0, 1), (1, 1, 1, 2), (1, 1, 2, 3), (1, 2, 0, 3), (1, 2, 1, 1)),
        *((2, 0, 0, 2), (2, 0, 1, 2)),
    ]
    logs = {(block.number, place): log for block in indexer.node.blocks for place, log in enumerate(block.logs)}
    for each in events:
        log = logs[int(each["block"]["number"]), each["logIndex"]]
        assert "".join(topic[2:] for topic in each["raw"]["topics"]) == log.topics.hex()
        assert each["raw"]["data"] == "0x" + log.data.hex()
    ids = [each["id"] for each in events]
    again = await own_api.ask(
        f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on LifecycleEvent {{ {EVENT} }} }} }}", ids=ids
    )
    assert again["nodes"] == events


def number(event: dict[str, Any]) -> int | None:
    return None if event["deviceDID"] is None else int(event["deviceDID"].rpartition(":")[2])


async def test_devices_histories_and_pages_follow_the_items(own_api: Api) -> None:
    query = """{ device(by: {tokenId: "TOKEN"}) { serialNumber owner mint { item }
        history { nodes { kind logIndex item } } asOf: history(first: 1) { totalCount } } }"""
    device = (await own_api.ask(query.replace("TOKEN", "2")))["device"]
    assert (device["serialNumber"], device["owner"].lower(), device["mint"]) == ("SN2", BOB, {"item": 1})
    history = [(event["kind"], event["logIndex"], event["item"]) for event in device["history"]["nodes"]]
    assert sorted(history) == [("DEVICE_MINTED", 1, 1), ("DEVICE_TRANSFERRED", 0, 0), ("DEVICE_TRANSFERRED", 0, 1)]
    whole = await listed(own_api, "lifecycleEvents")
    pages, after = [], ""
    while True:
        query = f"{{ lifecycleEvents(first: 3{after}) {{ nodes {{ {EVENT} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        page = (await own_api.ask(query))["lifecycleEvents"]
        pages += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = f', after: "{page["pageInfo"]["endCursor"]}"'
    assert pages == whole


async def test_the_feed_and_orphans_have_each_item_through_a_reorg(own_api: Api, indexer: Indexer) -> None:
    copy = Copy()
    await copy.catch_up(own_api, 3)
    before = await listed(own_api, "lifecycleEvents", "(orderBy: {field: POSITION, direction: ASC})")
    assert copy.ids == [event["id"] for event in before]
    indexer.node.reorg(1, [handed(1, 2, 3, to=ALICE)], [handed(1)])
    await indexer.catch_up()
    await copy.catch_up(own_api, 2)
    after = await listed(own_api, "lifecycleEvents", "(orderBy: {field: POSITION, direction: ASC})")
    assert copy.ids == [event["id"] for event in after]
    orphans = await own_api.ask(f"{{ orphanedEvents {{ nodes {{ event {{ {EVENT} }} }} }} }}")
    assert [each["event"] for each in orphans["orphanedEvents"]["nodes"]] == before[:5:-1]


async def test_a_bundle_has_the_bytes_of_a_log_once(indexer: Indexer) -> None:
    with indexer.engine.begin() as connection:
        bundle = make_bundle(connection, indexer.node.chain_id, DEPOT, 2)
    assert bundle is not None
    data = to_json(bundle)
    events = json.loads(data)["events"]
    assert [(event["logIndex"], event.get("item"), event["data"] == "0x") for event in events[-2:]] == [
        (0, None, False),
        (0, 1, True),
    ]
    assert [row["position"] for row in json.loads(data)["state"]["device"]["transfer"]] == ["2:0", "2:0:1"]
    checked = check(data, {})  # not final yet
    assert (checked.is_complete, len(checked.unproven), checked.unproven_events) == (False, 3, len(events))
    assert f"{len(events)} of {len(events)} events are not proven yet" in report(checked)
    assert check_in_browser(data, {})["unprovenEvents"] == len(events) == 5
    indexer.engine.dispose()
