"""The databases that tests run on, of both kinds: with the tables of the product, or empty."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from schema.tables.database import connect, migrate
from tests.support.pgbouncer import Pooler
from tests.support.postgres import plain_url

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
NewDatabase = Callable[[], str]
"""Makes a database and returns its URL."""


def on_sqlite(fixture: str) -> pytest.MarkDecorator:
    """Runs a test on SQLite alone whose fixture gives each database, for what no database decides."""
    return pytest.mark.parametrize(fixture, ["sqlite"], indirect=True)


class Databases:
    """Makes databases. One with tables is a copy of a template: migrating each would take most of a short test's time.

    `server_url` starts the PostgreSQL server when it is called first. If there is a `pooler`, the tests connect to its
    databases through that, and nothing may be left in its sessions when a database is dropped.
    """

    def __init__(self, folder: Path, server_url: Callable[[], str], pooler: Callable[[], Pooler] | None = None) -> None:
        self._folder = folder
        self._server_url = server_url
        self._pooler = pooler
        self._pooled: set[str] = set()
        self._connections = ExitStack()

    def close(self) -> None:
        for url in list(self._pooled):
            self._check_sessions(url)
        self._connections.close()

    def new(self, kind: Kind, *, empty: bool = False) -> str:
        """Returns the URL of a new database: with tables and no rows, or empty."""
        if kind == "sqlite":
            file = self._folder / f"{secrets.token_hex(6)}.db"
            if not empty:
                shutil.copy(self._sqlite_template, file)
            return f"sqlite:///{file}"
        url = self._create("template0" if empty else self._postgres_template)
        return self._through_pooler(url, self._pooler()) if self._pooler else url

    def direct_url(self, url: str) -> str:
        """Returns the URL of a database on its server itself, for what needs a session of its own."""
        return self._url_on_server(str(make_url(url).database)) if url in self._pooled else url

    @contextmanager
    def temporary(self, kind: Kind, *, empty: bool = False) -> Iterator[NewDatabase]:
        """Gives what makes databases. They are dropped at the end of the block."""
        urls: list[str] = []

        def new_database() -> str:
            urls.append(self.new(kind, empty=empty))
            return urls[-1]

        yield new_database
        for url in urls:
            self._drop(url)

    @cached_property
    def _server(self) -> psycopg.Connection:
        return self._connections.enter_context(psycopg.connect(plain_url(self._server_url()), autocommit=True))

    @cached_property
    def _sqlite_template(self) -> Path:
        file = self._folder / "template.db"
        _migrate(f"sqlite:///{file}")
        return file

    @cached_property
    def _postgres_template(self) -> str:
        url = self._create("template0")
        _migrate(url)
        return str(make_url(url).database)

    def _create(self, template: str) -> str:
        name = f"certindex_test_{secrets.token_hex(6)}"
        # copying files takes a third of the time that the default strategy takes
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        return self._url_on_server(name)

    def _url_on_server(self, name: str) -> str:
        return make_url(self._server_url()).set(database=name).render_as_string(hide_password=False)

    def _through_pooler(self, url: str, pooler: Pooler) -> str:
        pooled = pooler.through(url)
        self._pooled.add(pooled)
        return pooled

    def _check_sessions(self, url: str) -> None:
        """Raises AssertionError if a transaction left something in a session of the pooler."""
        if self._pooler and url in self._pooled:
            self._pooled.remove(url)
            state = self._pooler().state_of_sessions(url)
            assert not state, f"left in the pooler's sessions: {', '.join(sorted(state))}"

    def _drop(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            try:
                self._check_sessions(url)
            finally:
                self._server.execute(f"DROP DATABASE {parsed.database} WITH (FORCE)".encode())


def _migrate(url: str) -> None:
    engine = connect(url)
    migrate(engine)
    engine.dispose()


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}


def run_for_ever(connection: Connection) -> Any:
    return connection.execute(text(ENDLESS[connection.dialect.name])).all()
