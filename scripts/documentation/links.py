"""The check of a built site: each link leads to a page, file or anchor of it, and it loads nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADED = {"link", "script", "img", "source", "iframe", "video", "audio", "object", "embed"}
"""Elements whose address the browser requests by itself."""


class Html(HTMLParser):
    """`ids` are the anchors of a page, `links` pairs of an element's name and its address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src", "srcset", "data") and value:
                self.links.append((tag, value))


def faults(site: Path) -> list[str]:
    """Returns what is wrong with the links of a site, a line each: `page: link`, and why."""
    site = site.resolve()
    pages = {path: Html(path.read_text()) for path in sorted(site.rglob("*.html"))}
    return [
        f"{path.relative_to(site)}: {address} {fault}"
        for path, page in pages.items()
        for tag, address in page.links
        for fault in _faults(site, path, tag, address, pages)
    ]


def _faults(site: Path, path: Path, tag: str, address: str, pages: Mapping[Path, Html]) -> Iterator[str]:
    target, anchor = urldefrag(address)
    parts = urlsplit(target)
    if parts.scheme in ("data", "mailto"):
        return
    if parts.scheme or parts.netloc:
        if tag in LOADED:
            yield "is loaded from another site"
        return
    folder = site if parts.path.startswith("/") else path.parent
    file = (folder / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    file = file / "index.html" if file.is_dir() else file
    if not file.exists():
        yield "is missing"
    elif anchor and file in pages and unquote(anchor) not in pages[file].ids:
        yield "has no such anchor"
