"""Exports as DuckDB, Polars and Frictionless read them: the counts and sums are those of SQL on the database itself.

Prints a line for each check. Ends with status 1 if one fails.
"""

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import duckdb
import polars
from frictionless import Resource, Schema

SITE = os.environ["JUDGED_URL"].removesuffix("/graphql")
FORMATS = ("csv", "ndjson", "parquet")

Figures = tuple[int, ...]

QUERIES: dict[str, tuple[str, str, Callable[[Any], Figures]]] = {
    "devices": (
        "SELECT count(*), sum(id >> 20), count(DISTINCT contract) FROM device",
        "SELECT count(*), sum(CAST(split_part(key, ':', 2) AS BIGINT)), count(DISTINCT contract) FROM \"{file}\"",
        lambda frame: (
            frame.height,
            frame["key"].str.split(":").list.get(1).cast(polars.Int64).sum(),
            frame["contract"].n_unique(),
        ),
    ),
    "events": (
        "SELECT count(*), sum(position >> 20), sum(transaction_index) FROM event",
        'SELECT count(*), sum(CAST("block.number" AS BIGINT)), sum(transactionIndex) FROM "{file}"',
        lambda frame: (
            frame.height,
            frame["block.number"].cast(polars.Int64).sum(),
            frame["transactionIndex"].cast(polars.Int64).sum(),
        ),
    ),
}
"""Of a table: SQL on the database, SQL on the file, and the same by Polars."""


def main() -> int:
    """Runs all checks and returns the exit status."""
    failures = 0
    _wait_until_indexed()
    database = sqlite3.connect(f"file:{os.environ['JUDGED_DATABASE']}?mode=ro", uri=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, passed in _checks(database, Path(folder)):
            print(f"{'ok  ' if passed else 'FAIL'} {name}")
            failures += not passed
    return int(failures > 0)


def _wait_until_indexed() -> None:
    """Waits until the index has the head of the chain, so that the files and the database are at one block."""
    query = "SELECT indexed_number >= head_number FROM chain"
    while not sqlite3.connect(f"file:{os.environ['JUDGED_DATABASE']}?mode=ro", uri=True).execute(query).fetchone()[0]:
        time.sleep(0.2)


def _checks(database: sqlite3.Connection, folder: Path) -> Iterator[tuple[str, bool]]:
    for table, (sql, on_file, of_frame) in QUERIES.items():
        wanted = tuple(database.execute(sql).fetchone())
        for format in FORMATS:
            file = _download(folder, f"{table}.{format}")
            if format == "ndjson":
                yield f"lines of {file.name}", _lines(file) == wanted[0]
                continue
            yield f"DuckDB reads {file.name}", duckdb.sql(on_file.format(file=file)).fetchall() == [wanted]
            yield f"Polars reads {file.name}", of_frame(READERS[format](file)) == wanted
    for table in (*QUERIES, "authorizations", "manufacturers", "hardware-licenses", "flags"):
        yield f"Frictionless validates {table}.csv", _is_valid(folder, table)


READERS: dict[str, Callable[[Path], Any]] = {
    "csv": lambda file: polars.read_csv(file, infer_schema=False),
    "parquet": polars.read_parquet,
}


def _download(folder: Path, name: str) -> Path:
    file = folder / name
    with urlopen(f"{SITE}/export/{name}") as response:
        file.write_bytes(response.read())
    return file


def _lines(file: Path) -> int:
    return len([json.loads(line) for line in file.read_text("utf-8").splitlines()])


def _is_valid(folder: Path, table: str) -> bool:
    file = _download(folder, f"{table}.csv")
    schema = json.loads(_download(folder, f"{table}.schema.json").read_text("utf-8"))
    resource = Resource(path=file.name, basepath=str(folder), schema=Schema.from_descriptor(schema))
    report = resource.validate()
    errors: Sequence[Any] = report.flatten(["rowNumber", "fieldName", "message"])
    for error in errors[:5]:
        print(error, file=sys.stderr)
    return bool(report.valid)


if __name__ == "__main__":
    sys.exit(main())
