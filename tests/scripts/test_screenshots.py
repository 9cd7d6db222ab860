"""./scripts/screenshots takes pictures of every page of a running service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from api.settings import Settings
from scripts.pictures.__main__ import BESIDES, main, pages
from tests.support.api.server import serving
from tests.support.api.tour import PATTERNS
from tests.support.databases import Kind

pytestmark = pytest.mark.slow


def test_each_page_has_three_pictures(fleet_database: Callable[[Kind], str], tmp_path: Path) -> None:
    with serving(Settings(database_url=fleet_database("sqlite"))) as site:
        found = pages(site)
        assert len(found) == len(PATTERNS) + 1 + len(BESIDES) - 1  # the page of the search is one of those besides
        assert found.keys() >= {"home", "device", "device-compare", "past", "user", "reports-access", "no-such-page"}
        assert (found["home"], found["reports"]) == ("/", "/reports")
        assert found["user"].startswith("/user/0x")
        assert "asOf=" in found["past"]
        assert main(["--site", site, "--folder", str(tmp_path), "--only", "manufacturers"]) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {f"manufacturers-{view}.png" for view in ("light", "dark", "phone")}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in tmp_path.iterdir())
