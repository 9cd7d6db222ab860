"""The databases that the benchmark fills: a SQLite file, and PostgreSQL with its default durability.

The server has the memory and the intervals of checkpoints that docs/guides/operator.md recommends.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import Connection, make_url

from schema.tables.database import REVISION, connect
from tests.support.postgres import PostgresServer, plain_url, temporary_database

QUARTER_OF_MEMORY = f"{psutil.virtual_memory().total // 2**22}MB"
TUNING = (
    f"shared_buffers={QUARTER_OF_MEMORY}",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "max_connections=60",
)
FOR_A_STANDBY = (*TUNING, "wal_keep_size=8GB")
"""A standby that falls behind by more than this cannot go on."""

KINDS = ("sqlite", "postgresql")


class Databases:
    """Makes databases of one kind. A context manager: they end with the block, but for those in the folder `kept`."""

    def __init__(self, kind: str, folder: Path, kept: Path | None = None, tuning: Sequence[str] = TUNING) -> None:
        self.kind = kind
        self._folder = folder
        self._kept = kept
        self._made = ExitStack()
        self._tuning = tuning
        self._server: PostgresServer | None = None
        self._server_url = ""

    def __enter__(self) -> "Databases":
        if self.kind == "postgresql":
            self._server_url = os.environ.get("TEST_POSTGRES_URL", "")
            if not self._server_url:
                data = self._kept / "postgresql" if self._kept else None
                self._server = PostgresServer(self._tuning, data=data)
                self._made.callback(self._server.stop)
                self._server_url = self._server.url
        return self

    def __exit__(self, *_: object) -> None:
        self._made.close()

    @contextmanager
    def new(self) -> Iterator[str]:
        """Yields the URL of an empty database, which is dropped at the end of the block."""
        if self.kind == "postgresql":
            with temporary_database(self._server_url) as url:
                yield url
            return
        name = f"bench-{secrets.token_hex(4)}.db"
        yield f"sqlite:///{self._folder / name}"
        for file in self._folder.glob(f"{name}*"):
            file.unlink()

    def kept(self, name: str, fill: Callable[[str], Any]) -> str:
        """Returns the URL of a database that is filled once and kept. It is filled again for another revision."""
        assert self._kept is not None  # the databases were made with it
        name = f"{name}_{REVISION}"
        if self.kind == "sqlite":
            return self._kept_file(self._kept / f"{name}.db", fill)
        url = make_url(self._server_url).set(database=name).render_as_string(hide_password=False)
        with psycopg.connect(plain_url(self._server_url), autocommit=True) as server:
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                with self.new() as unfinished:
                    fill(unfinished)
                    server.execute(f"CREATE DATABASE {name} TEMPLATE {make_url(unfinished).database}".encode())
        return url

    def _kept_file(self, file: Path, fill: Callable[[str], Any]) -> str:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with self.new() as unfinished:
                fill(unfinished)
                shutil.move(str(make_url(unfinished).database), file)
        return f"sqlite:///{file}"

    @property
    def has_standby(self) -> bool:
        """Whether `standby` can be called: on a PostgreSQL server that we started."""
        return self._server is not None

    @contextmanager
    def standby(self, url: str) -> Iterator[str]:
        """Yields the URL of a database on a hot standby, which has replayed all of it."""
        assert self._server is not None
        standby = PostgresServer(self._tuning, primary=self._server)
        try:
            standby.wait_for(self._server)
            yield make_url(standby.url).set(database=make_url(url).database).render_as_string(hide_password=False)
        finally:
            standby.stop()

    def server_cpu_seconds(self) -> float:
        """Returns the CPU seconds that the database server has used; 0 for SQLite and for a server we did not start."""
        if self._server is None or not Path("/proc").exists():
            return 0.0
        return _cpu_of_process_tree(self._server.pid)


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """Yields a connection that only reads a database."""
    engine = connect(url, read_only=True)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def size(url: str) -> int:
    """Returns the size of a database in bytes, with SQLite's log."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        return sum(part.stat().st_size for part in (file, file.with_name(f"{file.name}-wal")) if part.exists())
    with psycopg.connect(plain_url(url)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return 0 if row is None else int(row[0])


def _cpu_of_process_tree(pid: int) -> float:
    """Returns the CPU seconds of a process and its children, including children that have ended."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has ended
        own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
        if int(status.parent.name) == pid:
            total += own + ended
        elif int(fields[1]) == pid:
            total += own
    return total / os.sysconf("SC_CLK_TCK")
