"""The page at /graphql loads from this service alone, and the query in each tab has an answer."""

import json
import re
from typing import Any

from graphql import build_schema, parse, validate

from api.graphql.schema import sdl
from api.settings import Settings
from tests.support.api.server import CLIENT, serving
from tests.support.databases import NewDatabase
from tests.support.index.history import BEGAN, History, log

SCHEMA = build_schema(sdl())
MAKER = "0x" + "aa" * 20
HASH = bytes(32)
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def mint(token: int) -> tuple[bytes, bytes]:
    device = f"0x{token:040x}"
    return log("CertificateMinted", token, device, 1, 10, f"SN-{token}", "356938035643809", BEGAN, "1.0.0")


def tabs(page: str) -> list[dict[str, Any]]:
    match = re.search(r'<script type="application/json" id="tabs">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return [{"query": tab["query"], "variables": json.loads(tab["variables"] or "{}")} for tab in json.loads(match[1])]


def test_the_query_of_each_tab_returns_data_about_a_device_in_the_database(new_database: NewDatabase) -> None:
    url = new_database()
    history = History(url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "</script><b>", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
    )
    for token in (5, 6, 7):
        history.block(mint(token))
    history.block(*(log("EndOfLifeRecorded", token, 1, BEGAN, "Plant", 0, "", HASH) for token in (6, 7)))
    history.block(log("FactoryReset", 7, MAKER, BEGAN, 1))
    history.close()
    with serving(Settings(database_url=url)) as address:
        page = CLIENT.get(f"{address}/graphql", headers=BROWSER)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        device, fleet, past, live = tabs(page.text)
        answers = [CLIENT.post(f"{address}/graphql", json=tab).json() for tab in (device, fleet, past)]
    assert [answer.get("errors") for answer in answers] == [None, None, None]
    assert not validate(SCHEMA, parse(live["query"]))
    assert answers[0]["data"]["device"]["serialNumber"] == "SN-7"
    assert answers[0]["data"]["device"]["factoryResets"]["totalCount"] == 1
    assert {name: connection["totalCount"] for name, connection in answers[1]["data"].items()} == {
        "unlicensed": 0,
        "qualityFailed": 0,
        "badImei": 0,
        "shippedBeforeQuality": 0,
        "activeAfterEndOfLife": 0,
        "notSanitized": 0,
    }
    # younger than a year: the past is its first block
    assert answers[2]["data"]["then"]["asOf"]["number"] == "4"
    assert answers[2]["data"]["now"]["asOf"]["number"] == "6"


def test_the_page_loads_while_there_is_no_database(new_empty_database: NewDatabase) -> None:
    with serving(Settings(database_url=new_empty_database())) as address:
        page = CLIENT.get(f"{address}/graphql", headers=BROWSER)
        assert page.status_code == 200
        assert tabs(page.text)[0]["variables"] == {"device": ""}


def test_the_page_loads_nothing_from_other_hosts(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url)) as address:
        page = CLIENT.get(f"{address}/graphql", headers=BROWSER)
        assert page.headers["content-security-policy"].startswith("default-src 'self';")
        assert "Accept" in page.headers["vary"].split(", ")
        sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert "/graphiql/graphiql.js" in sources
        for source in sources:
            assert source.startswith(("/", "data:")), source
            if source.startswith("/graphiql/"):
                assert CLIENT.get(f"{address}{source}").status_code == 200


def test_the_page_can_be_switched_off(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url, graphiql=False)) as address:
        answer = CLIENT.get(f"{address}/graphql", headers=BROWSER)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_the_schema_is_served_as_text(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url)) as address:
        answer = CLIENT.get(f"{address}/schema.graphql")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "type Device implements Node" in answer.text
