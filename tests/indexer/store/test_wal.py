"""SQLite's write-ahead log stays bounded beside large commits and open readers, and its cache fits the database."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer.store import wal
from indexer.store.rewriting import SORT_MEMORY
from indexer.store.wal import LARGE_STEP, MOST_BYTES, fit_to_database, shorten_wal
from schema.tables.database import connect
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.index.indexing import Indexer, engine_of

ALICE = b"\xa1" * 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    with engine_of(f"sqlite:///{file}") as engine:
        yield engine


def test_a_log_that_a_reader_has_let_grow_is_emptied_when_the_reader_is_gone(engine: Engine, file: Path) -> None:
    _write(engine, "one")
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT name FROM standby").fetchall() == [("one",)]
    _write(engine, "two")
    shorten_wal(engine, 0)
    assert _length(file) > 0
    assert reader.execute("SELECT name FROM standby").fetchall() == [("one",)]
    reader.execute("COMMIT")
    shorten_wal(engine, 0)
    assert _length(file) == 0
    assert reader.execute("SELECT name FROM standby ORDER BY name").fetchall() == [("one",), ("two",)]
    reader.close()


def test_a_log_that_is_not_too_long_is_left_alone(engine: Engine, file: Path) -> None:
    _write(engine, "one")
    before = _length(file)
    shorten_wal(engine, before)
    assert _length(file) == before > 0


def test_the_connection_waits_for_other_writers_as_before(engine: Engine) -> None:
    _write(engine, "one")
    shorten_wal(engine, 0)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_step_empties_a_log_that_is_too_long(engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = FakeNode(finality=0)
    indexer = Indexer(engine, node)
    _mine_and_index(node, indexer, range(20))
    grown = _length(file)
    monkeypatch.setattr(wal, "MOST_BYTES", grown - 1)
    _mine_and_index(node, indexer, range(20, 21))
    assert _length(file) < grown / 2


@pytest.mark.parametrize(
    ("least", "most", "events", "log", "cache"),
    [
        (20_000, 200_000, LARGE_STEP, 20_000, 20_000),  # a small database
        (3, 4, LARGE_STEP, 4, 4),  # one that is large for these bounds
        (3, 4, LARGE_STEP - 1, 3, 4),  # with small steps
    ],
)
def test_the_cache_and_the_log_of_large_steps_grow_with_the_database(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, least: int, most: int, events: int, log: int, cache: int
) -> None:
    for name in ("LOG_PAGES", "CACHE_PAGES"):
        monkeypatch.setattr(wal, name, least)
        monkeypatch.setattr(wal, f"MOST_{name}", most)
    monkeypatch.setattr(wal, "CACHE_SHARE", 2)
    with engine.begin() as connection:
        connection.exec_driver_sql(SORT_MEMORY)  # the connection has built an index before
        assert fit_to_database(connection, events) == MOST_BYTES * log // least
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == log
        assert connection.exec_driver_sql("PRAGMA cache_size").scalar() == cache


def test_postgresql_has_no_such_log(file: Path) -> None:
    shorten_wal(connect("postgresql://nobody@127.0.0.1:1/none"), 0)


def _mine_and_index(node: FakeNode, indexer: Indexer, tokens: range) -> None:
    for token in tokens:
        node.mine(emitted("Transfer", to=ALICE, tokenId=token))
        asyncio.run(indexer.catch_up())


def _write(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO standby (chain_id, name, since, seen_at) VALUES (1, ?, 0, 0)", (name,))


def _length(file: Path) -> int:
    return Path(f"{file}-wal").stat().st_size
