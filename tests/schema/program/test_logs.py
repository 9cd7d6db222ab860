"""Logs of the programs: lines for people, or a JSON object a line with the same fields, and never an API key."""

import ast
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from string import Formatter
from typing import Any

import pytest

from schema.program.logs import _JsonLines, _Lines, log_event
from schema.program.settings import without_password
from scripts.processes import Child
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import random_block
from tests.support.index.history import History
from tests.support.processes import caught_up, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.faults import archive_on_fire
from tests.support.rpc.provider import Provider, indexers

Lines = list[str]


def test_every_line_of_the_indexer_is_json_with_the_fields_of_its_event_and_without_a_key(sqlite_url: str) -> None:
    node, lines = FakeNode(finality=2), Lines()
    for seed in range(6):
        random_block(seed).mine(node)
    with Provider(of_fake(node)) as provider, indexers(sqlite_url, LOG_FORMAT="json", RPC_URLS=provider.url) as start:
        indexer = start(on_line=lines.append)
        until(lambda: caught_up(sqlite_url, node), "the first index", indexer)
        provider.proxy.inject(archive_on_fire)
        provider.do(lambda: random_block(7).mine(node))
        until(lambda: any("step failed" in line for line in lines), "a failure", indexer)
        provider.do(provider.proxy.injections.clear)
        until(lambda: caught_up(sqlite_url, node), "it to go on", indexer)
        provider.do(lambda: node.reorg(1))
        until(lambda: caught_up(sqlite_url, node), "the reorg", indexer)
        indexer.stop()
    assert "a-secret-key" not in "".join(lines)
    records = [json.loads(line) for line in lines]
    assert all(record.keys() >= {"time", "level", "logger", "event"} for record in records)
    by_event = {record["event"]: record for record in records}
    assert records[0]["event"] == "following"
    assert records[0]["hosts"].startswith("http://127.0.0.1:")
    assert {"indexed", "backfill finished", "step failed", "rolled back"} <= by_event.keys()
    assert by_event["rolled back"].keys() >= {"ancestor", "old_head", "events", "elapsed"}
    assert by_event["indexed"].keys() >= {"first", "last", "blocks", "events", "facts", "head", "elapsed"}
    steps = [record for record in records if record["event"] == "indexed"]
    assert sum(record["blocks"] for record in steps) >= len(node.blocks)
    failed = by_event["step failed"]
    assert (failed["level"], failed["kind"], failed["pause"] > 0) == ("warning", "RpcError", True)
    assert "the archive is on fire" in failed["error"]


def test_lines_for_people_have_the_same_fields(sqlite_url: str) -> None:
    node, lines = FakeNode(finality=2), Lines()
    node.mine_blocks(5)
    with Provider(of_fake(node)) as provider, indexers(sqlite_url, RPC_URLS=provider.url) as start:
        until(lambda: caught_up(sqlite_url, node), "the index", start(on_line=lines.append))
    assert any(" INFO indexed blocks=0..3 events=0 facts=0 head=5 elapsed=" in line for line in lines), lines


def test_a_command_that_fails_says_so_in_json_too(sqlite_url: str) -> None:
    environment = os.environ | {"LOG_FORMAT": "json", "DATABASE_URL": sqlite_url}
    command = [sys.executable, "-m", "indexer", "rollback", "--to", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    [line] = done.stderr.splitlines()
    record = json.loads(line)
    assert (done.returncode, record["level"], record["event"], record["exit_status"]) == (1, "critical", "failed", 1)
    assert "The database holds no chain yet" in record["error"]


def test_every_line_of_the_api_is_json_also_those_of_its_server(sqlite_url: str) -> None:
    History(sqlite_url).close()
    lines = Lines()
    command = [sys.executable, "-m", "api", "--port", "0", "--database-url", sqlite_url]
    server = Child(command, on_line=lines.append, environment=os.environ | {"LOG_FORMAT": "json"})
    try:
        until(lambda: lines, "the address", server)
        serving = json.loads(lines[0])
        assert serving["event"] == "serving"
        port = int(serving["address"].rpartition(":")[2].partition("/")[0])
        with retrying(lambda: socket.create_connection(("127.0.0.1", port))) as client:
            client.sendall(b"no HTTP at all\r\n\r\n")
            client.recv(1_000)
        until(lambda: len(lines) > 1, "the complaint", server)
    finally:
        server.stop()
    complaint = json.loads(lines[1])
    assert (complaint["logger"], complaint["level"]) == ("uvicorn.error", "warning")
    assert complaint["event"] == "Invalid HTTP request received."
    assert [json.loads(line)["level"] for line in lines]


def retrying(connect: Callable[[], socket.socket]) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("formatter", [_Lines, _JsonLines])
def test_secrets_are_hidden_wherever_they_are_in_a_record(formatter: Any) -> None:
    caught: list[logging.LogRecord] = []
    log = logging.Logger("test")
    log.addFilter(lambda record: not caught.append(record))  # type: ignore[func-returns-value]  # a filter says yes
    url = "postgresql://me:s3cret@host/db"
    log_event(log, logging.INFO, "connected", " to {url}", url)
    log.warning("gone: %s", url)
    try:
        raise ValueError(url)
    except ValueError:
        log.exception("failed")
    shown = [formatter(without_password).format(record) for record in caught]
    assert len(shown) == 3
    assert all("postgresql://me:***@host/db" in line and "s3cret" not in line for line in shown)
    assert ("\n" in shown[2]) == (formatter is _Lines)


def test_every_event_has_a_value_for_each_field_that_its_line_names() -> None:
    for call in (call for package in ("api", "indexer", "schema") for call in _calls(package)):
        match call.args:
            case [_, _, _, ast.Constant(value=str(details)), *values]:
                assert len(values) == sum(name is not None for _, name, _, _ in Formatter().parse(details)), details


def test_every_event_of_the_log_is_in_the_documentation() -> None:
    table = (REPOSITORY / "docs" / "guides" / "operator.md").read_text().split("| event | fields |")[1]
    events = {event for package in ("api", "indexer", "schema") for event in _events(package)}
    assert "step failed" in events
    assert {event for event in events if f"`{event}`" not in table} == set()


def _events(package: str) -> Iterator[str]:
    for call in _calls(package):
        match call.args:
            case [_, _, ast.Constant(value=str(event)), *_]:
                yield event


def _calls(package: str) -> Iterator[ast.Call]:
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="log_event")):
                    yield node
