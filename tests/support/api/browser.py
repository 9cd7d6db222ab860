"""The Chromium of this machine, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from tests.support.chain.devchain import REPOSITORY

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first draws the same pages without the windows of a browser: in half the time."""

PATIENCE_MILLISECONDS = 60_000
"""How long a step may take: the machine may be busy."""

FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-sync")

AXE = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLOR_RULES = ("color-contrast", "link-in-text-block")
LOOKS: tuple[tuple[int, Literal["light", "dark"], Sequence[str]], ...] = (
    (1280, "light", RULES),
    (1280, "dark", COLOR_RULES),
    (360, "light", RULES),
)
"""The widths and color schemes in which axe judges a page, and its rules there: a scheme changes colors alone."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yields a headless browser until the block ends."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise RuntimeError(f"no Chromium on PATH: apt-get install {NAMES[0]}, or set CHROMIUM=/path/to/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=os.geteuid() != 0)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        yield browser
        browser.close()


class Tab:
    """A tab that notes what must not happen: errors, and requests that leave the site. `page` drives it."""

    def __init__(self, browser: Browser, site: str, *, width: int = 1280, dark: bool = False) -> None:
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.complaints: list[str] = []
        self._site = site
        self.page.on("console", lambda message: self._note(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("dialog", lambda dialog: self._note(True, f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self._note(not self._is_ours(request.url), f"left: {request.url}"))

    def open(self, path: str) -> Response:
        response = self.page.goto(f"{self._site}{path}")
        assert response is not None
        return response

    def overflow(self) -> int:
        """Returns by how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def _is_ours(self, url: str) -> bool:
        return url.startswith((self._site, "data:", "about:"))

    def _note(self, wrong: bool, text: str) -> None:
        if wrong:
            self.complaints.append(text)
