"""Keeps SQLite's write-ahead log and page cache in proportion to the database.

A commit moves the log's pages into the database, and SQLite restarts the log when all pages were moved. A beat written
while a large commit is being moved is left behind, and so is what a reader still sees: such a log grows on and on.

In a large database the events of a step are on as many pages as there are events, and more. If the log holds the pages
of several steps, a page that all of them change is moved once; if the cache holds those of one, they are written once.
Readers search the log for each page, so that it stays short where steps are small.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from schema.tables.database import SQLITE_ARGUMENTS, database_name

LOG_PAGES, MOST_LOG_PAGES = 20_000, 200_000
"""Pages that are moved into the database together: half of its pages within these bounds, the least if steps are
small. A large step of a database with 2,000,000 events writes 80,000."""
LOG_SHARE = 2
CACHE_PAGES, MOST_CACHE_PAGES = 12_288, 65_536
"""A cache of 48 to 256 MB: the least up to 1,000,000 events, the most from 6,000,000 on."""
CACHE_SHARE = 24
LARGE_STEP = 10_000
"""Events of a step that may use the long log: a quarter of a step of a backfill."""
MOST_BYTES = 192 * 2**20
"""More than the usual maximum of a log of `LOG_PAGES`, which is these and one step."""
PATIENCE_MS = 100


def fit_to_database(connection: Connection, events: int) -> int:
    """Sets the cache and the log of a transaction with so many events. Returns the most bytes of the log."""
    if connection.dialect.name != "sqlite":
        return MOST_BYTES
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    cache = min(max(pages // CACHE_SHARE, CACHE_PAGES), MOST_CACHE_PAGES)
    log = min(max(pages // LOG_SHARE, LOG_PAGES), MOST_LOG_PAGES) if events >= LARGE_STEP else LOG_PAGES
    connection.exec_driver_sql(f"PRAGMA cache_size = {cache}")
    connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {log}")
    return MOST_BYTES * log // LOG_PAGES


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
