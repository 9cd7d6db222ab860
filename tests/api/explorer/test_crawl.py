"""Whoever follows the links of the pages meets no error."""

import pytest

from tests.support.api.pages import crawl

pytestmark = pytest.mark.slow

EACH = 8
"""Addresses of each kind that are read. One template makes all links of a kind."""


def test_every_kind_of_link_of_every_page_leads_to_a_page(site: str) -> None:
    found = crawl(site, EACH)
    assert found.broken == {}
    assert found.kinds.keys() >= {
        *("/", "/devices", "/device/*", "/device/*/certificate", "/device/*/compare", "/owner/*", "/user/*"),
        *("/manufacturers", "/manufacturer/*", "/model/*", "/events", "/block/*", "/tx/*"),
        *("/devices/*/bundle.json", "/1.0/*/*", "/epcis/*/*/events", "/schema.graphql", "/graphql"),
    }
