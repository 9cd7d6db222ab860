"""What must be free, empty or fresh before the demo starts."""

import socket
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from schema.program.settings import shown_database
from schema.tables.database import connect, unusable
from tests.support.chain.devchain import REPOSITORY

HOST = "127.0.0.1"
FOLDER = REPOSITORY / ".demo"


class CannotStart(Exception):
    """A requirement of the demo is not met; the message names the way out."""


def require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            way_out = f"Choose another: ./scripts/demo --port {port % 65535 + 1}"
            raise CannotStart(f"port {port} of {HOST} is taken ({error.strerror}). {way_out}") from None


def fresh_file(port: int, kind: str) -> Path:
    """Returns the path of a file of this port, after removing the one of an earlier demo."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"port-{port}.{kind}"
    for leftover in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        leftover.unlink(missing_ok=True)
    return file


def require_empty(url: str) -> None:
    """Raises CannotStart unless the database is empty: each demo has a new chain, which an old index does not fit."""
    engine = connect(url)
    try:
        tables = inspect(engine).get_table_names()
    except DBAPIError as error:
        raise CannotStart(f"--database: {unusable(engine, error)}") from None
    finally:
        engine.dispose()
    if tables:
        way_out = "Name an empty one, or leave --database out for a fresh file."
        raise CannotStart(f"--database {shown_database(url)} holds {len(tables)} tables already. {way_out}")
