"""PgBouncer in transaction mode, before a PostgreSQL server: each transaction may run in another of its sessions."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from scripts.processes import Child
from tests.support.postgres import UNPRIVILEGED
from tests.support.processes import free_ports, until

STATE = """
SELECT 'prepared statement ' || name FROM pg_prepared_statements
UNION ALL SELECT 'LISTEN ' || channel FROM pg_listening_channels() AS channel
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'setting ' || name FROM pg_settings WHERE source = 'session'
  AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'standard_conforming_strings', 'TimeZone')
"""
"""What a session holds beyond a transaction. PgBouncer sets the five settings to those of the client."""


class Pooler:
    """A running PgBouncer before all databases of a server. `url` names the one that was passed.

    `settings` are further ones of PgBouncer, or others than ours.
    """

    def __init__(self, folder: Path, url: str, sessions: int, settings: Mapping[str, str | Path]) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise RuntimeError("no PgBouncer on PATH: apt-get install pgbouncer")
        self._file, self._sessions, [self.port] = folder / "pgbouncer.ini", sessions, free_ports(1)
        self._settings = settings
        self.url = self.url_of(url)
        self._write(url)
        self.child = Child([program, self._file], user=UNPRIVILEGED if os.geteuid() == 0 else None)  # not as root

    def url_of(self, url: str) -> str:
        """Returns the URL of a database of the server through the pooler."""
        return f"postgresql://anyone@127.0.0.1:{self.port}/{make_url(url).database}"

    def through(self, url: str) -> str:
        """Returns the URL as `url_of` does, and opens all sessions: a single client, too, changes between them."""
        with ExitStack() as stack:
            for _ in range(self._sessions):
                stack.enter_context(psycopg.connect(self.url_of(url))).execute("SELECT 1")
        return self.url_of(url)

    def state_of_sessions(self, url: str) -> set[str]:
        """Returns what transactions left in the sessions of a database that `through` opened, for whoever is next."""
        with psycopg.connect(self.url_of(url), autocommit=True, prepare_threshold=None) as connection:
            return {kind for _ in range(self._sessions) for (kind,) in connection.execute(STATE).fetchall()}

    def lead_to(self, url: str) -> None:
        """Leads the next transactions to another server."""
        self._write(url)
        os.kill(self.child.pid, signal.SIGHUP)

    def _write(self, url: str) -> None:
        server = make_url(url)
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": self._sessions,
            "min_pool_size": self._sessions,  # opens a session again in place of one that ended
            "max_client_conn": 500,
            "server_round_robin": 1,  # each transaction in another session, not in the last that was used
            **self._settings,
        }
        lines = [
            f"[databases]\n* = host={server.host} port={server.port} user={server.username}\n[pgbouncer]",
            *(f"{key} = {value}" for key, value in settings.items()),
        ]
        self._file.write_text("\n".join(lines) + "\n")


@contextmanager
def running_pooler(url: str, *, sessions: int, **settings: str | Path) -> Iterator[Pooler]:
    """Runs a pooler with so many sessions of the server, and these settings of PgBouncer."""
    with TemporaryDirectory(prefix="certindex-pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        pooler = Pooler(Path(folder), url, sessions, settings)
        try:
            until(lambda: _listens(pooler.port), "PgBouncer", pooler.child)
            yield pooler
        finally:
            pooler.child.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
