"""Keeps SQLite's write-ahead log short.

A commit moves the log's pages into the database, and SQLite restarts the log when all pages were moved. A beat written
while a large commit is being moved is left behind, and so is what a reader still sees: such a log grows on and on.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine

from schema.tables.database import SQLITE_ARGUMENTS, database_name

MOST_BYTES = 192 * 2**20
"""More than the usual maximum, which is the 20,000 pages of `wal_autocheckpoint` and one step."""
PATIENCE_MS = 100


def shorten_wal(engine: Engine, most_bytes: int = MOST_BYTES) -> None:
    """Truncates a longer log. If a reader needs the log for longer than `PATIENCE_MS`, the next call truncates it."""
    if engine.dialect.name != "sqlite" or _length(Path(f"{database_name(engine)}-wal")) <= most_bytes:
        return
    with closing(engine.raw_connection()) as connection, suppress(sqlite3.OperationalError):  # a full disk
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_ARGUMENTS['timeout'] * 1000}")


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
