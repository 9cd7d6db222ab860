"""Measures exports of `certindex-api`, each in a process of its own: files of whole lists, and a look-up of keys."""

import json
import time
from collections.abc import Iterator
from urllib.request import Request, urlopen

import msgspec
from sqlalchemy import text

from scripts.benchmark.databases import reading
from scripts.benchmark.serving import Api, api

FORMATS = ("csv", "ndjson", "parquet")
LOOKED_UP = 10_000
PIECE_BYTES = 1 << 20
SETTINGS = {"CACHE_BYTES": "0"}


class Exported(msgspec.Struct):
    """One file of all devices, or one look-up. `seconds` and `cpu` are those until its last byte."""

    database: str
    devices: int
    what: str
    rows: int
    bytes: int
    seconds: float
    cpu: float
    memory_bytes: int


def exported(database_url: str, kind: str, devices: int) -> Iterator[Exported]:
    """Measures each format, and the look-up, each in a process that has sent nothing before."""
    for format in FORMATS:
        with api(database_url, SETTINGS) as running:
            yield _measured(kind, devices, format, devices, running, f"/export/devices.{format}")
    serials = _serials(database_url)
    with api(database_url, SETTINGS) as running:
        yield _measured(kind, devices, "lookup", len(serials), running, "/lookup", json.dumps(serials).encode())


def _measured(
    kind: str, devices: int, what: str, rows: int, running: Api, path: str, body: bytes | None = None
) -> Exported:
    request = Request(
        f"{running.url.removesuffix('/graphql')}{path}", body, {"Content-Type": "application/json"} if body else {}
    )
    running.wait_until_idle()
    before, began = running.cpu_seconds(), time.perf_counter()
    size = 0
    with urlopen(request) as response:
        while piece := response.read(PIECE_BYTES):
            size += len(piece)
    seconds, cpu = time.perf_counter() - began, running.cpu_seconds() - before
    return Exported(kind, devices, what, rows, size, seconds, cpu, running.memory_bytes())


def _serials(database_url: str) -> list[str]:
    query = text("SELECT DISTINCT serial_number FROM device_key WHERE serial_number IS NOT NULL LIMIT :count")
    with reading(database_url) as connection:
        return list(connection.execute(query, {"count": LOOKED_UP}).scalars())
