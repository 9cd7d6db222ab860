"""Pages that follow a chain that goes on: an indexer beside the service, and a browser that waits."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from api.settings import Settings
from scripts.processes import Child
from tests.support.api.browser import Tab
from tests.support.api.server import CLIENT, serving
from tests.support.fleet import Fleet, RecordedAct, start_chain
from tests.support.index.fleet import NOW, index_fleet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small_fleet() -> Iterator[Fleet]:
    with start_chain(NOW) as chain:
        yield Fleet.build(chain, devices=3, now=NOW)


@pytest.fixture
def followed(small_fleet: Fleet, database_url: str) -> Iterator[str]:
    """The URL of a database that an indexer keeps up to date with the fleet."""
    index_fleet(small_fleet, database_url)
    environment = os.environ | small_fleet.settings | {"DATABASE_URL": database_url, "POLL_INTERVAL": "0.5"}
    indexer = Child([sys.executable, "-m", "indexer", "run"], environment=environment)
    yield database_url
    indexer.stop()
    print(indexer.last_output)  # shown if the test failed


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    """The path of a manifest without a document of ours."""
    manifest = tmp_path / "trusted.json"
    manifest.write_text(json.dumps({"version": "{ _meta { version } }"}))
    return str(manifest)


def test_an_event_that_happens_appears_on_a_page_that_is_open(
    browser: Browser, small_fleet: Fleet, followed: str, trusted: str
) -> None:
    for manifest in (None, trusted):
        with serving(Settings(database_url=followed, trusted_documents=manifest)) as site:
            tab = Tab(browser, site)
            tab.open("/events")
            expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
            recorded = next(small_fleet.live())
            link = tab.page.locator(f".event-new a[href='/tx/{recorded.transaction_hash}']")
            expect(link.first).to_be_visible()
            tab.page.close()
        assert tab.complaints == []


def test_what_happens_before_the_stream_is_open_appears_even_if_the_server_is_busy_then(
    browser: Browser, small_fleet: Fleet, sqlite_url: str
) -> None:
    index_fleet(small_fleet, sqlite_url)
    recorded: list[RecordedAct] = []
    fetched: list[Route] = []

    def happen(route: Route) -> None:
        recorded.append(next(small_fleet.live()))
        index_fleet(small_fleet, sqlite_url)
        route.continue_()

    def refuse_once(route: Route) -> None:
        fetched.append(route)
        if len(fetched) == 1:
            route.fulfill(status=503)
        else:
            route.continue_()

    with serving(Settings(database_url=sqlite_url)) as site:
        tab = Tab(browser, site)
        tab.page.route("**/graphql/stream*", happen)
        tab.open("/events")
        tab.page.route("**/events", refuse_once)
        expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
        expect(tab.page.locator(f".event-new a[href='/tx/{recorded[0].transaction_hash}']").first).to_be_visible()
        assert len(fetched) == 2
        tab.page.close()


def test_a_list_that_a_reader_is_in_is_replaced_when_the_reader_leaves_it(
    browser: Browser, small_fleet: Fleet, sqlite_url: str
) -> None:
    index_fleet(small_fleet, sqlite_url)
    with serving(Settings(database_url=sqlite_url)) as site:
        tab = Tab(browser, site)
        with tab.page.expect_event("requestfinished", lambda request: request.resource_type == "fetch"):
            tab.open("/events")
        tab.page.locator(".event a").first.focus()
        before = tab.page.locator(".lead [data-live]").inner_text()
        recorded = next(small_fleet.live())
        index_fleet(small_fleet, sqlite_url)
        expect(tab.page.locator(".lead [data-live]")).not_to_have_text(before)
        link = tab.page.locator(f".event-new a[href='/tx/{recorded.transaction_hash}']")
        expect(link).to_have_count(0)
        tab.page.get_by_role("searchbox").first.focus()
        expect(link.first).to_be_visible()
        tab.page.close()


def test_a_part_that_has_not_changed_stays_as_the_reader_left_it(browser: Browser, sqlite_site: str) -> None:
    tab = Tab(browser, sqlite_site)
    with tab.page.expect_event("requestfinished", lambda request: request.resource_type == "fetch"):
        tab.open("/events")
        tab.page.evaluate("document.querySelector('.event').classList.add('mine')")
    tab.page.wait_for_timeout(1000)
    assert tab.page.locator(".mine").count() == 1
    tab.page.close()


def test_after_a_reorg_the_events_of_the_new_branch_are_new_and_none_that_only_moved_up(
    browser: Browser, small_fleet: Fleet, followed: str
) -> None:
    chain, contract = small_fleet.chain, small_fleet.contract
    before = chain.snapshot()
    owner = contract.call("ownerOf", 1)
    chain.request("anvil_setBalance", owner, hex(10**18))
    updates = [(1, version, bytes(32), 0, 0) for version in ("8.0.0", "8.0.1", "9.0.0")]
    with serving(Settings(database_url=followed)) as site:
        tab = Tab(browser, site)
        tab.open("/events")
        expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
        for update in updates[:2]:
            contract.post("updateFirmware", *update, sender=owner)
        chain.mine()
        expect(tab.page.locator(".event-new", has_text="8.0.1")).to_be_visible()
        chain.reorg(1, [(contract.transaction("updateFirmware", *updates[2], sender=owner), 0)])
        expect(tab.page.locator(".event-new", has_text="9.0.0")).to_be_visible()
        expect(tab.page.locator(".event", has_text="8.0.")).to_have_count(0)
        assert tab.page.locator(".event-new").count() == 1
        tab.page.close()
    chain.revert(before)


def test_a_page_of_the_past_is_not_live(browser: Browser, sqlite_site: str) -> None:
    tab = Tab(browser, sqlite_site)
    tab.open("/events?asOf=150")
    expect(tab.page.get_by_text("Live", exact=True)).to_be_hidden()
    tab.page.close()


def test_with_trusted_documents_no_other_subscription_is_served(sqlite_url: str, trusted: str) -> None:
    with serving(Settings(database_url=sqlite_url, trusted_documents=trusted)) as site:
        query = "subscription { lifecycleEvents { event { id } } }"
        answer = CLIENT.get(f"{site}/graphql/stream", params={"query": query})
    assert "Only trusted documents" in answer.text
