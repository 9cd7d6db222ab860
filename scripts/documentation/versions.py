"""The sites of all releases beside each other, each with a list of the others.

A release is a tag vX.Y.Z. Its site is built by its own files, in a work tree of git, and stands in `html/X.Y.Z`; that
of the working tree stands in `html/next`. `html/versions.json` lists them as the tool mike does, which the theme reads.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
BUILDER = "scripts/documentation/versions.py"
"""A release without this file is left out: it does not build a site that lists others."""

NEXT = "next"


class Build(Protocol):
    """Builds the site of the working tree in `html` of a folder, and returns what is wrong with it."""

    def __call__(self, folder: Path, *, versioned: bool) -> list[str]: ...


def build_versions(folder: Path, build: Build, repository: Path = Path(__file__).parents[2]) -> list[str]:
    """Builds all sites in `html` of a folder, and returns what is wrong with them."""
    shutil.rmtree(folder, ignore_errors=True)
    tags = _releases(repository)
    wrong: list[str] = []
    for name in (NEXT, *tags):
        place = folder / "sites" / name.removeprefix("v")
        faults = build(place, versioned=True) if name == NEXT else _build_release(repository, name, place)
        wrong += [f"{name}: {fault}" for fault in faults]
        if not faults:
            (folder / "html").mkdir(parents=True, exist_ok=True)
            (place / "html").rename(folder / "html" / place.name)
    if not wrong:
        _write_list(folder / "html", [tag.removeprefix("v") for tag in tags])
    return wrong


def _releases(repository: Path) -> list[str]:
    """Returns the tags of releases that build a site, the newest first."""
    tags = filter(RELEASE.fullmatch, _git(repository, "tag", "--list", "v*").split())
    newest_first = sorted(tags, key=lambda tag: [int(part) for part in tag[1:].split(".")], reverse=True)
    return [tag for tag in newest_first if _git(repository, "ls-tree", "--name-only", tag, BUILDER)]


def _build_release(repository: Path, tag: str, place: Path) -> list[str]:
    with _work_tree(repository, tag) as tree:
        command = (sys.executable, "-m", "scripts.documentation.site", "--versioned", "--into", str(place.absolute()))
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else (done.stderr or done.stdout).splitlines()


@contextmanager
def _work_tree(repository: Path, tag: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="certindex-docs-") as folder:
        tree = Path(folder) / tag
        _git(repository, "worktree", "add", "--detach", "--quiet", str(tree), tag)
        try:
            yield tree
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _write_list(html: Path, releases: list[str]) -> None:
    """Writes the list of versions, and a start page that leads to the latest release."""
    latest = releases[0] if releases else NEXT
    names = [*releases, NEXT]
    versions = [{"version": name, "title": name, "aliases": ["latest"] if name == latest else []} for name in names]
    (html / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    (html / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>certindex</title><meta http-equiv="refresh" content="0; '
        f'url={latest}/index.html"><a href="{latest}/index.html">certindex {latest}</a>\n'
    )


def _git(repository: Path, *arguments: str) -> str:
    command = ("git", "-C", str(repository), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
