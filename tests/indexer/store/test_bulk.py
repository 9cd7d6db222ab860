"""Bulk inserts store rows unchanged, however many there are."""

import pytest
from msgspec.structs import astuple
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, InternalError

from indexer.store.bulk import ROWS_A_STATEMENT, Values, insert_values
from schema.tables.rows import EventLog, EventReading
from tests.support.postgres import has_ended
from tests.support.processes import until

MANY = ROWS_A_STATEMENT


COLUMNS = (*EventLog.__struct_fields__, *EventReading.__struct_fields__)


def event(position: int) -> Values:
    log = EventLog(position, b"\xce" * 20, b"\0" * 32, b"", b"\x7f\0" * 16, 3, None)
    return astuple(log) + astuple(EventReading(1, device_id=position % 2 or None))


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, MANY + 1, 3 * MANY - 1])
def test_rows_come_back_as_they_were_written_however_many(fresh_engine: Engine, count: int) -> None:
    written = [event(position) for position in range(count)]
    with fresh_engine.begin() as connection:
        insert_values(connection, 137, "event", COLUMNS, written, len(written))
        rows = connection.execute(
            text(f"SELECT {', '.join(COLUMNS)} FROM event WHERE chain_id = 137 ORDER BY position")
        ).all()
    assert list(map(tuple, rows)) == written


def test_a_key_that_is_there_stops_all_rows_written_with_it(fresh_engine: Engine) -> None:
    with fresh_engine.begin() as connection:
        insert_values(connection, 137, "event", COLUMNS, [event(MANY - 2)], 1)
    with pytest.raises(DBAPIError), fresh_engine.begin() as connection:
        insert_values(connection, 137, "event", COLUMNS, map(event, range(2 * MANY)), 2 * MANY)
    with fresh_engine.begin() as connection:
        assert connection.execute(text("SELECT position FROM event")).scalars().all() == [MANY - 2]


def test_a_lost_connection_is_reported_with_its_reason(postgres_engine: Engine) -> None:
    reason = "terminating connection due to idle-in-transaction timeout"
    with pytest.raises(InternalError, match=reason):
        insert_after_silence(postgres_engine)
    with postgres_engine.begin() as connection:
        insert_values(connection, 137, "event", COLUMNS, [event(1)], 1)


def insert_after_silence(engine: Engine) -> None:
    with engine.begin() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '50ms'")
        until(lambda: has_ended(engine.url.render_as_string(hide_password=False), pid), "the end of the session")
        insert_values(connection, 137, "event", COLUMNS, [event(1)], 1)
