"""Reports over HTTP, on both databases: their rows are those of GraphQL and of the files, and the unknown is said."""

import csv
import io
from typing import Any

import httpx
import pytest

from api.explorer.reports import ACCESS, LICENSES, REPORTS, SANITIZATIONS, SOFTWARE_UPDATES, Report
from api.settings import Settings
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, DEVICE, HASH, MAKER, post, serving
from tests.support.index.history import History, log

OWNED = "{ devices(first: 1, filterBy: {endOfLifeStatus: {eq: IN_SERVICE}}) { nodes { owner tokenDID } } }"


def rows_of(site: str, href: str) -> list[dict[str, str]]:
    response: httpx.Response = CLIENT.get(f"{site}{href}")
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def ask(site: str, query: str) -> Any:
    return post(f"{site}/graphql", {"query": query}).json()["data"]


def test_the_reports_are_listed_and_each_is_linked(site: str) -> None:
    page = get_page(f"{site}/reports")
    assert page.status == 200
    assert set(page.links_to("/reports/")) == {report.path for report in REPORTS}
    assert page.link("/reports/access")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.table)
def test_a_report_has_the_rows_of_its_file_and_says_what_is_not_recorded(site: str, report: Report) -> None:
    page = get_page(f"{site}{report.path}")
    rows = rows_of(site, page.link(f"/export/{report.table}.csv"))
    assert f"{len(rows)} rows" in page.text
    for row in rows[:100]:
        transaction = row.get("transactionHash") or row["grant.transactionHash"]
        assert transaction in page.text
    assert page.text.count("not recorded") == len(report.not_recorded)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.table)
def test_a_report_of_the_past_names_its_point_and_the_block_of_the_index(site: str, report: Report) -> None:
    (block,) = post(f"{site}/graphql", {"query": "{ devices(first: 1) { totalCount } }"}).json()["extensions"]["asOf"]
    for as_of, point in (("2025-03-01", "on 1 Mar 2025, 23:59:59 UTC"), ("200", "after block 200")):
        page = get_page(f"{site}{report.path}?asOf={as_of}")
        index = f"as it was {point}; read from the index of chain {block['chainId']}, block {block['number']}"
        assert index in " ".join(page.text.split())
    assert "read from the index of" not in get_page(f"{site}{report.path}").text


@pytest.mark.parametrize("report", [SOFTWARE_UPDATES, SANITIZATIONS, ACCESS], ids=lambda report: report.table)
def test_filters_and_the_point_are_those_of_the_file(site: str, report: Report) -> None:
    device = ask(site, OWNED)["devices"]["nodes"][0]
    for parameters in (
        f"device={device['tokenDID']}",
        f"owner={device['owner']}",
        "manufacturer=1",
        "from=2025-01-01&to=2025-06-30",
        "asOf=2025-03-01",
        "asOf=200&manufacturer=1",
    ):
        page = get_page(f"{site}{report.path}?{parameters}")
        assert page.status == 200
        rows = rows_of(site, page.link(f"/export/{report.table}.csv"))
        assert f"{len(rows):,} row" in page.text
    everything = rows_of(site, get_page(f"{site}{report.path}").link(f"/export/{report.table}.csv"))
    assert 0 < len(rows) < len(everything)


def test_the_licenses_of_an_owner_are_those_of_its_manufacturers(site: str) -> None:
    owners = ask(site, "{ manufacturers { nodes { tokenId owner } } }")["manufacturers"]["nodes"]
    owner = owners[0]["owner"]
    owned = {row["tokenId"] for row in owners if row["owner"] == owner}
    page = get_page(f"{site}/reports/licenses?owner={owner}")
    assert {link.rpartition("/")[2] for link in page.links_to("/manufacturer/")} == owned
    hardware = ask(site, "{ hardwareLicenses(first: 100) { nodes { hardwareLicenseId manufacturer { tokenId } } } }")
    models = {
        row["hardwareLicenseId"]
        for row in hardware["hardwareLicenses"]["nodes"]
        if row["manufacturer"]["tokenId"] in owned
    }
    assert {link.rpartition("/")[2] for link in page.links_to("/model/")} == models
    rows = rows_of(site, page.link("/export/licenses.csv"))
    named = {row["manufacturer.tokenId"] or row["hardwareLicense.manufacturer.tokenId"] for row in rows}
    assert named == owned
    assert f"{len(rows)} rows match" in page.text
    nobody = get_page(f"{site}/reports/licenses?owner=0x{'12' * 20}")
    assert "No manufacturer of this owner is recorded" in nobody.text
    assert "No hardware license of this owner is recorded" in nobody.text


def test_a_period_selects_the_grants_in_force_in_it(site: str) -> None:
    page = get_page(f"{site}/reports/access?from=2025-02-01&to=2025-02-28")
    rows = rows_of(site, page.link("/export/authorizations.csv"))
    everything = rows_of(site, get_page(f"{site}/reports/access").link("/export/authorizations.csv"))
    first, last = "2025-02-01T00:00:00Z", "2025-02-28T23:59:59Z"
    never = "9"
    assert rows == [
        row
        for row in everything
        if row["grantedAt"] <= last and (row["revokedAt"] or never) >= first and (row["expiresAt"] or never) > first
    ]
    assert 0 < len(rows) < len(everything)


def test_pages_lead_to_the_reports_of_what_they_show(site: str) -> None:
    device = ask(site, OWNED)["devices"]["nodes"][0]
    for path in (f"/device/{device['tokenDID']}", f"/owner/{device['owner']}", "/audit"):
        page = get_page(f"{site}{path}")
        assert get_page(f"{site}{page.link('/reports')}").status == 200


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("owner=x", 400),
        ("manufacturer=x", 400),
        ("from=yesterday", 400),
        ("to=2025-13-01", 400),
        ("asOf=x", 400),
        ("asOf=999999", 400),
        ("after=x", 400),
    ],
)
def test_a_wrong_parameter_is_explained(site: str, parameters: str, status: int) -> None:
    for report in REPORTS:
        if report is LICENSES and parameters in ("manufacturer=x", "after=x"):
            continue  # it has no such filter, and three lists
        page = get_page(f"{site}{report.path}?{parameters}")
        assert page.status == status
        assert parameters.partition("=")[2] in page.text


def test_what_an_event_leaves_out_and_unknown_codes_are_said(sqlite_url: str) -> None:
    history = History(sqlite_url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
        log("CertificateMinted", 1, DEVICE, 1, 10, "SN-1", "", 1_600_000_000, "1.0.0"),
    )
    history.block(
        log("FirmwareUpdated", 1, "", "2.0.0", bytes(32), 9, 2**63),
        log("EndOfLifeRecorded", 1, 8, 0, "", 7, "", bytes(32)),
    )
    history.close()
    with serving(Settings(database_url=sqlite_url)) as address:
        updates = get_page(f"{address}/reports/software-updates").text
        assert "Unknown result" in updates
        assert "code 9" in updates
        assert updates.count("not stated") >= 2  # the version before, the time
        steps = get_page(f"{address}/reports/sanitizations").text
        assert "Unknown step" in steps
        assert "code 8" in steps
        assert "code 7" in steps
        assert "no address stated" in steps
