"""A tour of the explorer: an address of each page, reached by links, as a visitor reaches it."""

from collections import deque
from functools import cache

from starlette.routing import compile_path

from api.explorer.pages import PAGES
from tests.support.api.pages import get_page

STARTS = ("/devices?state=RECYCLED", "/search?q=A", "/")
"""Where the tour begins: a list of devices with a long history, a search that finds several things, the start page."""

PROBLEMS = (
    *("/nowhere", "/device/SN-1", "/owner/0x12", "/devices?state=BROKEN"),
    f"/device/did:erc721:31337:0x{'00' * 20}:1",
)
"""Addresses that are answered with an explanation."""

WITHOUT_A_ROW = ("/vehicles", "/vehicle/{did}", "/synthetic-device/{did}")
"""Pages of what the demo fleet does not have; test_vehicles.py judges them."""

PATTERNS = {page.path: compile_path(page.path)[0] for page in PAGES if page.path not in WITHOUT_A_ROW}


@cache
def tour(site: str) -> tuple[str, ...]:
    """Returns an address for each path of the table of pages. Fails for a page to which no link leads."""
    addresses: dict[str, str] = {}
    waiting = deque(STARTS)
    while waiting:
        link = waiting.popleft()
        path = _pattern(link)
        if path is not None and path not in addresses:
            page = get_page(f"{site}{link}", follow=True)
            addresses[path] = page.response.url.raw_path.decode()
            waiting += page.links
    assert not PATTERNS.keys() - addresses.keys(), "no link leads there"
    return tuple(addresses[path] for path in PATTERNS)


def stops(site: str) -> tuple[str, ...]:
    """Returns what every judge of pages looks at: each page, pages of the past and without results, and problems."""
    pages = tour(site)
    others = ("/?asOf=180", "/devices?firmware=nobody-has-it", "/search", "/search?q=nobody-has-this")
    return (*pages, *others, *PROBLEMS)


def _pattern(link: str) -> str | None:
    path = link.partition("#")[0].partition("?")[0]
    return next((pattern for pattern, regex in PATTERNS.items() if regex.match(path)), None)
