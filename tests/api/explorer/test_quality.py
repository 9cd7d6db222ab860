"""What public tools and a reader without a mouse, a screen or JavaScript find on every page of the explorer."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.api.browser import AXE, LOOKS, Tab
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT
from tests.support.api.tour import stops, tour
from tests.support.chain.devchain import REPOSITORY

pytestmark = pytest.mark.slow

TOOLS = REPOSITORY / "node_modules"
HTML_VALIDATE = (TOOLS / ".bin" / "html-validate", "--config", REPOSITORY / "tests/support/api/html-validate.json")
STYLES = (REPOSITORY / "api" / "explorer").rglob("*.css")
BREAKPOINTS = re.findall(r"\((max|min)-width: (\d+)px\)", "".join(style.read_text() for style in STYLES))
WIDTHS = sorted({360, 1280, 3840} | {int(pixels) + (side == "max") for side, pixels in BREAKPOINTS})
"""The narrowest window of each layout, a phone, and 4K."""

LARGEST_PAGE = 100_000
"""Bytes that a page may transfer, with its style sheet, scripts and pictures."""


@pytest.fixture(scope="module")
def site(sqlite_site: str) -> str:
    return sqlite_site


def test_every_page_is_valid_html(site: str, tmp_path: Path) -> None:
    names = {}
    for number, stop in enumerate(stops(site)):
        names[f"{tmp_path}/{number}.html"] = stop
        Path(tmp_path, f"{number}.html").write_bytes(CLIENT.get(f"{site}{stop}").content)
    report = tmp_path / "report.json"  # a pipe would be cut off
    done = subprocess.run([*HTML_VALIDATE, "--formatter", f"json={report}", tmp_path], capture_output=True, text=True)
    findings = [
        f"{names[page['filePath']]}:{message['line']}: {message['ruleId']}: {message['message']}"
        for page in json.loads(report.read_text())
        for message in page["messages"]
    ]
    assert findings == []
    assert done.returncode == 0, done.stderr


def test_axe_finds_nothing_on_any_page(browser: Browser, site: str) -> None:
    tab = Tab(browser, site)
    tab.page.add_init_script(path=AXE)
    tab.page.emulate_media(reduced_motion="reduce")  # colors that fade in are not judged half way
    violations = []
    for stop in stops(site):
        tab.open(stop)
        tab.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        for width, scheme, rules in LOOKS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            tab.page.emulate_media(color_scheme=scheme)
            for rule in tab.page.evaluate("rules => axe.run({ runOnly: rules }).then(run => run.violations)", rules):
                violations += [f"{stop} {width} {scheme}: {rule['id']}: {_what(node)}" for node in rule["nodes"]]
    tab.page.close()
    assert violations == []


def _what(node: Any) -> str:
    return f"{node['html'][:200]}: {node['failureSummary']}".replace("\n", " ")


def test_every_page_has_one_title_of_its_own_and_one_first_heading(site: str) -> None:
    titles = []
    for stop in tour(site):
        html = CLIENT.get(f"{site}{stop}").text
        titles += re.findall("<title>(.+?)</title>", html.partition("</head>")[0])
        assert len(re.findall("<h1[ >]", html)) == 1, stop
    assert len(set(titles)) == len(tour(site)), titles


def test_every_page_is_whole_without_javascript(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for stop in stops(site):
        page.goto(f"{site}{stop}")
        expect(page.locator("h1")).to_be_visible()
        for button in page.get_by_role("button").all():
            assert button.get_attribute("type") == "submit", f"{stop}: {button.inner_text()} needs JavaScript"
    context.close()


def test_a_visitor_without_javascript_searches_moves_to_the_past_and_pages(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/devices")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="Previous")).to_be_visible()
    page.locator(".as-of-control summary").click()
    page.get_by_label("After a block").fill("180")
    page.get_by_label("After a block").press("Enter")
    expect(page.get_by_text("You are looking at the past.")).to_be_visible()
    serial = page.locator("a[href^='/device/']").first.inner_text()
    page.get_by_role("searchbox").first.fill(serial)
    page.get_by_role("searchbox").first.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(serial)
    context.close()


def test_no_page_is_wider_than_the_window_from_360_pixels_to_4k(browser: Browser, site: str) -> None:
    tab = Tab(browser, site)
    wide = []
    for stop in stops(site):
        tab.open(stop)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            if (overflow := tab.overflow()) > 0:
                wide.append(f"{stop}: by {overflow} at {width}")
    tab.page.close()
    assert wide == []


def test_what_has_the_focus_is_outlined_on_every_page(browser: Browser, site: str) -> None:
    tab = Tab(browser, site)
    tab.page.add_init_script(NOTE_FOCUS)
    for stop in stops(site):
        tab.open(stop)
        for focus in (focuses := _focuses(tab)):
            assert focus["outline"] > 0, f"{stop}: {focus['html']} shows no focus"
            assert focus["visible"], f"{stop}: {focus['html']} has the focus and is not seen"
        assert len(focuses) > 5, stop
    tab.page.close()


def _focuses(tab: Tab) -> list[dict[str, Any]]:
    """Presses the tab key until the focus leaves the page or comes back, and returns what had the focus."""
    for _ in range(20):
        for _ in range(20):
            tab.page.keyboard.press("Tab")
        focuses: list[dict[str, Any]] = tab.page.evaluate("focuses")
        if tab.page.evaluate("wasEverywhere"):
            return focuses
    raise AssertionError("400 presses of the tab key lead to no end")


NOTE_FOCUS = """
const reached = new Set([null]);
window.focuses = [];
window.wasEverywhere = false;
addEventListener("keydown", () => {
  const element = document.activeElement === document.body ? null : document.activeElement;
  if (focuses.length || element) wasEverywhere ||= reached.has(element);
  if (wasEverywhere || !element) return;
  reached.add(element);
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  focuses.push({
    html: element.outerHTML.slice(0, 200),
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    visible: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
  });
}, true);
"""
"""Notes what has the focus each time that a key is pressed: a question after each press would take twice the time."""


def test_nothing_moves_if_the_reader_prefers_so(browser: Browser, site: str) -> None:
    page = browser.new_page(reduced_motion="reduce")
    for stop in stops(site):
        page.goto(f"{site}{stop}")
        assert page.evaluate(MOVING) == [], stop
    page.close()


MOVING = """() => [...document.querySelectorAll("*")].filter((element) => {
  const style = getComputedStyle(element);
  const seconds = (style.transitionDuration + "," + style.animationDuration).split(",").map(parseFloat);
  return Math.max(...seconds) > 0.01 || style.scrollBehavior === "smooth";
}).map((element) => element.outerHTML.slice(0, 200))"""


def test_a_page_and_its_files_transfer_less_than_100_kilobytes(browser: Browser, site: str) -> None:
    page = browser.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})  # a new browser for each page would cost more
    for stop in stops(site):
        page.goto(f"{site}{stop}", wait_until="load")
        sizes = page.evaluate(SIZES)
        assert min(sizes.values()) > 0, (stop, sizes)
        assert sum(sizes.values()) < LARGEST_PAGE, (stop, sizes)
    page.close()


SIZES = """() => Object.fromEntries(
  [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map((entry) => [entry.name, entry.transferSize])
)"""


def test_every_certificate_is_one_sheet_of_a4(browser: Browser, site: str) -> None:
    page = browser.new_page()
    devices = [link for state in STATES for link in get_page(f"{site}/devices?state={state}").links_to("/device/")[:2]]
    assert len(devices) >= len(STATES)
    for device in devices:
        page.goto(f"{site}{device}/certificate")
        pdf = page.pdf(prefer_css_page_size=True)
        assert pdf.count(b"/Type /Page\n") == 1, device
        width, height = map(float, re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)[0])
        assert (width, height) == pytest.approx(A4_POINTS, abs=1), device
    page.close()


A4_POINTS = (595.28, 841.89)
STATES = ("IN_SERVICE", "DECOMMISSIONED", "RECYCLED", "DISPOSED")


def test_the_page_of_a_device_prints_on_a4_within_its_margins(browser: Browser, site: str) -> None:
    tab = Tab(browser, site, width=680)  # A4 less the margins, at 96 pixels an inch
    tab.page.emulate_media(media="print")
    for stop in tour(site):
        tab.open(stop)
        assert tab.overflow() <= 0, stop
        assert tab.page.pdf(format="A4").count(b"/Type /Page\n") >= 1
    tab.page.close()


def test_a_register_prints_on_wide_paper_and_states_its_filter_and_how_many_rows_it_has(
    browser: Browser, site: str
) -> None:
    devices = CLIENT.post(f"{site}/graphql", json={"query": "{ devices(first: 1) { nodes { tokenDID } } }"}).json()
    did = devices["data"]["devices"]["nodes"][0]["tokenDID"]
    tab = Tab(browser, site, width=1016)  # A4 on its side, less the margins
    tab.page.emulate_media(media="print")
    tab.open(f"/reports/software-updates?device={did}")
    assert f"device: {did}" in tab.page.inner_text("main")
    assert "Remove all" not in tab.page.inner_text("main")
    tab.open("/reports/software-updates")
    total, shown = re.findall(r"(\d+) rows; a file has|100 of (\d+) rows are on this page", tab.page.inner_text("main"))
    assert total[0] == shown[1]
    table = tab.page.locator("main table")
    shares = [width / sum(widths) for widths in [table.evaluate(COLUMN_WIDTHS)] for width in widths]
    assert min(shares) > 0.1
    assert shares[0] > 0.2, "the column of the device"
    pdf = tab.page.pdf(prefer_css_page_size=True)
    for width, height in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf):
        assert (float(height), float(width)) == pytest.approx(A4_POINTS, abs=1)
    assert pdf.count(b"/Type /Page\n") < 100 / 3 + 2
    tab.page.close()


def test_a_list_of_devices_prints_on_wide_paper_with_each_name_on_one_line(browser: Browser, site: str) -> None:
    tab = Tab(browser, site, width=1016)
    tab.page.emulate_media(media="print")
    tab.open("/devices")
    pdf = tab.page.pdf(prefer_css_page_size=True)
    for width, height in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf):
        assert (float(height), float(width)) == pytest.approx(A4_POINTS, abs=1)
    names = tab.page.locator("main tbody td:first-child a")
    assert set(names.evaluate_all("(links) => links.map((link) => link.getClientRects().length)")) == {1}
    tab.page.close()


COLUMN_WIDTHS = "(table) => [...table.querySelectorAll('thead th')].map((cell) => cell.offsetWidth)"
