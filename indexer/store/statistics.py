"""The statistics of SQLite's planner: those of large tables, whatever the size of the real ones.

A sample misleads the planner: every index begins with the chain, and a thousand rows of one chain look like a chain of
a thousand rows. Counting all rows takes seconds for a million events, under the writer's lock. With fixed statistics
the plans are the same in every database. PostgreSQL samples tables automatically.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, Table, UniqueConstraint, text

from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.tables import Chain

TABLES = Chain.metadata.tables
ROWS = 1_000_000
OF_ONE_THING = 5
"""Rows of one thing: spans of a device, events of a block."""


ANALYZE = "ANALYZE " + ", ".join(f'"{table}"' for table in TABLES)
"""On PostgreSQL; without names it reads the server's own tables too, which take longer than a small chain's."""


def maintain(engine: Engine) -> None:
    """Writes the statistics of SQLite's planner; PostgreSQL collects its own."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            write_statistics(connection)


def write_statistics(connection: Connection) -> None:
    """Writes the statistics of all tables. Other connections read them when the next index is built."""
    connection.exec_driver_sql("PRAGMA analysis_limit = 1")
    connection.exec_driver_sql("ANALYZE")  # makes the table
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    insert = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :stat)")
    for table in TABLES.values():
        for index, rows in _indexes(table):
            statistic = {"table": table.name, "index": index, "stat": " ".join(map(str, (ROWS, *rows)))}
            connection.execute(insert, statistic)
    connection.exec_driver_sql("ANALYZE sqlite_schema")


def _indexes(table: Table) -> Iterator[tuple[str, list[int]]]:
    """Yields each index and, for each of its columns, how many rows agree up to there."""
    key = len(table.primary_key.columns)
    if not table.dialect_options["sqlite"]["with_rowid"]:
        yield table.name, [ROWS, *[OF_ONE_THING] * (key - 2), 1]
    if any(isinstance(constraint, UniqueConstraint) for constraint in table.constraints):
        # chain, contract, token id
        yield f"sqlite_autoindex_{table.name}_2", [ROWS, ROWS, 1]
    for index in SECONDARY_INDEXES:
        if index.table == table.name and index.columns[0] == "chain_id":
            of_one_value = [min(index.rows_each, OF_ONE_THING), 1, 1] if index.has_spans else [1, 1]
            yield index.name, [ROWS, index.rows_each, *of_one_value][: len(index.columns)]
