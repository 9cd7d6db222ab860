"""Look-ups of many keys: each has the row that the export has, or says that no or several devices have it."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from api.exports.lookup import MAX_CANDIDATES
from api.settings import Settings
from tests.support.api.asking import Json
from tests.support.api.server import CLIENT, DEVICE, HASH, MAKER, serving
from tests.support.databases import KINDS, Kind
from tests.support.index.history import History, log

CSV, JSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> str:
    return fleet_database(request.param)


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url, max_body_bytes=100_000)) as address:
        yield address


def look_up(address: str, keys: list[Any], **parameters: Any) -> list[Json]:
    response = CLIENT.post(f"{address}/lookup", content=json.dumps(keys), headers=JSON, params=parameters)
    assert response.status_code == 200, response.text
    rows: list[Json] = response.json()["rows"]
    return rows


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline=""), strict=True))


def devices(address: str, **parameters: Any) -> list[Json]:
    return [
        json.loads(line) for line in CLIENT.get(f"{address}/export/devices.ndjson", params=parameters).text.splitlines()
    ]


READ: dict[str, Callable[[Json], Any]] = {
    "serialNumber": lambda device: device["serialNumber"],
    "imei": lambda device: device["imei"] and device["imei"]["value"].replace(" ", "-"),
    "devEUI": lambda device: device["devEUI"],
    "address": lambda device: device["address"] and device["address"].lower(),
    "tokenId": lambda device: device["tokenId"],
    "tokenDID": lambda device: device["tokenDID"],
}


@pytest.mark.parametrize("name", READ)
def test_every_key_finds_the_rows_of_the_export(address: str, name: str) -> None:
    listed = devices(address)
    keys = [key for device in listed if (key := READ[name](device))]
    assert keys
    rows = look_up(address, keys, by=name)
    assert [row["lookup"] for row in rows] == keys
    for row in rows:
        having = [device for device in listed if READ[name](device) == row["lookup"]]
        if row["result"] == "MATCH":
            assert [row["device"]] == having
        else:
            assert row["result"] == "AMBIGUOUS"
            assert {device["tokenDID"] for device in having} <= set(row["candidates"])
            assert row["device"] is None
            assert len(row["candidates"]) > 1
    assert sum(row["result"] == "MATCH" for row in rows) > len(rows) / 2


def test_csv_has_the_rows_of_json(address: str) -> None:
    keys = [device["serialNumber"] for device in devices(address) if device["serialNumber"]] + ["none", "=1"]
    body = "\ufeffowner,Lookup\n" + "".join(f'x,"{key}"\n' for key in keys)
    response = CLIENT.post(f"{address}/lookup", content=body.encode(), headers=CSV)
    rows, expected = table(response), look_up(address, keys)
    assert [row["lookup"] for row in rows] == [*keys[:-1], "'=1"]
    assert [row["result"] for row in rows] == [row["result"] for row in expected]
    assert [row["candidates"].split() for row in rows] == [row["candidates"] for row in expected]
    assert [row["key"] for row in rows] == [(row["device"] or {"key": ""})["key"] for row in expected]
    as_of = CLIENT.get(f"{address}/export/devices.csv").headers["as-of"]
    assert response.headers["as-of"] == as_of
    (block,) = CLIENT.post(f"{address}/lookup", content=body, headers=CSV, params={"format": "json"}).json()["blocks"]
    assert "; ".join(f"{name}={text}" for name, text in block.items()) == as_of


@pytest.mark.parametrize("header", ["", "lookup\n", "\nlookup\n", "owner,lookup\n"])
def test_an_empty_cell_between_others_has_a_row_so_that_rows_stay_beside_their_cells(address: str, header: str) -> None:
    (key,) = [device["serialNumber"] for device in devices(address) if device["serialNumber"]][:1]
    cells = [key, "", "none", "", "", key, "", ""]
    lines = [f"x,{cell}" if cell else "," for cell in cells] if "," in header else cells
    rows = table(CLIENT.post(f"{address}/lookup", content=header + "\n".join(lines), headers=CSV))
    assert [row["lookup"] for row in rows] == cells[:6]
    assert {row["result"] for row in rows if not row["lookup"]} == {"NONE"}


def test_the_state_at_an_earlier_block_is_looked_up(address: str) -> None:
    earlier = {device["tokenDID"]: device for device in devices(address, asOf="20")}
    keys = [device["tokenDID"] for device in devices(address)]
    rows = look_up(address, keys, asOf="20")
    assert {row["lookup"]: row["device"] for row in rows if row["result"] == "MATCH"} == earlier
    assert {row["result"] for row in rows} == {"MATCH", "NONE"}


@pytest.mark.parametrize(
    ("content", "headers", "parameters", "status", "words"),
    [
        (b"[]", {"Content-Type": "text/plain"}, {}, 415, "send text/csv, application/json"),
        (b"[]", JSON, {"by": "name"}, 400, 'by is "name": it is any (the default), serialNumber'),
        (b"[]", JSON, {"format": "parquet"}, 400, "Formats: csv, json"),
        (b"[]", JSON, {"filter": "{}"}, 400, 'no parameter "filter"'),
        (b"[]", JSON, {"asOf": "999999999"}, 400, "asOf.block is 999999999"),
        (b"[", JSON, {}, 400, "The body is not JSON"),
        (b'"SN"', JSON, {}, 400, "no list of keys"),
        (b'{"key": []}', JSON, {}, 400, "no list of keys"),
        (b'["a", null]', JSON, {}, 400, "Key 1 is null"),
        (b'["a", 1.5]', JSON, {}, 400, "Key 1 is 1.5"),
        (b"a,b\n1,2\n", CSV, {}, 400, 'name that of the keys "lookup"'),
        (b"\xff\xfe", CSV, {}, 400, "not UTF-8"),
        (b'"a\n', CSV, {}, 400, "not CSV"),
        (b"[" + b"0," * 10_000 + b"0]", JSON, {}, 400, "10001 keys: send at most 10000"),
        (b"x" * 200_000, CSV, {}, 413, "larger than 100000 bytes"),
    ],
)
def test_bad_input_is_refused_and_named(
    address: str, content: bytes, headers: dict[str, str], parameters: Json, status: int, words: str
) -> None:
    refused = CLIENT.post(f"{address}/lookup", content=content, headers=headers, params=parameters)
    assert (refused.status_code, words in refused.json()["error"]) == (status, True), refused.text
    assert refused.headers["cache-control"] == "no-store"


def test_other_methods_are_refused_and_no_keys_have_no_rows(address: str) -> None:
    refused = CLIENT.get(f"{address}/lookup")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert look_up(address, []) == []
    assert table(CLIENT.post(f"{address}/lookup", content=b"", headers=CSV)) == []


HOSTILE = ["'", "%", "\\", 'a"b', "ünïcode ✓", "x" * 200, "x" * 199 + "y", "\u0000", "-1", "0x" + "00" * 20, "1" * 90]


def test_hostile_and_shared_keys(sqlite_url: str) -> None:
    history = History(sqlite_url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
    )
    serials = [*HOSTILE, *["SHARED"] * (MAX_CANDIDATES + 2), "3"]
    history.block(
        *(
            log("CertificateMinted", token, DEVICE, 1, 10, serial, "", 1_600_000_000, "1.0.0")
            for token, serial in enumerate(serials, 1)
        )
    )
    history.close()
    with serving(Settings(database_url=sqlite_url, request_rate="100/minute")) as address:
        rows = look_up(address, [*HOSTILE, "SHARED", "3", "x" * 201, 1])
        assert (
            CLIENT.post(f"{address}/lookup", content=b"'-1\n", headers=CSV)
            .text.splitlines()[1]
            .startswith("'-1,MATCH,")
        )
    results = {row["lookup"]: row["result"] for row in rows}
    own = {row["lookup"]: row["device"]["tokenId"] for row in rows if row["result"] == "MATCH"}
    assert results["SHARED"] == results["3"] == "AMBIGUOUS"
    assert len(next(row for row in rows if row["lookup"] == "SHARED")["candidates"]) == MAX_CANDIDATES
    assert results["x" * 201] == "NONE"
    assert {key: own.get(key) for key in HOSTILE if key != "\u0000"} == {
        key: str(HOSTILE.index(key) + 1) for key in HOSTILE if key != "\u0000"
    }
    assert own["1"] == "1"


def test_keys_count_against_the_rate(sqlite_url: str) -> None:
    History(sqlite_url).close()
    with serving(Settings(database_url=sqlite_url, max_cost=5, cost_rate="5/hour")) as address:
        keys = ["a"] * 5
        assert [row["result"] for row in look_up(address, keys)] == ["NONE"] * 5
        refused = CLIENT.post(f"{address}/lookup", content=json.dumps(keys), headers=JSON)
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
        refused = CLIENT.post(f"{address}/lookup", content=json.dumps(keys + keys), headers=JSON)
        assert (refused.status_code, "at most 5" in refused.json()["error"]) == (400, True)
