"""Exports of the register: folders whose files have the rows of the API at one block, alone or one after another."""

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from api.exports.register.command import run_export
from api.exports.register.manifest import Manifest, read_manifest
from api.exports.table import NAMES, Table
from api.settings import Settings
from indexer.store.rollback import Cause
from tests.support.api.server import CLIENT, DEVICE, HASH, MAKER, serving
from tests.support.databases import KINDS, Kind
from tests.support.index.history import History, log
from tests.support.index.indexing import open_engine

Rows = dict[str, tuple[Any, ...]]
"""Rows by their keys."""


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> str:
    return fleet_database(request.param)


def export(url: str, folder: Path, *options: str) -> Manifest:
    assert run_export([str(folder), "--database-url", url, "--format", "ndjson", *options]) == 0
    assert run_export([str(folder), "--verify"]) == 0
    manifest, _ = read_manifest(folder / "manifest.json")
    return manifest


@pytest.fixture(scope="module")
def whole(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of the whole register, which tests only read."""
    folder = tmp_path_factory.mktemp("exports") / "whole"
    export(database_url, folder)
    return folder


def rows_of(folder: Path, table: str) -> Rows:
    """Returns the rows of a table's files, whatever their format."""
    rows: Rows = {}
    for path in sorted(folder.glob(f"{table}/**/*.*")):
        for row in READERS[path.suffix](path):
            assert row["key"] not in rows
            rows[row["key"]] = tuple(row.items())
    return rows


def _csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    ".csv": _csv,
    ".ndjson": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    ".parquet": lambda path: parquet.ParquetFile(path).read().to_pylist(),
}


def served(address: str, table: str, **parameters: str) -> Rows:
    scope = {"scope": "ALL"} if table == "authorizations" else {}
    response = CLIENT.get(f"{address}/export/{table}.ndjson", params={**scope, **parameters})
    return {(row := json.loads(line))["key"]: tuple(row.items()) for line in response.text.splitlines()}


def test_the_files_have_the_rows_of_the_api_and_those_of_a_month(database_url: str, whole: Path) -> None:
    manifest, _ = read_manifest(whole / "manifest.json")
    with serving(Settings(database_url=database_url)) as address:
        times = {row["block"]["number"]: row["recordTime"] for row in map(dict, served(address, "events").values())}
        for table in NAMES:
            assert rows_of(whole, table) == served(address, table), table
    months = {file.month for file in manifest.files}
    assert len(months) > 12
    for file in manifest.files:
        assert file.path == f"{file.table}/chain=31337/month={file.month}/{manifest.blocks[0].block}.ndjson"
        for row in READERS[".ndjson"](whole / file.path):
            time = times.get(row["key"].split(":")[1])
            assert time is None or time.startswith(file.month)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_every_format_has_the_same_rows(database_url: str, whole: Path, tmp_path: Path, format: str) -> None:
    assert run_export([str(tmp_path / "other"), "--database-url", database_url, "--format", format]) == 0
    assert run_export([str(tmp_path / "other"), "--verify"]) == 0
    for table in NAMES:
        assert list(rows_of(tmp_path / "other", table)) == list(rows_of(whole, table))


def test_an_export_that_continues_another_completes_it(database_url: str, whole: Path, tmp_path: Path) -> None:
    export(database_url, tmp_path / "first", "--as-of", "40")
    middle = export(database_url, tmp_path / "next", "--as-of", "60", "--since", str(tmp_path / "first/manifest.json"))
    last = export(database_url, tmp_path / "last", "--since", str(tmp_path / "next/manifest.json"))
    assert last.since is not None
    assert last.since.blocks == middle.blocks
    assert (last.replaced, last.retractions) == ([], [])
    for table in NAMES:
        combined: Rows = {}
        for part in ("first", "next", "last"):
            combined |= rows_of(tmp_path / part, table)
        rows = rows_of(whole, table)
        if table in ("events", "flags", "software-updates", "sanitizations", "licenses"):
            # a column of the device is that of the block at which the event was exported
            assert sorted(combined) == sorted(rows), table
        else:
            assert combined == rows, table
    assert len(rows_of(tmp_path / "last", "devices")) <= len(rows_of(whole, "devices"))


def test_nothing_new_adds_no_file(database_url: str, whole: Path, tmp_path: Path) -> None:
    again = export(database_url, tmp_path / "again", "--since", str(whole / "manifest.json"))
    assert again.files == []


def minted(history: History, *tokens: int) -> None:
    history.block(
        *(log("CertificateMinted", token, DEVICE, 1, 10, f"SN-{token}", "", 1_600_000_000, "1.0.0") for token in tokens)
    )


@pytest.fixture
def history(sqlite_url: str) -> Iterator[History]:
    history = History(sqlite_url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
    )
    minted(history, 1, 2)
    minted(history, 3, 4)
    history.store.finish_backfill(history.store.checkpoint())
    yield history
    history.close()


def test_what_a_reorg_removed_is_listed_and_states_are_replaced(
    history: History, sqlite_url: str, tmp_path: Path
) -> None:
    first = export(sqlite_url, tmp_path / "first")
    ancestor = first.blocks[0].block - 1
    (left,) = history.store.kept_blocks(ancestor, 1)
    history.store.roll_back(history.store.checkpoint(), left, Cause.FORK)
    history.block(log("CertificateMinted", 5, DEVICE, 1, 10, "SN-5", "", 1_600_000_000, "1.0.0"))
    since = str(tmp_path / "first/manifest.json")
    continued = export(sqlite_url, tmp_path / "continued", "--since", since)
    export(sqlite_url, tmp_path / "whole")
    events = rows_of(tmp_path / "first", "events")
    removed = {each.key for each in continued.retractions}
    assert {each.block_hash for each in continued.retractions} == {first.blocks[0].hash}
    assert removed == {key for key in events if int(key.split(":")[1]) > ancestor}
    kept = {key: row for key, row in events.items() if key not in removed}
    assert kept | rows_of(tmp_path / "continued", "events") == rows_of(tmp_path / "whole", "events")
    assert {each.table for each in continued.replaced} == {
        "devices",
        "authorizations",
        "manufacturers",
        "hardware-licenses",
        "vehicles",
        "synthetic-devices",
    }
    for replaced in continued.replaced:
        assert rows_of(tmp_path / "continued", replaced.table) == rows_of(tmp_path / "whole", replaced.table)


def test_a_reorg_during_an_export_leaves_nothing(
    history: History,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = Table.read

    def reorganized(*arguments: Any) -> Any:
        chunk = read(*arguments)
        if history.store.checkpoint().number == 3:
            history.store.roll_back_to(history.store.checkpoint(), 1)
        return chunk

    number = history.store.checkpoint().number
    monkeypatch.setattr(Table, "read", reorganized)
    assert number == 3
    assert run_export([str(tmp_path / "cut"), "--database-url", sqlite_url, "--format", "csv"]) != 0
    assert "which is no longer in the indexed chain" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if "cut" in path.name]


def test_verification_names_each_file_that_differs(
    history: History, sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "all"
    manifest = export(sqlite_url, folder)
    by_table = {file.table: folder / file.path for file in manifest.files}
    by_table["events"].write_bytes(by_table["events"].read_bytes().replace(b"0", b"1", 1))
    by_table["devices"].unlink()
    (folder / "more.ndjson").write_text("{}\n")
    capsys.readouterr()
    assert run_export([str(folder), "--verify"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert any("events" in line and "SHA-256" in line for line in lines)
    assert any("devices" in line and "No such file" in line for line in lines)
    assert "FAIL more.ndjson: the manifest does not name it" in lines
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(manifest.files[0].path, "../../etc/passwd"))
    run_export([str(folder), "--verify"])
    assert "leads out of the folder" in capsys.readouterr().out


def test_a_disk_that_fills_leaves_no_folder(history: History, sqlite_url: str, tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))

    target = tmp_path / "out" / "full"
    arguments = ["export", str(target), "--database-url", sqlite_url, "--format", "csv"]
    ended = subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert f"{target} cannot be written: File too large. Nothing is left of the export." in ended.stderr
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--as-of", "999"], 2, "asOf.block is 999"),
        (["--as-of", "0x" + "00" * 32], 2, "a block that is not stored"),
        (["--as-of", "yesterday"], 2, "yesterday"),
        (["--since", "{tmp}/missing.json"], 1, "missing.json cannot be read: No such file"),
        (["--since", "{tmp}/text.json"], 1, "is no manifest of an export"),
        (["--since", "{tmp}/other.json"], 1, "has version 7"),
        (["--since", "{tmp}/csv.json"], 1, "in the format parquet: add --format parquet"),
        (["--since", "{tmp}/foreign.json"], 1, "of chain 5, of which no block is indexed here"),
        (["--since", "{tmp}/unknown.json"], 1, "which this index does not have"),
        (["--since", "{tmp}/above.json"], 1, "above the block to export"),
    ],
)
def test_wrong_arguments_are_refused_and_named(
    history: History,
    sqlite_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: Sequence[str],
    status: int,
    words: str,
) -> None:
    def block(chain: int, number: int) -> dict[str, Any]:
        return {"chain": chain, "block": number, "hash": "0x" + "ab" * 32, "time": 0}

    for name, content in {
        "text": b"no json",
        "other": manifest_text(version=7),
        "csv": manifest_text(format="parquet"),
        "foreign": manifest_text(blocks=[block(5, 1)]),
        "unknown": manifest_text(blocks=[block(31337, 2)]),
        "above": manifest_text(blocks=[block(31337, 200)]),
    }.items():
        (tmp_path / f"{name}.json").write_bytes(content)
    arguments = [option.format(tmp=tmp_path) for option in options]
    assert run_export([str(tmp_path / "out"), "--database-url", sqlite_url, "--format", "csv", *arguments]) == status
    message = capsys.readouterr().err
    assert words in message
    assert message.startswith("certindex-api export: ")
    assert not (tmp_path / "out").exists()


def manifest_text(**parts: Any) -> bytes:
    return json.dumps({"version": 1, "format": "csv", "blocks": [], "files": [], **parts}).encode()


def test_a_folder_that_is_not_empty_and_a_database_that_is_missing_are_refused(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    assert run_export([str(tmp_path / "used"), "--database-url", sqlite_url]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert run_export([str(tmp_path / "new"), "--database-url", f"sqlite:///{tmp_path}/none.db"]) == 1
    assert "none.db cannot be used: there is no such file. Start the indexer" in capsys.readouterr().err
    assert run_export([str(tmp_path / "nowhere"), "--verify"]) == 1
    assert "manifest.json cannot be read" in capsys.readouterr().err


def test_a_database_without_a_chain_is_refused_and_leaves_no_folder(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_engine(sqlite_url).dispose()
    assert run_export([str(tmp_path / "out"), "--database-url", sqlite_url]) == 1
    assert "No chain is indexed yet in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
