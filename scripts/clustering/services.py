"""The services of a cluster on loopback: etcd, PostgreSQL under Patroni, PgBouncer, and HAProxy before all of them."""

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from scripts.processes import Child
from tests.support.processes import free_ports

PEOPLE = "postgres"
"""The user of PostgreSQL and PgBouncer, which refuse to run as root. Debian's packages create it."""

DATABASE = "certindex"

TTL, LOOP, RETRY = 8, 1, 3
"""Seconds after which a member that vanishes has lost the lead, between two checks, and of retries of etcd.

Patroni requires that LOOP + 2 RETRY is at most TTL.
"""

DISK_MEGABYTES = 400
"""Space of a server: enough for its data and its log."""

PARAMETERS = {
    "shared_buffers": "32MB",
    "max_connections": 150,
    "wal_log_hints": "on",  # for pg_rewind
    "wal_keep_size": "64MB",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "unix_socket_directories": "",
}


def program(name: str) -> str:
    """Returns the path of a program. Raises SystemExit if it is not installed."""
    postgresql = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, postgresql[-1:])]
    path = shutil.which(name, path=":".join(folders))
    if path is None:
        raise SystemExit(
            f"cluster: {name} is not installed: apt-get install postgresql patroni etcd-server haproxy pgbouncer"
        )
    return path


OnLine = Callable[[str], None]
"""What is called with each line that a part prints."""


class Member:
    """A PostgreSQL server under Patroni, with a disk of its own in memory."""

    def __init__(self, name: str, folder: Path, etcd_port: int, on_line: OnLine) -> None:
        self.name = name
        self.port, self.api_port = free_ports(2)
        self._on_line = on_line
        self._disk = folder / name
        self._data, self._filler = self._disk / "data", self._disk / "filler"
        _mount(self._disk)
        self._file = folder / f"{name}.json"  # JSON is YAML
        self._file.write_text(json.dumps(self._configuration(folder, etcd_port)))
        self.start()

    def start(self) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}  # Debian's Python, not that of .venv
        command: list[str | Path] = ["/usr/bin/python3", program("patroni"), self._file]
        self.child = Child(command, user=PEOPLE, environment=environment, on_line=self._on_line)

    def has_role(self, role: str) -> bool:
        """Returns whether Patroni reports the server as the `primary`, or a `replica` that runs."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.api_port}/{role}", timeout=1).status_code == 200
        return False

    def kill(self) -> None:
        """Ends Patroni and PostgreSQL at once, as a power cut does."""
        self._each(psutil.Process.kill)

    def pause(self) -> None:
        """Suspends Patroni and PostgreSQL, as a machine that hangs does."""
        self._each(psutil.Process.suspend)

    def resume(self) -> None:
        self._each(psutil.Process.resume)

    def fill_disk(self) -> None:
        """Leaves no space on the server's disk."""
        with self._filler.open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(1 << 20))

    def free_disk(self) -> None:
        self._filler.unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self._disk], check=True)

    def _each(self, act: Callable[[psutil.Process], None]) -> None:
        """Acts on Patroni, which would start PostgreSQL again, then on PostgreSQL, whose processes outlive it."""
        for process in [*_processes(str(self._file)), *_processes(str(self._data))]:
            with suppress(psutil.NoSuchProcess):
                act(process)

    def _configuration(self, folder: Path, etcd_port: int) -> Mapping[str, Any]:
        user = {"username": "postgres"}
        return {
            "scope": DATABASE,
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.api_port}", "connect_address": f"127.0.0.1:{self.api_port}"},
            # by the older protocol: after Patroni 3.0 was suspended, its cache of etcd3 can stay stale. It then never
            # replaces a synchronous standby that has died, and each commit waits for it (patroni/patroni#2783)
            "etcd": {"host": f"127.0.0.1:{etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL,
                    "loop_wait": LOOP,
                    "retry_timeout": RETRY,
                    "master_start_timeout": 0,  # a primary that crashes is not waited for
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": PARAMETERS},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self._data),
                "bin_dir": str(Path(program("pg_rewind")).parent),
                "pgpass": str(folder / f"{self.name}.pass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }


def _mount(folder: Path) -> None:
    """Mounts a disk that can be filled. Raises SystemExit if that is not allowed."""
    folder.mkdir()
    options = f"size={DISK_MEGABYTES}m,mode=700,uid={pwd.getpwnam(PEOPLE).pw_uid}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise SystemExit(f"cluster: the disk of a server cannot be mounted, run as root: {mounted.stderr.strip()}")


def _processes(argument: str) -> list[psutil.Process]:
    """Returns the processes whose command line has an argument, and their children."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if argument in process.cmdline():
                processes += [process, *process.children(recursive=True)]
    return processes


def etcd(folder: Path, port: int, on_line: OnLine) -> Child:
    """Runs one etcd, without syncs to disk: no test kills it."""
    [peers] = free_ports(1)
    clients, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    options = {
        "data-dir": folder / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "enable-v2": "true",
    }
    return Child([program("etcd"), *(f"--{name}={value}" for name, value in options.items())], on_line=on_line)


def haproxy(
    folder: Path, members: Sequence[Member], ports: Mapping[str, int], apis: Sequence[int], on_line: OnLine
) -> Child:
    """Runs HAProxy: `write` leads to the primary, `read` to the replicas, `api` to the servers that are ready."""
    servers = "\n".join(f"  server {one.name} 127.0.0.1:{one.port} check port {one.api_port}" for one in members)
    answering = "\n".join(f"  server api{number} 127.0.0.1:{port} check" for number, port in enumerate(apis))
    check = "default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions"
    file = folder / "haproxy.cfg"
    file.write_text(
        f"""
defaults
  timeout connect 1s
  timeout check 1s
  timeout client 1h
  timeout server 1h
  option redispatch
  retries 3

listen write
  mode tcp
  bind 127.0.0.1:{ports["write"]}
  option httpchk GET /primary
  {check}
{servers}

frontend read
  mode tcp
  bind 127.0.0.1:{ports["read"]}
  use_backend replicas if {{ nbsrv(replicas) gt 0 }}
  default_backend primary

backend replicas
  mode tcp
  option httpchk GET /replica
  {check}
{servers}

backend primary
  mode tcp
  option httpchk GET /primary
  {check}
{servers}

listen api
  mode http
  bind 127.0.0.1:{ports["api"]}
  timeout tunnel 1h
  timeout check 5s
  retry-on conn-failure empty-response
  option httpchk GET /readyz
  default-server inter 500ms fall 1 rise 1
{answering}
"""
    )
    return Child([program("haproxy"), "-db", "-f", file], on_line=on_line)


def pgbouncer(folder: Path, port: int, ports: Mapping[str, int], on_line: OnLine) -> Child:
    """Runs PgBouncer in transaction mode: the database `certindex` is that of `write`, `replica` that of `read`."""
    file = folder / "pgbouncer.ini"
    file.write_text(
        f"""[databases]
{DATABASE} = host=127.0.0.1 port={ports["write"]} user=postgres
replica = host=127.0.0.1 port={ports["read"]} user=postgres dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
server_connect_timeout = 2
"""
    )
    return Child([program("pgbouncer"), file], user=PEOPLE, on_line=on_line)
