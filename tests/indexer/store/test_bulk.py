"""However many rows are written at once, they are in the database as they were given."""

import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from indexer.store.bulk import ROWS_A_STATEMENT, insert
from schema.tables import rows
from schema.tables.database import connect, migrate

MANY = ROWS_A_STATEMENT


def event(position: int) -> rows.Event:
    return rows.Event(position, b"\xce" * 20, b"\0" * 32, b"", b"\x7f\0" * 16, 3, 1, device_id=position % 2 or None)


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, MANY + 1, 3 * MANY - 1])
def test_rows_come_back_as_they_were_written_however_many(database_url: str, count: int) -> None:
    written = [event(position) for position in range(count)]
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        insert(connection, 137, "event", written)
        found = connection.execute(
            text(f"SELECT {', '.join(rows.Event.__struct_fields__)} FROM event WHERE chain_id = 137 ORDER BY position")
        ).all()
    engine.dispose()
    assert [rows.Event(*row) for row in found] == written


def test_a_key_that_is_there_stops_all_rows_written_with_it(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        insert(connection, 137, "event", [event(MANY - 2)])
    with pytest.raises((DBAPIError, UniqueViolation)), engine.begin() as connection:
        insert(connection, 137, "event", [event(position) for position in range(2 * MANY)])
    with engine.begin() as connection:
        assert connection.execute(text("SELECT position FROM event")).scalars().all() == [MANY - 2]
    engine.dispose()
