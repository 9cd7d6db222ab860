"""Events that name their device by its address: the device that they are about, and its DID."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from indexer.store.watch_set import WatchedContract
from schema.profile.model import load_profile
from tests.support.api.feeding import Api
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by
from tests.support.index.indexing import Indexer

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "roster.toml"))
ROSTER, FLEET = b"r" * 20, b"f" * 20
CONTRACTS = (WatchedContract("roster", ROSTER, 0, True), WatchedContract("fleet", FLEET, 0, True))
OWNER, DEVICE, OTHER = ("0x" + byte * 20 for byte in ("aa", "d1", "d2"))

pytestmark = pytest.mark.usefixtures("indexer")


def enrolled(number: int) -> list[Log]:
    issued = emitted_by("Issued(address indexed owner, uint256 id)", OWNER, number, address=ROSTER)
    made = emitted_by("Enrolled(address indexed device, address owner)", DEVICE, OWNER, address=ROSTER)
    return [issued, replace(made, transaction=issued.transaction)]


def noted(device: str, text: str) -> Log:
    return emitted_by("Noted(address indexed device, string document)", device, text, address=ROSTER)


def removed(device: str) -> Log:
    return emitted_by("Removed(address indexed device)", device, address=ROSTER)


@pytest.fixture
async def indexer(new_indexer: Callable[..., Indexer]) -> Indexer:
    node = FakeNode(finality=64)
    node.mine(*enrolled(5), noted(DEVICE, "first"), noted(OTHER, "nobody's"))
    node.mine(removed(DEVICE), *enrolled(6), noted(DEVICE, "second"))
    indexer = new_indexer(node, profile=PROFILE, contracts=CONTRACTS)
    await indexer.catch_up()
    return indexer


EVENT = "kind flags device { tokenId } deviceDID ... on DeviceAttributeSet { value }"
FILTER = "filterBy: {kind: {in: [DEVICE_ATTRIBUTE_SET, END_OF_LIFE_RECORDED]}}"


def shown(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            event.get("value"),
            event["device"] and event["device"]["tokenId"],
            event["deviceDID"] and event["deviceDID"].rpartition(":")[2],
            event["flags"],
        )
        for event in events
    ]


async def test_an_event_is_about_the_device_that_had_the_address(own_api: Api) -> None:
    listed = (
        await own_api.ask(
            f"{{ lifecycleEvents({FILTER}, orderBy: {{field: POSITION, direction: ASC}}) {{ nodes {{ {EVENT} }} }} }}"
        )
    )["lifecycleEvents"]["nodes"]
    assert shown(listed) == [
        ("first", "5", "5", []),
        ("nobody's", None, None, ["UNKNOWN_DEVICE"]),
        (None, "5", "5", []),
        ("second", "6", "6", []),
    ]
    flagged = await own_api.ask("{ lifecycleEvents(filterBy: {flag: {eq: UNKNOWN_DEVICE}}) { totalCount } }")
    assert flagged["lifecycleEvents"]["totalCount"] == 1
    device = await own_api.ask(
        """{ device(by: {tokenId: "5"}) { endOfLife { status } history(first: 9) { nodes { kind } } } }"""
    )
    assert device["device"] == {
        "endOfLife": {"status": "DECOMMISSIONED"},
        "history": {
            "nodes": [{"kind": kind} for kind in ("DEVICE_MINTED", "DEVICE_ATTRIBUTE_SET", "END_OF_LIFE_RECORDED")]
        },
    }


async def test_what_a_reorg_removed_names_the_device_as_long_as_it_exists(own_api: Api, indexer: Indexer) -> None:
    indexer.node.reorg(1, [noted(DEVICE, "instead")])
    await indexer.catch_up()
    events = await own_api.ask(f"{{ orphanedEvents({FILTER}) {{ nodes {{ event {{ {EVENT} }} }} }} }}")
    assert sorted(shown([node["event"] for node in events["orphanedEvents"]["nodes"]]), key=str) == [
        ("second", None, None, []),  # the reorg removed its device too
        (None, "5", "5", []),
    ]
