"""Exports over HTTP: they have the rows and the values of GraphQL, at one block, however the download goes."""

import asyncio
import csv
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sqlalchemy import text
from starlette.middleware.gzip import GZipResponder

from api.app import THREAD_BYTES
from api.exports.refusals import refusal_of
from api.exports.table import FOLDER, NAMES
from api.graphql.errors import BadUserInput, Reason
from api.graphql.plan.write import CSV, FORMULA
from api.settings import Settings
from schema.tables.database import connect
from tests.support.api.asking import Json, asking
from tests.support.api.server import CLIENT, DEVICE, HASH, MAKER, serving
from tests.support.databases import KINDS, Kind
from tests.support.index.history import History, log

CHUNK = 7
"""Rows of a chunk: MAX_COST bounds it."""

PARAMETERS: dict[str, Json] = {
    "devices": {
        "filter": {"or": [{"endOfLifeStatus": {"eq": "IN_SERVICE"}}, {"imeiValid": {"eq": "FAIL"}}]},
        "orderBy": {"field": "SERIAL_NUMBER", "direction": "DESC"},
    },
    "events": {
        "filter": {"kind": {"in": ["FIRMWARE_UPDATED", "DEVICE_MINTED"]}},
        "orderBy": {"field": "EVENT_TIME", "direction": "ASC"},
    },
    "authorizations": {"scope": "ALL"},
    "manufacturers": {"filter": {"licenseStatus": {"eq": "VALID"}}},
    "hardware-licenses": {"filter": {"model": {"ne": "Tracker"}}},
    "flags": {"filter": {"block": {"gte": "12"}}, "orderBy": {"field": "POSITION", "direction": "DESC"}},
    "software-updates": {"filter": {"recordTime": {"gte": "2025-01-01T00:00:00Z"}}},
    "sanitizations": {"filter": {"device": {"endOfLifeStatus": {"eq": "RECYCLED"}}}},
    "licenses": {"orderBy": {"field": "POSITION", "direction": "ASC"}},
    "vehicles": {"filter": {"burned": False}},
    "synthetic-devices": {"orderBy": {"field": "TOKEN_ID", "direction": "ASC"}},
}


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> str:
    return fleet_database(request.param)


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url, max_cost=CHUNK)) as address:
        yield f"{address}/export"


def get(address: str, file: str, **parameters: Any) -> httpx.Response:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return CLIENT.get(f"{address}/{file}", params=texts)


def in_time(address: str) -> httpx.Response:
    """Repeats a request until the rate of the client, and the number of downloads, allow it."""
    while (response := CLIENT.get(address)).status_code in (429, 503):
        time.sleep(float(response.headers["retry-after"]) / 10)
    return response


def rows_of(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline=""), strict=True))


def nodes_of(url: str, name: str, variables: Json) -> list[Json]:
    """Returns the nodes of all pages of a table's own query, by GraphQL."""
    document = (FOLDER / f"{name}.graphql").read_text()
    document = document.replace("after: $at", "first: 100, after: $at").replace(
        "nodes {", "pageInfo { endCursor hasNextPage } nodes {", 1
    )
    nodes: list[Json] = []
    at = None
    with asking(url) as api:
        while True:
            (page,) = asyncio.run(api.ask(document, at=at, **variables)).values()
            nodes += page["nodes"]
            at = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return nodes


def cells(node: Any, names: list[str]) -> list[str]:
    """Returns a node as the cells of a line of CSV."""
    return list(map(cell, values(node, names)))


def values(node: Any, names: list[str]) -> list[Any]:
    return [value_at(node, name.split(".")) for name in names]


def value_at(node: Any, path: list[str]) -> Any:
    for name in path:
        node = None if node is None else node.get(name)
    return node


def cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return " ".join(map(str, value))
        case str() if value.startswith(("=", "+", "-", "@", "\t", "\r")):
            return f"'{value}"
        case _:
            return str(value)


VEHICLES = ("vehicles", "synthetic-devices")
"""The tables that the fleet has no rows of."""


@pytest.mark.parametrize("parameters", [{}, PARAMETERS], ids=["all", "some"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in VEHICLES])
def test_a_table_has_the_nodes_of_graphql_in_their_order(
    database_url: str, address: str, name: str, parameters: dict[str, Json]
) -> None:
    chosen = parameters.get(name, {})
    nodes = nodes_of(database_url, name, chosen)
    assert nodes
    lines = [json.loads(line) for line in get(address, f"{name}.ndjson", **chosen).text.splitlines()]
    keys = list(lines[0])[1:]
    assert [list(line)[1:] for line in lines] == [keys] * len(nodes)
    assert {key for node in nodes for key in node} <= set(keys)
    rows = rows_of(get(address, f"{name}.csv", **chosen))
    assert [row["key"] for row in rows] == [line["key"] for line in lines]
    names = list(rows[0])[1:]
    assert [list(row.values())[1:] for row in rows] == [cells(node, names) for node in nodes]
    assert [values(line, names) for line in lines] == [values(node, names) for node in nodes]


def test_the_counts_are_those_of_sql(database_url: str, address: str) -> None:
    engine = connect(database_url, read_only=True)
    with engine.connect() as connection:
        devices = connection.execute(text("SELECT count(*) FROM device")).scalar_one()
        grants = connection.execute(text('SELECT count(*) FROM "authorization"')).scalar_one()
    engine.dispose()
    assert len(rows_of(get(address, "devices.csv"))) == devices > CHUNK
    assert len(rows_of(get(address, "authorizations.csv", scope="ALL"))) == grants > CHUNK


@pytest.mark.parametrize("parameters", [{}, PARAMETERS], ids=["all", "some"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_parquet_has_the_rows_of_ndjson(address: str, name: str, parameters: dict[str, Json]) -> None:
    chosen = parameters.get(name, {})
    lines = [json.loads(line) for line in get(address, f"{name}.ndjson", **chosen).text.splitlines()]
    response = get(address, f"{name}.parquet", **chosen)
    assert response.status_code == 200, response.text
    table = parquet.read_table(io.BytesIO(response.content))
    assert table.to_pylist() == [
        {field.name: arrow_value(value_at(line, field.name.split(".")), field) for field in table.schema}
        for line in lines
    ]


def arrow_value(value: Any, field: Any) -> Any:
    """Returns a value of NDJSON as Parquet has it."""
    is_time = str(field.type).startswith("timestamp")
    return datetime.fromisoformat(value) if is_time and value is not None else value


def test_the_metadata_of_parquet_name_block_and_digest(address: str) -> None:
    response = get(address, "devices.parquet")
    facts = json.loads(parquet.read_schema(io.BytesIO(response.content)).metadata[b"certindex"])
    (block,) = facts["blocks"]
    assert facts["table"] == "devices"
    assert "; ".join(f"{name}={text}" for name, text in block.items()) == response.headers["as-of"]
    again = CLIENT.get(f"{address.removesuffix('/export')}{response.headers['content-location']}")
    assert again.content == response.content
    refused = CLIENT.get(f"{address.removesuffix('/export')}{response.headers['content-location']}&after=1:2:3")
    assert (refused.status_code, "download it again" in refused.json()["error"]) == (400, True)


def test_parquet_without_its_package_is_refused_with_the_name_of_the_extra(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = get(address, "devices.parquet")
    assert (refused.status_code, "pip install 'certindex[parquet]'" in refused.json()["error"]) == (501, True)


@pytest.mark.parametrize("name", NAMES)
def test_the_description_of_a_table_names_its_columns(address: str, name: str) -> None:
    described = get(address, f"{name}.schema.json").json()
    exported = get(address, f"{name}.csv")
    rows = rows_of(exported)
    assert [field["name"] for field in described["fields"]] == exported.text.splitlines()[0].split(",")
    for field in described["fields"]:
        assert field["description"]
        values = [row[field["name"]] for row in rows]
        constraints = field.get("constraints", {})
        assert all(values) or not constraints.get("required")
        assert set(values) <= {"", *constraints.get("enum", values)}


def test_the_state_at_an_earlier_block_is_exported(database_url: str, address: str) -> None:
    now = get(address, "devices.csv")
    for as_of, variable in (
        ("12", {"block": "12"}),
        ({"block": "12"}, {"block": "12"}),
        ("2025-06-01T00:00:00Z", {"timestamp": "2025-06-01T00:00:00Z"}),
        ("2025-06-01", {"timestamp": "2025-06-01T23:59:59Z"}),
    ):
        past = get(address, "devices.csv", asOf=as_of)
        assert [row["tokenId"] for row in rows_of(past)] == [
            node["tokenId"] for node in nodes_of(database_url, "devices", {"asOf": variable})
        ]
        assert past.headers["as-of"] != now.headers["as-of"]


def test_grants_are_filtered_by_the_time_of_their_end(address: str) -> None:
    grants = rows_of(get(address, "authorizations.csv", scope="ALL"))
    ends = sorted(grant["revokedAt"] for grant in grants if grant["revokedAt"])
    middle = ends[len(ends) // 2]
    for filter, fits in (
        ({"revokedAt": {"gte": middle}}, lambda end: end >= middle),
        ({"revokedAt": {"lt": middle}}, lambda end: "" < end < middle),
        ({"revokedAt": {"isNull": True}}, lambda end: not end),
    ):
        rows = rows_of(get(address, "authorizations.csv", scope="ALL", filter=filter))
        assert rows == [grant for grant in grants if fits(grant["revokedAt"])]
        assert rows
    open_ones = {"revokedAt": {"isNull": True}}
    then = rows_of(get(address, "authorizations.csv", scope="ALL", filter=open_ones, asOf=ends[0]))
    assert then
    assert not any(grant["revokedAt"] for grant in then)


def test_a_file_that_is_cut_after_any_row_is_completed(address: str) -> None:
    for name in ("devices", "events"):
        whole = get(address, f"{name}.ndjson", **PARAMETERS[name])
        again = f"{address.removesuffix('/export')}{whole.headers['content-location']}"
        lines = whole.text.splitlines(keepends=True)
        assert CLIENT.get(again).text == whole.text
        for count in (1, CHUNK - 1, CHUNK, CHUNK + 1, len(lines) // 2, len(lines) - 1, len(lines)):
            key = json.loads(lines[count - 1])["key"]
            rest = CLIENT.get(f"{again}&{urlencode({'after': key})}")
            assert "".join(lines[:count]) + rest.text == whole.text
    table = get(address, "devices.csv")
    rest = CLIENT.get(f"{address.removesuffix('/export')}{table.headers['content-location']}&after=31337:0:0")
    assert rest.status_code == 400
    assert "key of no row" in rest.json()["error"]


@pytest.mark.parametrize(
    ("file", "parameters", "status", "words"),
    [
        ("device.csv", {}, 404, 'no table "device"'),
        ("devices.xlsx", {}, 404, 'no format "xlsx". Formats: csv, ndjson, parquet'),
        ("devices", {}, 404, "Name a format: /export/devices.csv. Formats: csv, "),
        ("devices.csv", {"filtre": "{}"}, 400, 'no parameter "filtre"'),
        ("devices.csv", {"scope": "ALL"}, 400, 'no parameter "scope"'),
        ("devices.csv", {"filter": "{"}, 400, 'The parameter "filter" is not JSON'),
        ("devices.csv", {"filter": {"owner": {"eq": "0x12"}}}, 400, "Address cannot be"),
        ("devices.csv", {"filter": {"owner": {}}}, 400, "names no operator"),
        ("devices.csv", {"filter": []}, 400, "$filter"),
        ("devices.csv", {"filter": {"own": 1}}, 400, "'own'"),
        ("devices.csv", {"orderBy": {"field": "AGE", "direction": "ASC"}}, 400, "AGE"),
        ("devices.csv", {"asOf": "999999999"}, 400, "asOf.block is 999999999"),
        ("devices.csv", {"asOf": "0x" + "00" * 32}, 400, "a block that is not stored"),
        ("devices.csv", {"asOf": "yesterday"}, 400, "asOf is “yesterday”. Give a date"),
        ("devices.csv", {"asOf": {}}, 400, "$asOf has no key"),
        ("devices.csv", {"at": "x"}, 400, "not a cursor"),
        ("devices.csv", {"after": "1:2:3"}, 400, "after is given without at"),
        ("authorizations.csv", {"scope": "SOME"}, 400, "SOME"),
        ("flags.csv", {"filter": {"flag": {"any": "yes"}}}, 400, "any"),
    ],
)
def test_bad_input_is_refused_and_named(address: str, file: str, parameters: Json, status: int, words: str) -> None:
    refused = get(address, file, **parameters)
    assert refused.status_code == status, refused.text
    assert words in refused.json()["error"]
    assert refused.headers["cache-control"] == "no-store"


def test_the_address_of_all_exports_names_them(address: str) -> None:
    response = CLIENT.get(address)
    assert response.status_code == 404
    assert response.json()["error"].startswith("Name a table: /export/devices.csv. Tables: devices, events, ")


@pytest.mark.parametrize("reason", [Reason.STALE_CURSOR, Reason.ORPHANED])
def test_a_block_that_a_reorg_removed_is_gone(reason: Reason) -> None:
    assert refusal_of(BadUserInput("The block was removed.", reason)).status_code == 410
    assert refusal_of(BadUserInput("That is no block.")).status_code == 400


def test_a_cursor_belongs_to_its_table_filter_and_order(address: str) -> None:
    at = get(address, "devices.csv").headers["content-location"].partition("at=")[2]
    for parameters in ({"filter": {"imei": {"isNull": True}}}, PARAMETERS["devices"]):
        refused = get(address, "devices.csv", at=at, **parameters)
        assert (refused.status_code, "another list" in refused.json()["error"]) == (400, True)
    refused = get(address, "devices.csv", at=at, after="31337:x:1")
    assert (refused.status_code, "key of no row" in refused.json()["error"]) == (400, True)
    twice = CLIENT.get(f"{address}/devices.csv?asOf=1&asOf=2")
    assert (twice.status_code, "twice" in twice.json()["error"]) == (400, True)


def test_other_methods_are_refused_and_head_has_no_body(address: str) -> None:
    assert CLIENT.post(f"{address}/devices.csv").status_code == 405
    head = CLIENT.head(f"{address}/devices.csv")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["as-of"] == get(address, "devices.csv").headers["as-of"]


# Texts that contracts emit

HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    'say "yes", or\r\nno',
    "plain, with comma",
    " padded ",
    "'quoted",
    "ünïcode ✓",
]


def with_texts(url: str, texts: list[str]) -> History:
    history = History(url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
    )
    mints = [
        log("CertificateMinted", token, DEVICE, 1, 10, serial, "", 1_600_000_000, "1.0.0")
        for token, serial in enumerate(texts, 1)
    ]
    for start in range(0, len(mints), 5):
        history.block(*mints[start : start + 5])
    history.store.finish_backfill(history.store.checkpoint())
    return history


def test_no_cell_is_a_formula_and_no_text_breaks_a_line(sqlite_url: str) -> None:
    with_texts(sqlite_url, HOSTILE).close()
    with serving(Settings(database_url=sqlite_url)) as address:
        oldest_first = {"orderBy": {"field": "TOKEN_ID", "direction": "ASC"}}
        rows = rows_of(get(f"{address}/export", "devices.csv", **oldest_first))
        lines = get(f"{address}/export", "devices.ndjson", **oldest_first).text.split("\n")[:-1]
        file = CLIENT.get(f"{address}/export/devices.parquet")
    assert [json.loads(line)["serialNumber"] for line in lines] == HOSTILE
    assert parquet.read_table(io.BytesIO(file.content))["serialNumber"].to_pylist() == HOSTILE[::-1]
    assert [row["serialNumber"] for row in rows] == [f"'{serial}" for serial in HOSTILE[:5]] + HOSTILE[5:]
    assert {row["manufacturer.name"] for row in rows} == {"Acme"}


@given(st.lists(st.sampled_from([*HOSTILE, "", "plain", "a-b", "x\ny", "\ny", "é"]) | st.text(), max_size=5))
def test_the_cells_of_a_column_are_those_of_its_texts(texts: list[str]) -> None:
    assert list(CSV.quote_all(texts)) == list(map(CSV.quote, texts))
    quoted = list(map(CSV.quote, texts))
    (line,) = csv.reader(io.StringIO(",".join(quoted), newline=""), strict=True) if texts else [[]]
    assert line == [f"'{each}" if each.startswith(FORMULA) else each for each in texts]


# The index goes on while a file is downloaded

SERIALS = [f"SN-{number:03}" for number in range(25)]


def slow(url: str) -> Settings:
    """Returns settings under which a download pauses between two chunks: ten rows a second."""
    return Settings(database_url=url, max_cost=10, cost_rate="10/second")


def test_a_download_stays_at_its_block_while_others_are_indexed(sqlite_url: str) -> None:
    history = with_texts(sqlite_url, SERIALS)
    with serving(slow(sqlite_url)) as address:
        with CLIENT.stream("GET", f"{address}/export/devices.csv") as response:
            content = response.iter_text()
            begun = next(content)
            history.block(log("CertificateMinted", 99, DEVICE, 1, 10, "LATE", "", 1_600_000_000, "1.0.0"))
            rest = "".join(content)
        serials = [row["serialNumber"] for row in csv.DictReader(io.StringIO(begun + rest))]
        assert serials == SERIALS[::-1]
        resumed = in_time(f"{address}{response.headers['content-location']}")
        assert resumed.text == begun + rest
        assert "LATE" in in_time(f"{address}/export/devices.csv").text
    history.close()


def test_a_reorg_between_two_chunks_cuts_the_download_off(sqlite_url: str) -> None:
    history = with_texts(sqlite_url, SERIALS)
    store = history.store
    with serving(slow(sqlite_url)) as address:
        with CLIENT.stream("GET", f"{address}/export/devices.csv") as response:
            content = response.iter_text()
            received = [next(content)]
            store.roll_back_to(store.checkpoint(), 3)
            with pytest.raises(httpx.RemoteProtocolError):
                received.extend(content)
        assert "".join(received).count("\n") <= 1 + 20
        gone = in_time(f"{address}{response.headers['content-location']}")
        assert gone.status_code == 410
        assert "no longer in the indexed chain" in gone.json()["error"]
        assert len(rows_of(in_time(f"{address}/export/devices.csv"))) == 10
    history.close()


def test_damaged_data_ends_a_file_with_an_error_that_names_it(sqlite_url: str) -> None:
    with_texts(sqlite_url, SERIALS).close()
    engine = connect(sqlite_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE device_version SET end_of_life_status = 77"))
    engine.dispose()
    with serving(Settings(database_url=sqlite_url)) as address:
        damaged = CLIENT.get(f"{address}/export/devices.csv")
    assert damaged.status_code == 500
    assert "A stored value of the table devices" in damaged.json()["error"]


# Clients


def test_rows_count_against_the_rate_and_a_long_wait_is_refused(sqlite_url: str) -> None:
    with_texts(sqlite_url, SERIALS).close()
    with serving(Settings(database_url=sqlite_url, max_cost=10, cost_rate="30/hour")) as address:
        assert len(rows_of(CLIENT.get(f"{address}/export/devices.csv"))) == 25
        refused = CLIENT.get(f"{address}/export/devices.csv")
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        assert "30 rows in 3600 s" in refused.json()["error"]


def connected(address: str, file: str) -> socket.socket:
    parts = urlsplit(address)
    client = socket.create_connection((parts.hostname, parts.port))
    client.sendall(f"GET /export/{file} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


@pytest.fixture
def large_file(sqlite_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service whose file of devices is larger than what a connection buffers.

    The parameter is SEND_SECONDS.
    """
    with_texts(sqlite_url, [f"{number:03}" + "x" * 60_000 for number in range(300)]).close()
    settings = Settings(database_url=sqlite_url, max_cost=20, max_exports=1, send_seconds=request.param)
    with serving(settings) as address:
        yield address


@pytest.mark.parametrize("large_file", [2], indirect=True)
def test_a_client_that_reads_a_byte_a_second_is_cut_off_and_gives_its_place_back(large_file: str) -> None:
    slow = connected(large_file, "devices.csv")
    assert slow.recv(1) == b"H"
    busy = CLIENT.get(f"{large_file}/export/manufacturers.csv")
    assert (busy.status_code, busy.headers.get("retry-after")) == (503, "10")
    assert "1 downloads are under way" in busy.json()["error"]
    freed = False
    while not freed:
        slow.recv(1)
        time.sleep(1)
        freed = CLIENT.get(f"{large_file}/export/manufacturers.csv").status_code == 200
    received = b""
    while piece := slow.recv(1_000_000):
        received += piece
    assert not received.endswith(b"0\r\n\r\n"), "the file has no end"
    assert len(received) < 300 * 60_000
    slow.close()


def test_a_file_is_compressed_in_threads_unless_its_format_compresses(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_texts(sqlite_url, [f"SN-{number}-{'x' * 400}" for number in range(500)]).close()
    threads: dict[int, str] = {}
    compress = GZipResponder._compress_body

    def compressed(responder: GZipResponder, body: bytes, more_body: bool) -> bytes:
        threads[len(body)] = threading.current_thread().name
        return compress(responder, body, more_body)

    monkeypatch.setattr(GZipResponder, "_compress_body", compressed)
    with serving(Settings(database_url=sqlite_url)) as address:
        plain, packed = (
            CLIENT.get(f"{address}/export/devices.csv", headers={"Accept-Encoding": coding})
            for coding in ("identity", "gzip")
        )
        file = CLIENT.get(f"{address}/export/devices.parquet", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert {name for size, name in threads.items() if size > THREAD_BYTES} == {"AnyIO worker thread"}
    assert "content-encoding" not in {*plain.headers, *file.headers}


@pytest.mark.parametrize("large_file", [60], indirect=True)
def test_a_client_that_leaves_gives_its_place_back(large_file: str) -> None:
    leaving = connected(large_file, "devices.csv")
    assert leaving.recv(1) == b"H"
    leaving.close()
    assert len(rows_of(in_time(f"{large_file}/export/devices.csv"))) == 300


def test_exports_and_look_ups_are_served_beside_trusted_documents(sqlite_url: str, tmp_path: Path) -> None:
    with_texts(sqlite_url, SERIALS).close()
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({"one": "{ __typename }"}))
    with serving(Settings(database_url=sqlite_url, trusted_documents=str(manifest))) as address:
        assert "errors" in CLIENT.post(f"{address}/graphql", json={"query": "{ devices { totalCount } }"}).json()
        rows = rows_of(get(f"{address}/export", "devices.csv", filter={"anyKey": SERIALS[3]}))
        looked_up = CLIENT.post(f"{address}/lookup", json=[SERIALS[3]]).json()["rows"]
    assert [row["serialNumber"] for row in rows] == [SERIALS[3]]
    assert [row["result"] for row in looked_up] == ["MATCH"]


def test_an_index_without_a_block_has_empty_tables(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url)) as address:
        empty = CLIENT.get(f"{address}/export/devices.csv")
        assert rows_of(empty) == []
        assert "content-location" not in empty.headers
