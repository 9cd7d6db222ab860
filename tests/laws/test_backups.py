"""A restored copy of a database that was written meanwhile goes on from where it is, also over a reorg."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from api.settings import Settings
from indexer.store import lease
from indexer.store.lease import Lease
from tests.support.api.server import post, serving
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.databases import Databases
from tests.support.index.indexing import Indexer, engine_of, index_afresh
from tests.support.postgres import PostgresServer

Restore = Callable[[str], str]
"""Copies a database while it is open, and returns the URL of the copy."""

DEVICES = "{ devices { totalCount } }"


@contextmanager
def vacuum_into(tmp_path: Path) -> Iterator[Restore]:
    def restore(url: str) -> str:
        copy = tmp_path / "copy.db"
        sqlite3.connect(str(make_url(url).database)).execute(f"VACUUM INTO '{copy}'").connection.close()
        return f"sqlite:///{copy}"

    yield restore


@contextmanager
def base_backup(server: PostgresServer) -> Iterator[Restore]:
    with ExitStack() as servers:

        def restore(url: str) -> str:
            copy = PostgresServer(primary=server, standby=False)
            servers.callback(copy.stop)
            return make_url(copy.url).set(database=make_url(url).database).render_as_string(hide_password=False)

        yield restore


@pytest.fixture(params=["VACUUM INTO", "pg_basebackup"])
def database(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[tuple[str, Restore]]:
    """The URL of a database with tables, and what copies it."""
    if request.param == "VACUUM INTO":
        with vacuum_into(tmp_path) as restore:
            yield databases.new("sqlite"), restore
        return
    server = PostgresServer()
    with base_backup(server) as restore:
        yield server.url, restore
    server.stop()


def test_a_restored_older_copy_goes_on_and_ends_equal(
    database: tuple[str, Restore], sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DEAD_AFTER_SECONDS", 0.2)
    url, restore = database
    node = FakeNode(finality=4)
    mine(node, 1, 2, 3)
    with engine_of(url) as engine:
        indexer = Indexer(engine, node)
        asyncio.run(indexer.catch_up())
        copy = restore(url)  # its lease is held by this process, which does not write it
        mine(node, 4, 5)
        asyncio.run(indexer.catch_up())
    node.reorg(3)
    mine(node, 6)
    with engine_of(copy) as restored, serving(Settings(database_url=copy, cache_bytes=0)) as address:
        assert total(address) == 3
        indexer.engine = restored
        successor = Lease(restored, node.chain_id)
        asyncio.run(successor.acquire(wait=True))
        successor.release()
        indexer.begin_life()
        asyncio.run(indexer.catch_up())
        with engine_of(sqlite_url) as fresh:
            assert indexer.tables() == index_afresh(fresh, node)
        assert total(address) == 3


def total(address: str) -> int:
    return int(post(f"{address}/graphql", {"query": DEVICES}).json()["data"]["devices"]["totalCount"])


def mine(node: FakeNode, *numbers: int) -> None:
    for number in numbers:
        node.mine(
            emitted("Transfer", to=b"\x0a" * 20, tokenId=number),
            emitted("CertificateMinted", tokenId=number, manufacturerId=1, serialNumber=f"SN-{number}"),
        )
