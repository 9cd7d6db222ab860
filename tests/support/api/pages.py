"""Pages of the explorer: what a reader sees, and where the links lead."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

from tests.support.api.server import CLIENT

UNSEEN = {"script", "style", "title", "head"}
VOID = {"br", "hr", "img", "input", "link", "meta"}


@dataclass
class Page:
    """A response, read as a browser reads it: the text that is shown, and the addresses of links and files."""

    response: httpx.Response
    text: str = ""
    links: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.response.status_code

    def links_to(self, start: str) -> list[str]:
        """Returns all links whose address begins so."""
        return [link for link in self.links if link.startswith(start)]

    def link(self, start: str) -> str:
        """Returns the first link whose address begins so."""
        return next(link for link in self.links if link.startswith(start))


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._unseen = 0
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self._unseen += tag in UNSEEN
        if tag == "a" and values.get("href"):
            self._page.links.append(str(values["href"]))
        if source := values.get("src") or (values.get("href") if tag == "link" else None):
            self._page.files.append(source)

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in UNSEEN
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._page.text += data


def get_page(url: str, *, follow: bool = False, tag: str = "") -> Page:
    """Requests a page, unless it has the ETag `tag`, and reads it. Its elements must be closed in order."""
    response = CLIENT.get(url, headers={"accept": "text/html", "if-none-match": tag}, follow_redirects=follow)
    page = Page(response)
    reader = _Reader(page)
    reader.feed(response.text)
    assert reader.open == []
    page.text = " ".join(page.text.split())
    return page
