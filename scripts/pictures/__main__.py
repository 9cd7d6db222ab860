"""The command of ./scripts/screenshots: finds the pages by their links, and takes three pictures of each."""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import httpx
from playwright.sync_api import Browser, FloatRect

from scripts.demonstration.requirements import HOST
from scripts.processes import Child, free_port
from tests.support.api.browser import Tab, chromium
from tests.support.api.server import CLIENT, post
from tests.support.api.tour import PATTERNS, tour
from tests.support.chain.devchain import REPOSITORY


class View(NamedTuple):
    """How a page is looked at: the width of the window in pixels, and whether it is dark."""

    name: str
    width: int
    dark: bool


VIEWS = (View("light", 1280, False), View("dark", 1280, True), View("phone", 390, False))

DOCUMENTED = {"start": "/", "device": "/devices?order=oldest"}
"""What the README shows, by the name of its pictures: the start page, and the first device of a list."""

PICTURES = REPOSITORY / "docs" / "pictures"
SHOWN: FloatRect = {"x": 0, "y": 0, "width": 1280, "height": 720}

BESIDES = {"search": "/search?q=SN", "nothing-found": "/search?q=nobody-has-this", "no-such-page": "/no-such-page"}
"""Pages that no link leads to, by the name of their pictures."""

UNPROVEN = """{ lifecycleEvents(
  first: 0
  filterBy: { finality: { eq: FINALIZED }, verification: { in: [RPC, BLOOM] } }
) { totalCount } }"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Takes the pictures and returns the exit status: 1 if a page fails, complains, or is wider than its window."""
    options = _options(arguments)
    if options.docs:
        return _document(options.site)
    options.folder.mkdir(parents=True, exist_ok=True)
    faults = []
    with _site(options.site) as site, chromium() as browser:
        chosen = [(name, path) for name, path in pages(site).items() if options.only in name]
        for (name, path), view in product(chosen, VIEWS):
            file = options.folder / f"{name}-{view.name}.png"
            faults += [f"{path}, {view.name}: {fault}" for fault in _take(browser, site, path, view, file)]
    print(f"the pictures are in {options.folder}")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _document(address: str | None) -> int:
    """Takes the pictures of the documentation, each of a whole window, light and dark."""
    with _site(address) as site, chromium() as browser:
        for (name, path), view in product(DOCUMENTED.items(), VIEWS[:2]):
            tab = Tab(browser, site, width=view.width, dark=view.dark)
            tab.open(path)
            if path != "/":
                tab.page.locator("a[href^='/device/']").first.click()
            tab.page.wait_for_load_state("networkidle")
            tab.page.screenshot(path=PICTURES / f"{name}-{view.name}.png", clip=SHOWN)
            tab.page.close()
    print(f"the pictures are in {PICTURES}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/screenshots",
        description="Pictures of every page of the explorer over the demo fleet: light, dark, and on a phone.",
        epilog="Example: ./scripts/screenshots --site http://127.0.0.1:8000 --only device",
    )
    parser.add_argument("--site", metavar="URL", help="a running service instead of a demo fleet of its own")
    parser.add_argument(
        "--folder", type=Path, default=REPOSITORY / ".screenshots", help="where to write (.screenshots)"
    )
    parser.add_argument("--docs", action="store_true", help="only the pictures of the README, to docs/pictures/")
    parser.add_argument("--only", metavar="NAME", default="", help="only pages whose name contains this text")
    return parser.parse_args(arguments)


@contextmanager
def _site(address: str | None) -> Iterator[str]:
    """Yields the address of a service: the one that is named, or a demo that is started first and stands still."""
    if address:
        yield address.rstrip("/")
        return
    port = free_port()
    demo = Child(
        [sys.executable, "-m", "scripts.demonstration", "--still", "--port", str(port)], environment=dict(os.environ)
    )
    try:
        site = f"http://{HOST}:{port}"
        print(f"starting the demo at {site}", flush=True)
        while not _is_proven(site):
            if demo.exit_status is not None:
                raise SystemExit(f"The demo ended with status {demo.exit_status}:\n{demo.last_output}")
            time.sleep(1)
        yield site
    finally:
        demo.stop()


def _is_proven(site: str) -> bool:
    """Returns whether the service is ready, and every final event is proven."""
    try:
        if CLIENT.get(f"{site}/readyz").status_code != 200:
            return False
        answer = post(f"{site}/graphql", {"query": UNPROVEN}).json()
    except httpx.TransportError:
        return False
    return bool(answer["data"]["lifecycleEvents"]["totalCount"] == 0)


def pages(site: str) -> dict[str, str]:
    """Returns an address of each page, by the name of its pictures."""
    addresses = dict(zip(PATTERNS, tour(site), strict=True))
    named = {_name(path): address for path, address in addresses.items()}
    device, _, mint = named["device-compare"].partition("/compare?from=")
    return {**named, "past": f"{device}?asOf={mint}", **BESIDES}


def _name(path: str) -> str:
    """Returns the name of a page: device-compare of /device/{did}/compare."""
    return re.sub(r"/{\w+}", "", path).strip("/").replace("/", "-") or "home"


def _take(browser: Browser, site: str, path: str, view: View, file: Path) -> Iterator[str]:
    """Writes a picture of a whole page. Yields what is wrong with the page."""
    tab = Tab(browser, site, width=view.width, dark=view.dark)
    tab.open(path)
    tab.page.screenshot(path=file, full_page=True)
    yield from (text for text in tab.complaints if path != BESIDES["no-such-page"])
    if tab.overflow() > 0:
        yield f"{tab.overflow()} pixels wider than the window"
    tab.page.close()


if __name__ == "__main__":
    sys.exit(main())
