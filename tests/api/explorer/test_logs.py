"""The pages of transactions and blocks: every log in them, on the chain and on branches that a reorg removed."""

from collections.abc import Iterator

import pytest

from api.settings import Settings
from tests.support.api.feeding import Moving, minted, updated
from tests.support.api.pages import get_page
from tests.support.api.server import post, serving
from tests.support.chain.fakechain import emitted

NOBODY = "0x" + "77" * 32


@pytest.fixture
def register(moving: Moving) -> Iterator[str]:
    with serving(Settings(database_url=moving.url)) as address:
        yield address


async def test_a_transaction_shows_its_place_and_every_log_also_one_that_no_rule_describes(
    moving: Moving, register: str
) -> None:
    block = await moving.mine(*minted(1), emitted("Approval", owner=NOBODY[:42], approved=NOBODY[:42], tokenId=1))
    query = "{ lifecycleEvents(last: 1, filterBy: {kind: {eq: UNMAPPED}}) { nodes { transactionHash } } }"
    [event] = post(f"{register}/graphql", {"query": query}).json()["data"]["lifecycleEvents"]["nodes"]
    page = get_page(f"{register}/tx/{event['transactionHash']}")
    assert page.status == 200
    assert "A log that no rule describes" in page.text
    assert event["transactionHash"] in page.text
    assert f"/block/{block.number}" in page.links
    whole = get_page(f"{register}/block/{block.number}")
    assert "minted" in whole.text
    assert "A log that no rule describes" in whole.text
    assert f"/tx/{event['transactionHash']}" in whole.links


async def test_what_a_reorg_removed_has_its_pages_and_says_that_it_does_not_count(
    moving: Moving, register: str
) -> None:
    await moving.mine(*minted(1))
    lost = await moving.mine(updated(1, "6.6.6"))
    await moving.reorg(1, [updated(1, "7.7.7")])
    query = "{ orphanedEvents { nodes { event { transactionHash } } } }"
    [orphan] = post(f"{register}/graphql", {"query": query}).json()["data"]["orphanedEvents"]["nodes"]
    removed = get_page(f"{register}/tx/{orphan['event']['transactionHash']}")
    assert removed.status == 200
    assert "This transaction is no longer on the chain." in removed.text
    assert "6.6.6" in removed.text
    assert removed.link(f"/block/0x{lost.hash.hex()}")
    branch = get_page(f"{register}/block/0x{lost.hash.hex()}")
    assert "This block is no longer on the chain." in branch.text
    assert f"/block/0x{moving.node.head.hash.hex()}" in branch.links
    for key in (lost.number, f"0x{moving.node.head.hash.hex()}"):
        now = get_page(f"{register}/block/{key}")
        assert now.status == 200
        assert "7.7.7" in now.text
        assert ("6.6.6" in now.text) == (key == lost.number)


async def test_the_audit_lists_what_reorgs_removed(moving: Moving, register: str) -> None:
    assert "Did reorgs remove events?" in get_page(f"{register}/audit").text
    await moving.mine(*minted(1))
    for version in range(12):
        await moving.mine(updated(1, f"{version}.6.6"))
        await moving.reorg(1, [])
    first = get_page(f"{register}/audit")
    assert "12 events" in first.text
    assert "11.6.6" in first.text
    second = get_page(f"{register}{first.link('/audit?removed-after=')}")
    assert "0.6.6" in second.text


async def test_both_are_found_by_the_search(moving: Moving, register: str) -> None:
    await moving.mine(*minted(1))
    lost = await moving.mine(updated(1))
    await moving.reorg(1, [updated(1, "7.7.7")])
    query = "{ orphanedEvents { nodes { event { transactionHash } } } }"
    [orphan] = post(f"{register}/graphql", {"query": query}).json()["data"]["orphanedEvents"]["nodes"]
    for path in (f"/block/0x{lost.hash.hex()}", f"/block/0x{moving.node.head.hash.hex()}"):
        found = get_page(f"{register}/search?q={path.rpartition('/')[2]}")
        assert found.response.headers["location"] == path
    hash = orphan["event"]["transactionHash"]
    assert get_page(f"{register}/search?q={hash}").response.headers["location"] == f"/tx/{hash}"


async def test_a_block_leads_to_the_nearest_blocks_with_events(moving: Moving, register: str) -> None:
    await moving.mine(*minted(1))
    await moving.mine()
    await moving.mine(updated(1))
    assert "/block/3" in get_page(f"{register}/block/1").links
    assert "/block/1" in get_page(f"{register}/block/3").links
    nothing = get_page(f"{register}/block/2")
    assert nothing.status == 404
    assert {"/block/1", "/block/3"} <= set(nothing.links)


async def test_a_block_of_the_past_does_not_know_what_came_later(moving: Moving, register: str) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1))
    page = get_page(f"{register}/block/2?asOf=1")
    assert page.status == 404
    assert "/block/2" in page.links
