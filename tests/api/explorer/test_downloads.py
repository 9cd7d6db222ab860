"""Links of lists to their rows as files: each file has what its page lists, at the point of the page."""

import csv
import io
import json

import pytest

from api.explorer.downloads import FORMATS
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, post

PAGES = {
    "/devices": ("devices", "device"),
    "/devices?state=RECYCLED&order=token": ("devices", "device"),
    "/devices?fails=imeiUnique&asOf=200": ("devices", "device"),
    "/events?kind=FACTORY_RESET&order=oldest": ("events", "event"),
    "/events?from=2025-02-01&to=2025-02-28": ("events", "event"),
    "/events?asOf=2025-01-01": ("events", "event"),
    "/manufacturers?order=name": ("manufacturers", "manufacturer"),
    "/manufacturers?license=VALID&asOf=150": ("manufacturers", "manufacturer"),
}


def rows_of(site: str, href: str) -> list[dict[str, str]]:
    response = CLIENT.get(f"{site}{href}")
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


@pytest.mark.parametrize("path", PAGES)
def test_a_file_has_the_rows_of_its_page(site: str, path: str) -> None:
    table, noun = PAGES[path]
    page = get_page(f"{site}{path}")
    rows = rows_of(site, page.link(f"/export/{table}.csv"))
    assert rows
    assert f"{len(rows):,} {noun}" in page.text
    assert len(page.links_to("/export/")) == len(FORMATS)
    for format in FORMATS:
        assert CLIENT.head(f"{site}{page.link(f'/export/{table}.{format}')}").status_code == 200


def test_the_order_of_a_file_is_that_of_the_page(site: str) -> None:
    for order, column in (("serial", "serialNumber"), ("oldest", "mintedAt")):
        page = get_page(f"{site}/devices?order={order}&state=IN_SERVICE")
        values = [row[column] for row in rows_of(site, page.link("/export/devices.csv"))]
        present = [value for value in values if value]
        assert values == sorted(present) + [""] * (len(values) - len(present))


def test_the_files_of_an_account_are_its_devices_and_the_grants_in_force(site: str) -> None:
    query = "{ authorizations(first: 1) { nodes { user device { owner } } } }"
    [grant] = post(f"{site}/graphql", {"query": query}).json()["data"]["authorizations"]["nodes"]
    owner, user = grant["device"]["owner"], grant["user"]
    owned = rows_of(site, get_page(f"{site}/owner/{owner}").link("/export/devices.csv"))
    assert {row["owner"] for row in owned} == {owner}
    page = get_page(f"{site}/user/{user}")
    shared = rows_of(site, page.link("/export/authorizations.csv"))
    assert {row["user"] for row in shared} == {user}
    assert f"{len(shared)} grants are in force" in page.text


@pytest.mark.parametrize("as_of", ["", "?asOf=200"])
def test_each_question_of_the_audit_has_the_file_of_its_list(site: str, as_of: str) -> None:
    page = get_page(f"{site}/audit{as_of}")
    files = page.links_to("/export/devices.csv?filter=")
    assert len(files) == sum("fails=" in link for link in page.links_to("/devices?")) > 1
    for href in files:
        assert f"{len(rows_of(site, href))} device" in page.text


def test_a_list_without_rows_has_no_file(site: str) -> None:
    assert get_page(f"{site}/devices?firmware=nobody-has-it").links_to("/export/") == []
    hostile = get_page(f"{site}/devices?q={json.dumps({'a': '<script>'})}")
    assert "<script>" not in hostile.response.text.partition("<main")[2]
