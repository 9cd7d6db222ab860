"""The command of ./scripts/docs: builds the documentation as a site in .site/html, or serves it and follows changes.

With --versions, the sites of all releases stand beside each other (`versions.py`).
"""

import argparse
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from graphql import GraphQLError

from scripts.documentation.links import faults
from scripts.documentation.sdl import INTRODUCTIONS, Reference, examples, file_of
from scripts.documentation.tables import REPOSITORY
from scripts.documentation.versions import build_versions

DOCS = REPOSITORY / "docs"
SDL = REPOSITORY / "schema" / "schema.graphql"
FOLDER = REPOSITORY / ".site"
REFERENCE = "reference/graphql"
"""The folder of the pages that the schema describes."""

BESIDE = {
    "README.md": "index.md",
    "docs/README.md": "contents.md",
    "CONTRIBUTING.md": "contributing/set-up.md",
    "CHANGELOG.md": "contributing/changelog.md",
    "SECURITY.md": "contributing/security.md",
}
"""Pages whose place in the site is another than in docs/, by their place in the repository."""

FILES = {"site.css": Path(__file__).with_name("site.css"), "icon.svg": REPOSITORY / "api/explorer/static/icon.svg"}
PICTURE = re.compile(r'<picture><source [^>]*srcset="([^"]+)"><img src="([^"]+)"[^>]*?alt="([^"]+)"></picture>')
LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s:#]+)(#[^)\s]+)?\)")
EXTRA = "the site needs the extra certindex[docs] (%s): pip install 'certindex[docs]'"

VERSIONED = '\n[project.extra.version]\nprovider = "mike"\n'
"""Lets each page list the sites of `versions.json`, as the tool mike lays them out."""

UNFIT = (ValueError, GraphQLError)
"""Errors of what the pages are made from; a message names the place."""

Navigation = dict[str, "str | list[Navigation]"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if a link is broken or the site would load something from elsewhere."""
    options = _options(arguments)
    try:
        import watchfiles  # noqa: F401
        import zensical  # noqa: F401
    except ImportError as error:
        print("docs:", EXTRA % error, file=sys.stderr)
        return 1
    if options.serve:
        _serve(FOLDER, options.port)
        return 0
    folder = FOLDER if options.into is None else options.into
    wrong = build_versions(folder, build) if options.versions else build(folder, versioned=options.versioned)
    for line in wrong:
        print("docs:", line, file=sys.stderr)
    if not wrong:
        print(f"docs: {folder}/html/index.html")
    return bool(wrong)


def build(folder: Path, *, versioned: bool = False) -> list[str]:
    """Builds the site in `html` of a folder, and returns what is wrong with it.

    `versioned`: its pages list the sites that stand beside it.
    """
    import zensical

    try:
        zensical.build(str(prepare_anew(folder, versioned)), {"clean": True, "strict": True})
    except UNFIT as error:
        return [str(error)]
    except RuntimeError as error:
        return [f"{error}; the warnings are above"]
    return faults(folder / "html")


def prepare_anew(folder: Path, versioned: bool = False) -> Path:
    """Writes the pages into an empty folder: none of an earlier build remains."""
    shutil.rmtree(folder, ignore_errors=True)
    return prepare(folder, versioned)


def prepare(folder: Path, versioned: bool = False) -> Path:
    """Writes the pages and the configuration of the site. Returns the path of the configuration."""
    source = folder / "source"
    for name, text in pages().items():
        _write(source / name, text.encode())
    for name, path in FILES.items() | {(f"pictures/{path.name}", path) for path in DOCS.glob("pictures/*")}:
        _write(source / name, path.read_bytes())
    config = folder / "zensical.toml"
    _write(config, (_config() + (VERSIONED if versioned else "")).encode())
    return config


def _serve(folder: Path, port: int) -> None:
    import zensical

    config = prepare_anew(folder)
    Thread(target=_follow, args=(folder,), daemon=True).start()
    zensical.serve(str(config), {"dev_addr": f"127.0.0.1:{port}", "open": False, "strict": False})


def _follow(folder: Path) -> None:
    """Writes the pages again whenever a file that they come from changes; the server notices the new ones."""
    from watchfiles import watch

    for _ in watch(DOCS, SDL, *map(REPOSITORY.joinpath, BESIDE), *FILES.values()):
        try:
            prepare(folder)
        except UNFIT as error:
            print("docs:", error, file=sys.stderr)


def _write(path: Path, content: bytes) -> None:
    """Writes a file if its content differs: each write has the server build the page again."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pages() -> dict[str, str]:
    """Returns the pages of the site as Markdown, by their place in it."""
    written = {place: _for_site(name, place) for name, place in _places().items()}
    return written | {f"{REFERENCE}/{name}": text for name, text in _reference().items()}


def _places() -> dict[str, str]:
    """Returns the place in the site of each page, by its place in the repository."""
    pages = {path.relative_to(REPOSITORY).as_posix(): path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    return pages | BESIDE


def _reference() -> dict[str, str]:
    return Reference(SDL.read_text(), examples((DOCS / "reference/graphql.md").read_text()), _link_to_page).pages


def _link_to_page(name: str) -> str:
    """Returns the link from the reference to a page of docs/, by its title."""
    title = (DOCS / name).read_text().partition("\n")[0].removeprefix("# ")
    return f"[{title}]({os.path.relpath(name, REFERENCE)})"


def _for_site(name: str, place: str) -> str:
    """Returns a page of the repository with links that fit its place in the site."""

    def moved(target: str) -> str | None:
        path = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120
        there = _places().get(path) or (path.removeprefix("docs/") if path.startswith("docs/pictures/") else None)
        return there and os.path.relpath(there, os.path.dirname(place) or ".")  # noqa: PTH120

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        there = moved(target)
        if there:
            return f"[{text}]({there}{anchor})"
        return f"`{text}`" if "/" in text else text  # a file of the repository, which the site does not have

    def picture(match: re.Match[str]) -> str:
        dark, light, text = moved(match[1]), moved(match[2]), match[3]
        return f"![{text}]({light}#only-light)\n![{text}]({dark}#only-dark)\n"

    text = LINK.sub(link, (REPOSITORY / name).read_text())
    return PICTURE.sub(picture, text)


def _config() -> str:
    """Returns the configuration of zensical: the file beside this one, the version and the navigation."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    text = Path(__file__).with_name("zensical.toml").read_text().replace("VERSION", project["version"])
    return text + "".join(f"\n[[project.nav]]\n{_toml(entry)[1:-1]}\n" for entry in navigation())


def navigation() -> list[Navigation]:
    """Returns the outline of docs/README.md, with the pages that have their place in the site alone."""
    outline: dict[str, list[Navigation]] = {}
    for section in (DOCS / "README.md").read_text().split("\n## ")[1:]:
        links = re.findall(r"^- \[(.+?)\]\((.+?)\)", section, re.MULTILINE)
        outline[section.partition("\n")[0]] = [{title: _place(path)} for title, path in links]
    first, *_ = outline.values()
    first[:0] = [{"What certindex is": BESIDE["README.md"]}]
    first.append({"All pages": BESIDE["docs/README.md"]})
    outline["Contributing"] += [{"Security": BESIDE["SECURITY.md"]}, {"Changelog": BESIDE["CHANGELOG.md"]}]
    reference = outline["Reference"]
    at = reference.index({"GraphQL": f"{REFERENCE}.md"})
    types: list[Navigation] = [{title: f"{REFERENCE}/{file_of(title)}"} for title in INTRODUCTIONS]
    reference[at] = {"GraphQL": [{"Examples": f"{REFERENCE}.md"}, *types]}
    return [{title: list(links)} for title, links in outline.items()]


def _place(link: str) -> str:
    path = os.path.normpath(f"docs/{link}")
    if path not in _places():
        raise ValueError(f"docs/README.md links to {link}, which is no page")
    return _places()[path]


def _toml(value: "str | Navigation | list[Navigation]") -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/docs", description="Builds the documentation as a site in .site/html."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--serve", action="store_true", help="serve it instead, and build pages again when they change")
    what.add_argument(
        "--versions",
        action="store_true",
        help="build the site of each tag vX.Y.Z, and of the working tree (next), beside each other",
    )
    parser.add_argument("--versioned", action="store_true", help=argparse.SUPPRESS)  # one site of --versions
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="folder of the site (default: .site)")
    parser.add_argument("--port", type=int, default=8001, help="port of --serve, on 127.0.0.1 (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
