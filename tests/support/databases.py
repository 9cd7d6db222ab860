"""The databases that tests run on, of both kinds: with the tables of the product, or empty."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy import Connection, make_url, text

from schema.tables.database import connect, migrate
from tests.support.postgres import plain_url

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
NewDatabase = Callable[[], str]
"""Makes a database and returns its URL."""


class Databases:
    """Makes databases. One with tables is a copy of a template: migrating each would take most of a short test's time.

    `server_url` starts the PostgreSQL server when it is called first. `through` returns the URL by which the tests
    connect to one of its databases.
    """

    def __init__(self, folder: Path, server_url: Callable[[], str], through: Callable[[str], str]) -> None:
        self._folder = folder
        self._server_url = server_url
        self._through = through
        self._connections = ExitStack()

    def close(self) -> None:
        self._connections.close()

    def new(self, kind: Kind, *, empty: bool = False) -> str:
        """Returns the URL of a new database: with tables and no rows, or empty."""
        if kind == "sqlite":
            file = self._folder / f"{secrets.token_hex(6)}.db"
            if not empty:
                shutil.copy(self._sqlite_template, file)
            return f"sqlite:///{file}"
        return self._through(self._create("template0" if empty else self._postgres_template))

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
        return make_url(self._server_url()).set(database=name).render_as_string(hide_password=False)

    def _drop(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
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
