"""./scripts/docs builds the documentation as a site: its links lead somewhere, and it loads nothing from elsewhere."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from scripts.documentation import site as docs
from scripts.documentation.links import Html, faults
from scripts.documentation.sdl import ROOTS, Reference
from scripts.documentation.tables import REPOSITORY
from scripts.documentation.versions import build_versions
from tests.support.api.asking import SCHEMA
from tests.support.api.browser import Tab, chromium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert docs.build(folder) == []
    return folder / "html"


@pytest.fixture
def address(built: Path) -> Iterator[str]:
    with serving(built) as address:
        yield address


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_the_navigation_is_the_outline_of_the_documentation(built: Path) -> None:
    start = Html((built / "index.html").read_text())
    linked = [address.removeprefix("./") for _, address in start.links]
    assert [place for place in docs.pages() if place.replace(".md", ".html") not in linked] == []


def test_every_type_and_every_field_has_an_anchor(built: Path) -> None:
    pages = (built / docs.REFERENCE).glob("*.html")
    anchors = {anchor for page in pages for anchor in Html(page.read_text()).ids}
    assert {name for name in names() if name.lower() not in anchors} == set()


def names() -> Iterator[str]:
    """Yields the anchors of the reference in the schema's own capitals."""
    for name, type_ in SCHEMA._schema.type_map.items():
        if name.startswith("__"):
            continue
        if name in ROOTS and isinstance(type_, GraphQLObjectType):
            yield from type_.fields
            yield from (f"{field}-{argument}" for field in type_.fields for argument in type_.fields[field].args)
            continue
        yield name
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            shared = {field for interface in getattr(type_, "interfaces", ()) for field in interface.fields}
            yield from (f"{name}-{field}" for field in type_.fields if field not in shared)


def test_every_value_of_an_enum_is_described(built: Path) -> None:
    text = (built / docs.REFERENCE / "enums.html").read_text()
    enums = [type_ for type_ in SCHEMA._schema.type_map.values() if isinstance(type_, GraphQLEnumType)]
    for enum in enums:
        assert enum.name.startswith("__") or all(f"<code>{value}</code>" in text for value in enum.values)


def test_a_reader_searches_and_the_browser_asks_no_other_site(address: str) -> None:
    with chromium() as browser:
        tab = Tab(browser, address, dark=True)
        tab.open("/reference/graphql/queries.html")
        tab.page.locator(".md-search__button").click()
        tab.page.get_by_role("combobox").fill("everHadAddress")
        tab.page.locator('[role=option][href*="reference/graphql/inputs.html"]').first.click()
        tab.page.wait_for_url(re.compile("inputs.html.*#device"))
        assert tab.page.locator("[data-md-color-scheme=slate]").count() > 0
        assert tab.complaints == []


def test_each_release_has_a_site_that_lists_the_others(tmp_path: Path) -> None:
    """0.1.0 is of a time without a site, and 0.2.0 has another first page than the working tree."""
    repository = repository_with_releases(tmp_path / "repository")
    site = tmp_path / "site"
    assert build_versions(site, docs.build, repository) == []
    listed = json.loads((site / "html/versions.json").read_text())
    assert [(each["version"], each["aliases"]) for each in listed] == [("0.2.0", ["latest"]), ("next", [])]
    assert "url=0.2.0/index.html" in (site / "html/index.html").read_text()
    with serving(site / "html") as address, chromium() as browser:
        tab = Tab(browser, address)
        tab.open("/next/start.html")
        assert "Started in 0.2.0" not in tab.page.content()
        links = tab.page.locator(".md-version__link")
        links.first.wait_for(state="attached")
        assert links.all_text_contents() == ["0.2.0", "next"]
        links.first.dispatch_event("click")  # the list opens below the pointer
        tab.page.wait_for_url("**/0.2.0/**")
        tab.open("/0.2.0/start.html")
        assert "Started in 0.2.0" in tab.page.content()
        assert tab.page.locator(".md-version__current").inner_text() == "0.2.0"
        assert tab.complaints == []


def repository_with_releases(folder: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(("git", "-C", str(folder), *identity, *arguments), check=True, capture_output=True)

    folder.mkdir()
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "nothing yet")
    git("tag", "v0.1.0")
    git("tag", "v0.1.1-rc.1")
    git(f"--work-tree={REPOSITORY}", "add", "--all")
    git("commit", "--quiet", "--message", "as it is")
    git("checkout", "--force", "--quiet", "HEAD")
    start = folder / "docs/start.md"
    start.write_text(start.read_text() + "\nStarted in 0.2.0.\n")
    git("commit", "--quiet", "--all", "--message", "another page")
    git("tag", "v0.2.0")
    return folder


def test_a_broken_link_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text('<h1 id="one">There</h1>')
    (tmp_path / "page.html").write_text(
        '<a href="there.html#one"></a><a href="https://a.example"></a><a href="/there.html"></a><a href="mailto:a"></a>'
    )
    assert faults(tmp_path) == []
    (tmp_path / "page.html").write_text(
        '<a href="there.html#two"></a><a href="gone.html"></a><img src="//cdn.example/a.png"><img srcset="gone.png">'
    )
    assert faults(tmp_path) == [
        "page.html: there.html#two has no such anchor",
        "page.html: gone.html is missing",
        "page.html: //cdn.example/a.png is loaded from another site",
        "page.html: gone.png is missing",
    ]


def test_a_broken_link_between_pages_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = docs.pages() | {"start.md": "# Start here\n\n[Gone](gone.md)\n"}
    monkeypatch.setattr(docs, "pages", lambda: pages)
    assert docs.build(tmp_path) == ["Aborted because --strict flag is set; the warnings are above"]


def test_a_root_field_without_an_example_fails_the_build() -> None:
    with pytest.raises(ValueError, match="no example of the query device"):
        Reference(docs.SDL.read_text(), {}, str)


def test_without_the_extra_the_command_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zensical", None)
    assert docs.main([]) == 1
    assert "pip install 'certindex[docs]'" in capsys.readouterr().err
