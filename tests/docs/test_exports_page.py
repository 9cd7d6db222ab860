"""The examples of the page on exports do what it says, over connections that end early too."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server
from threading import Thread
from urllib.parse import urlsplit

import pytest

from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.server import CLIENT, serving
from tests.support.databases import Kind

PAGE = (REPOSITORY / "docs" / "reference" / "exports.md").read_text()
SITE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def address(fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    with serving(Settings(database_url=fleet_database("sqlite"), max_cost=50)) as address:
        yield address


def example(language: str, heading: str) -> str:
    """Returns the code under a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n" if heading else "\n# ", 1)[-1].split("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(code)


def test_the_command_writes_the_file(address: str, tmp_path: Path) -> None:
    subprocess.run(
        ["sh", "-c", example("sh", "").replace(SITE, address)], cwd=tmp_path, check=True, capture_output=True
    )
    parameters = {
        "filter": json.dumps({"endOfLifeStatus": {"ne": "IN_SERVICE"}}),
        "orderBy": json.dumps({"field": "SERIAL_NUMBER", "direction": "ASC"}),
    }
    written = (tmp_path / "devices.csv").read_text()
    assert written == CLIENT.get(f"{address}/export/devices.csv", params=parameters).text
    assert "DECOMMISSIONED" in written
    assert "IN_SERVICE" not in written


def test_the_program_completes_a_file_over_connections_that_end_early(address: str, tmp_path: Path) -> None:
    with cutting(address, bytes=150_000) as (site, connections):
        code = (
            example("python", "Resume").replace(SITE, site).replace('"events.ndjson")', f'"{tmp_path}/events.ndjson")')
        )
        exec(compile(code, "exports.md", "exec"), {})
        assert len(connections) > 3
    assert (tmp_path / "events.ndjson").read_text() == CLIENT.get(f"{address}/export/events.ndjson").text


def test_the_command_looks_keys_up(address: str, tmp_path: Path) -> None:
    code = example("sh", "Look up a list of keys").replace(SITE, address)
    subprocess.run(["sh", "-c", code], cwd=tmp_path, check=True, capture_output=True)
    rows = list(csv.DictReader((tmp_path / "matches.csv").read_text().splitlines()))
    assert [(row["lookup"], row["result"]) for row in rows] == [
        ("SN-000001", "MATCH"),
        ("42", "MATCH"),
        ("no such device", "NONE"),
    ]
    assert rows[1]["tokenId"] == "42"


def test_the_commands_export_and_verify_the_register(fleet_database: Callable[[Kind], str], tmp_path: Path) -> None:
    code = example("sh", "The whole register").replace("certindex-api", f"{sys.executable} -m api")
    code = code.replace("sqlite:///certindex.db", fleet_database("sqlite")).replace(
        "export register", f"export {tmp_path}/register"
    )
    ended = subprocess.run(["sh", "-ec", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    first, second = ended.stdout.splitlines()
    assert "rows in" in first
    assert second.endswith("every file is as the manifest says")


def test_the_program_reads_parquet(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("python", "Parquet").replace(SITE, address), "exports.md", "exec"), {})
    count = len(CLIENT.get(f"{address}/export/devices.ndjson").text.splitlines())
    assert capsys.readouterr().out.startswith(f"{count} [{{'chain': '31337', 'block': ")


@contextmanager
def cutting(address: str, *, bytes: int) -> Iterator[tuple[str, list[int]]]:
    """Passes requests on, and ends each connection after so many bytes of its response. Lists the connections."""
    parts = urlsplit(address)
    listener = create_server(("127.0.0.1", 0))
    connections: list[int] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connections.append(client.fileno())
            with client, create_connection((parts.hostname, parts.port)) as server:
                server.sendall(client.recv(65536))
                left = bytes
                while left > 0 and (piece := server.recv(min(left, 65536))):
                    client.sendall(piece)
                    left -= len(piece)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", connections
    finally:
        listener.shutdown(SHUT_RDWR)  # ends the wait for connections
        listener.close()
