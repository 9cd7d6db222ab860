"""Pages of the explorer: what a reader sees, and where the links lead."""

from collections import Counter, deque
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urlsplit

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


FILES = ("/schema.graphql", "/graphql", "/devices/", "/export/", "/epcis/", "/1.0/")
"""How addresses of the site begin that are no pages: the schema, GraphiQL, bundles, exports, EPCIS events, DIDs."""

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class Crawl:
    """What somebody meets who follows the links of a site: the addresses by their kind, and those that fail."""

    kinds: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def kind_of(path: str) -> str:
    """Returns what addresses of one page have in common: /device/*/compare?from."""
    parts = urlsplit(path)
    _, first, *rest = ("*" if name.startswith("did:") else name for name in parts.path.split("/"))
    names = "&".join(sorted(name for name, _ in parse_qsl(parts.query)))
    return "/".join(["", first, *(["*", *rest[1:]] if rest else [])]) + (f"?{names}" if names else "")


def crawl(site: str, each: int) -> Crawl:
    """Follows the links from the start page to the first `each` addresses of every kind.

    An address with parameters is read, but its links are not followed: filters and cursors have no end.
    """
    found = Crawl()
    waiting = deque([("/", "the start")])
    seen = {"/"}
    met: Counter[str] = Counter()
    while waiting:
        path, source = waiting.popleft()
        met[kind := kind_of(path)] += 1
        if met[kind] > each:
            continue
        found.kinds.setdefault(kind, []).append(path)
        if path.startswith(FILES):
            status, links = CLIENT.get(f"{site}{path}", headers=BROWSER).status_code, []
        else:
            page = get_page(f"{site}{path}", follow=True)
            status, links = page.status, page.links
        if status != 200:
            found.broken[path] = f"{status}, a link of {source}"
        for link in links if "?" not in path else ():
            target = urldefrag(link).url
            if target.startswith("/") and target not in seen:
                seen.add(target)
                waiting.append((target, path))
    return found
