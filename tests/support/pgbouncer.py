"""PgBouncer in transaction mode, before a PostgreSQL server: each transaction may run in another of its sessions."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from scripts.processes import Child
from tests.support.postgres import UNPRIVILEGED, plain_url
from tests.support.processes import free_ports, until


@contextmanager
def pooler(url: str, *, sessions: int) -> Iterator[str]:
    """Yields the URL of the database through a pooler with so many sessions of the server."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise RuntimeError("no PgBouncer on PATH: apt-get install pgbouncer")
    server, [port] = make_url(url), free_ports(1)
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": sessions,
        "max_client_conn": 500,
        "server_round_robin": 1,  # each transaction in another session, not in the last that was used
    }
    target = f"host={server.host} port={server.port} dbname={server.database} user={server.username}"
    lines = [f"[databases]\npooled = {target}\n[pgbouncer]", *(f"{key} = {value}" for key, value in settings.items())]
    pooled = f"postgresql://anyone@127.0.0.1:{port}/pooled"
    with TemporaryDirectory(prefix="certindex-pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "pgbouncer.ini"
        file.write_text("\n".join(lines) + "\n")
        child = Child([program, file], user=UNPRIVILEGED if os.geteuid() == 0 else None)  # it refuses to run as root
        try:
            until(lambda: _answers(pooled), "PgBouncer", child)
            yield pooled
        finally:
            child.stop()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(plain_url(url)).close()
    except psycopg.OperationalError:
        return False
    return True
