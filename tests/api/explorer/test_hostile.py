"""Texts that anybody may have written on chain never run, and never break the layout of a page."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from api.settings import Settings
from tests.support.api.browser import Tab
from tests.support.api.hostile_register import BOB, DID, SCRIPT, build_hostile_register
from tests.support.api.pages import get_page
from tests.support.api.server import serving
from tests.support.databases import NewDatabase, on_sqlite

pytestmark = pytest.mark.slow

PATHS = (
    *("/", "/devices", f"/device/{DID}", f"/device/{DID}/certificate", f"/owner/{BOB}", f"/user/0x{1:040x}"),
    *("/events", "/events?kind=TEST_RECORDED", f"/events?device={quote(SCRIPT)}"),
    *("/reports/software-updates", "/reports/sanitizations", "/reports/access", "/reports/licenses"),
    *(f"/reports/access?device={quote(SCRIPT)}",),
    *("/verify", "/status", "/audit", "/block/1", "/block/2", f"/tx/0x{1 << 32 | 1:064x}", "/block/9"),
    *(f"/device/{DID}/compare", f"/device/{DID}/compare?from=0", f"/device/{DID}/compare?from={quote(SCRIPT)}"),
    *(
        "/manufacturers",
        "/manufacturer/1",
        "/model/10",
        f"/manufacturers?name={quote(SCRIPT)}",
        f"/model/{quote(SCRIPT)}",
    ),
    *(f"/search?q={quote(SCRIPT)}", f"/search?q={BOB}", f"/{quote(SCRIPT)}"),
)


@pytest.fixture(scope="module")
def register(new_module_database: NewDatabase) -> Iterator[str]:
    """The address of the explorer over a register with hostile texts, first on SQLite, then on PostgreSQL."""
    url = new_module_database()
    build_hostile_register(url)
    with serving(Settings(database_url=url)) as address:
        yield address


@pytest.fixture(scope="module")
def tab(browser: Browser, register: str) -> Iterator[Tab]:
    tab = Tab(browser, register)
    yield tab
    tab.page.close()


@pytest.mark.parametrize("path", PATHS)
def test_no_text_becomes_markup(register: str, path: str) -> None:
    page = get_page(f"{register}{path}", follow=True)
    assert page.status in (200, 400, 404)
    assert "<script>window" not in page.response.text
    assert "<img" not in page.response.text
    assert not any(character in page.response.text for character in "\x00\x1b\u202e\u2066\ufeff")
    assert not [link for link in page.links if not link.startswith(("/", "#", "https://a.example/"))]


@on_sqlite("new_module_database")
@pytest.mark.parametrize("path", PATHS)
def test_no_text_runs_or_breaks_the_layout(tab: Tab, path: str) -> None:
    tab.complaints.clear()
    status = tab.open(path).status
    for width in (1280, 360):
        tab.page.set_viewport_size({"width": width, "height": 900})
        assert tab.page.evaluate("window.ran") is None
        assert tab.overflow() <= 0, width
    assert [text for text in tab.complaints if status == 200 or str(status) not in text] == []
