"""The explorer over the demo fleet, on each database, and a browser."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from api.settings import Settings
from tests.support.api.browser import chromium
from tests.support.api.server import serving
from tests.support.databases import KINDS, Kind


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    """The address of the explorer over the demo fleet, first on SQLite, then on PostgreSQL."""
    with serving(Settings(database_url=fleet_database(request.param))) as address:
        yield address


@pytest.fixture(scope="module")
def sqlite_site(fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    """The address of the explorer over the demo fleet on SQLite, for what happens in the browser alone."""
    with serving(Settings(database_url=fleet_database("sqlite"))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for a module without async tests: the thread of Playwright can run no other event loop."""
    with chromium() as browser:
        yield browser
