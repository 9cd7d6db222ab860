"""NATS and Redis servers of Debian, each in a process of its own."""

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.processes import Child
from tests.support.processes import free_ports, until


def nats_server(port: int, folder: Path) -> Child:
    """Starts a NATS server with JetStream, whose streams are stored in a folder."""
    return _started(["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)], port)


def redis_server(port: int, folder: Path) -> Child:
    """Starts a Redis server, which stores each write in a folder."""
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    return _started(["redis-server", *options], port)


@contextmanager
def stopping(child: Child) -> Iterator[Child]:
    """Stops a server at the end of the block."""
    try:
        yield child
    finally:
        child.stop()


def _started(command: Sequence[str], port: int) -> Child:
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise RuntimeError(f"no {command[0]} on PATH: apt-get install {command[0]}")
    child = Child([program, *command[1:]])
    until(lambda: _is_open(port), command[0], child)
    return child


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


__all__ = ["free_ports", "nats_server", "redis_server", "stopping"]
