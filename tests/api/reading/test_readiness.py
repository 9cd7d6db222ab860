"""/readyz over HTTP: what keeps the service from being ready, and that it becomes ready by itself."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.settings import Settings
from schema.tables.database import connect, migrate
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, post, serving, with_one_device
from tests.support.databases import NewDatabase
from tests.support.index.history import History, block_time
from tests.support.profile import store_earlier_text


@contextmanager
def probing(database_url: str, **settings: Any) -> Iterator[str]:
    with serving(Settings(database_url=database_url, **settings)) as address:
        assert CLIENT.get(f"{address}/healthz").text == "ok\n"
        yield address


def probe(address: str) -> tuple[int, list[str]]:
    answer = CLIENT.get(f"{address}/readyz")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["ready"] == (answer.status_code == 200)
    return answer.status_code, answer.json()["reasons"]


def change(database_url: str, **columns: Any) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        connection.execute(text(f"UPDATE chain SET {assignments}"), columns)
    engine.dispose()


def test_the_service_becomes_ready_when_the_database_is_created(new_empty_database: NewDatabase) -> None:
    database_url = new_empty_database()
    with probing(database_url) as address:
        status, reasons = probe(address)
        assert status == 503
        assert "certindex run" in reasons[0] or "cannot be used" in reasons[0]
        refused = CLIENT.post(f"{address}/graphql", json={"query": "{ devices { totalCount } }"})
        assert refused.status_code == 503
        assert refused.json()["errors"][0]["extensions"]["code"] == "NOT_READY"
        engine = connect(database_url)
        migrate(engine)
        engine.dispose()
        status, reasons = probe(address)
        assert (status, len(reasons)) == (503, 1)
        assert "holds no chain yet: start the indexer (certindex run)" in reasons[0]


def test_the_service_becomes_ready_after_the_first_backfill(new_empty_database: NewDatabase) -> None:
    database_url = new_empty_database()
    history = History(database_url)
    with probing(database_url) as address:
        waiting = "Chain 31337: the first backfill is not complete: no provider has returned the head yet."
        assert waiting in probe(address)[1]
        history.block()
        status, reasons = probe(address)
        assert (status, reasons) == (503, ["Chain 31337: the first backfill is not complete: block 1 of 1 is indexed."])
        history.close()
        assert probe(address) == (200, [])


def test_a_chain_without_new_blocks_stays_ready_while_it_is_polled(new_database: NewDatabase) -> None:
    database_url = new_database()
    history = History(database_url)
    history.block()
    history.close()
    change(database_url, polled_at=int(time.time()))
    assert block_time(1) < time.time() - 10**7
    with probing(database_url) as address:
        assert probe(address) == (200, [])


def test_lag_in_chain_time_and_silence_of_the_node_are_each_a_reason(new_database: NewDatabase) -> None:
    database_url = new_database()
    history = History(database_url)
    history.block()
    history.close()
    with probing(database_url, max_lag_seconds=60, poll_stale_seconds=30) as address:
        change(database_url, head_time=block_time(1) + 60)
        assert probe(address) == (200, [])
        change(database_url, head_time=block_time(1) + 61, polled_at=int(time.time()) - 1000)
        status, (lag, silence) = probe(address)
        assert status == 503
        assert "61 s of chain time behind the head, more than MAX_LAG_SECONDS=60" in lag
        assert "more than POLL_STALE_SECONDS=30" in silence
        change(database_url, polled_at=None)
        assert probe(address)[1][1] == "Chain 31337: no provider has answered yet."


def test_a_rebuild_that_is_due_is_a_note_and_no_reason(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_url = with_one_device(new_database())
    with probing(database_url) as address:
        assert CLIENT.get(f"{address}/readyz").json()["notes"] == []
        assert rebuild_due(address) == [False]
        assert "A rebuild is due" not in get_page(f"{address}/status").text
    engine = connect(database_url)
    with engine.begin() as connection:
        store_earlier_text(connection, monkeypatch)
    engine.dispose()
    with probing(database_url) as address:
        assert probe(address) == (200, [])
        body = CLIENT.get(f"{address}/readyz").json()
        assert [note.partition(": ")[0] for note in body["notes"]] == ["Chain 31337"]
        assert body["notes"][0].endswith("certindex rebuild --profile device-certificate")
        assert [chain["rebuildDue"] for chain in body["chains"]] == [True]
        assert rebuild_due(address) == [True]
        assert "certindex rebuild --profile device-certificate" in get_page(f"{address}/status").text


def rebuild_due(address: str) -> list[bool]:
    data = post(f"{address}/graphql", {"query": "{ _meta { chains { rebuildDue } } }"}).json()["data"]
    return [chain["rebuildDue"] for chain in data["_meta"]["chains"]]


def test_tables_of_another_release_are_a_reason(new_database: NewDatabase) -> None:
    database_url = new_database()
    History(database_url).close()
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with probing(database_url) as address:
        assert "revision" not in str(probe(address)), "a newer release may add to the tables"
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE chain RENAME COLUMN head_source TO renamed"))
        engine.dispose()
        status, reasons = probe(address)
        assert status == 503
        assert "revision ffff, which this release does not know" in reasons[0]


def test_a_database_server_that_is_down_is_a_reason_without_its_password() -> None:
    with probing("postgresql://me:s3cret@127.0.0.1:1/none") as address:
        status, reasons = probe(address)
        assert status == 503
        assert "cannot be used" in reasons[0]
        assert "s3cret" not in reasons[0]
        refused = CLIENT.post(f"{address}/graphql", json={"query": "{ devices { totalCount } }"})
        assert refused.status_code == 503
        assert "s3cret" not in refused.text


def test_the_program_serves_until_it_is_signaled(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'a.db'}"
    History(database_url).close()
    program = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", "0", "--database-url", database_url], stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stderr is not None
        graphql = next(line.split()[-1] for line in program.stderr if "serving" in line)
        assert CLIENT.get(graphql, params={"query": "{ __typename }"}).json()["data"] == {"__typename": "Query"}
        program.terminate()
        _, errors = program.communicate(timeout=60)
        assert program.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in errors
    finally:
        program.kill()
        program.communicate()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "api", "--port", port], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 2
    assert f"HOST=127.0.0.1 PORT={port} cannot be listened on: Address already in use" in ended.stderr
