"""The statistics of SQLite's planner: those of large tables, whatever the size of the real ones.

Without statistics the planner expects ten rows of a chain, and reads all of them where an index has the few that match.
A sample misleads it too: every index begins with the chain, and a thousand rows of one chain look like a chain of a
thousand rows. Counting all rows takes seconds for a million events, under the writer's lock. With fixed statistics,
from the first row on, the plans are the same in every database. PostgreSQL samples tables automatically.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Table, UniqueConstraint, text

from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.tables import Chain

TABLES = Chain.metadata.tables
ROWS = 1_000_000
OF_ONE_THING = 5
"""Rows of one thing: spans of a device, events of a block."""


ANALYZE = "ANALYZE " + ", ".join(f'"{table}"' for table in TABLES)
"""On PostgreSQL; without names it reads the server's own tables too, which take longer than a small chain's."""


def update_statistics(connection: Connection) -> None:
    """Lets PostgreSQL sample its tables; writes those of SQLite, which this connection reads again."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(ANALYZE)
    else:
        write_statistics(connection)


def write_statistics(connection: Connection) -> None:
    """Writes the statistics of SQLite's tables and indexes, also of those that are built later."""
    connection.exec_driver_sql("PRAGMA analysis_limit = 1")
    connection.exec_driver_sql("ANALYZE main")  # makes the table; an attached database is another one
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    insert = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :stat)")
    for table in TABLES.values():
        for index, rows in _indexes(table):
            statistic = {"table": table.name, "index": index, "stat": " ".join(map(str, (ROWS, *rows)))}
            connection.execute(insert, statistic)
    connection.exec_driver_sql("ANALYZE main.sqlite_schema")


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
