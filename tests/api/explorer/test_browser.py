"""What a visitor does, in a real browser."""

import json
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.api.browser import Tab
from tests.support.api.server import post

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(sqlite_site: str) -> str:
    return sqlite_site


@pytest.fixture
def tab(browser: Browser, site: str) -> Iterator[Tab]:
    tab = Tab(browser, site)
    yield tab
    tab.page.close()
    assert tab.complaints == []


@pytest.fixture(scope="module")
def serial(site: str) -> str:
    query = "{ devices(first: 1, filterBy: {endOfLifeStatus: {eq: RECYCLED}}) { nodes { serialNumber } } }"
    answer = post(f"{site}/graphql", {"query": query}).json()
    return str(answer["data"]["devices"]["nodes"][0]["serialNumber"])


def test_a_serial_number_in_the_search_leads_to_the_device(tab: Tab, serial: str) -> None:
    tab.open("/")
    tab.page.get_by_role("searchbox").fill(serial)
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(serial)
    tab.page.get_by_role("link", name="reasons and evidence").click()
    expect(tab.page.get_by_role("heading", name="What an auditor asks")).to_be_in_viewport()


def test_the_past_is_one_click_away_and_so_is_the_way_back(tab: Tab, serial: str) -> None:
    tab.open(f"/search?q={serial}")
    tab.page.get_by_text("Now", exact=True).click()
    tab.page.get_by_label("After a block").fill("180")
    tab.page.get_by_label("After a block").press("Enter")
    expect(tab.page.get_by_text("You are looking at the past.")).to_be_visible()
    tab.page.get_by_role("link", name="Back to now").first.click()
    expect(tab.page.get_by_text("You are looking at the past.")).to_be_hidden()


def test_a_menu_closes_on_escape_and_elsewhere(tab: Tab) -> None:
    tab.open("/")
    menu = tab.page.locator("details.as-of-control")
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    tab.page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    tab.page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_a_shortened_hash_is_copied_whole(tab: Tab, site: str, serial: str) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    tab.open(f"/search?q={serial}")
    button = tab.page.locator("[data-copy]").first
    button.click()
    assert tab.page.evaluate("navigator.clipboard.readText()") == button.get_attribute("data-copy")


@pytest.mark.parametrize("text", ["it's", "{serial}"])
def test_the_request_of_a_page_runs_in_a_shell(tab: Tab, site: str, serial: str, text: str) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    sought = text.format(serial=serial)
    tab.open(f"/search?q={sought}")
    tab.page.get_by_role("button", name="Copy as curl").click()
    command = str(tab.page.evaluate("navigator.clipboard.readText()"))
    done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, check=True)
    assert "errors" not in json.loads(done.stdout)
    assert (serial in done.stdout.decode()) == (sought == serial)


def test_this_page_as_a_query_opens_the_editor_with_the_document_and_its_variables(tab: Tab, serial: str) -> None:
    tab.open(f"/search?q={serial}")
    tab.page.get_by_role("link", name="This page as a query").click()
    tab.page.wait_for_selector(".graphiql-execute-button")
    expect(tab.page.locator(".graphiql-query-editor")).to_contain_text("query Device")
    tab.page.locator(".graphiql-execute-button").click()
    expect(tab.page.locator(".result-window")).to_contain_text("tokenDID")


def test_the_certificate_is_one_page_of_paper(tab: Tab, serial: str) -> None:
    tab.open(f"/search?q={serial}")
    tab.page.get_by_role("link", name="Printable certificate").click()
    expect(tab.page.get_by_role("button", name="Print")).to_be_visible()
    assert tab.page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1
