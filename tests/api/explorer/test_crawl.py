"""Whoever follows the links of the pages meets no error."""

from collections.abc import Callable

import pytest

from api.settings import Settings
from tests.support.api.pages import crawl
from tests.support.api.server import serving
from tests.support.databases import Kind

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "each"), [("sqlite", 8), ("postgresql", 3)])
def test_every_kind_of_link_of_every_page_leads_to_a_page(
    fleet_database: Callable[[Kind], str], kind: Kind, each: int
) -> None:
    """Reads so many addresses of each kind: one template makes all links of a kind, on both databases."""
    with serving(Settings(database_url=fleet_database(kind))) as site:
        found = crawl(site, each)
    assert found.broken == {}
    assert found.kinds.keys() >= {
        *("/", "/devices", "/device/*", "/device/*/certificate", "/device/*/compare", "/owner/*", "/user/*"),
        *("/manufacturers", "/manufacturer/*", "/model/*", "/events", "/block/*", "/tx/*"),
        *("/devices/*/bundle.json", "/1.0/*/*", "/epcis/*/*/events", "/schema.graphql", "/graphql"),
    }
