"""Tables of keys: PostgreSQL plans a statement that joins one once, for any keys."""

import pytest
from sqlalchemy import text

from api.queries.devices import DEVICE
from api.queries.events import TRANSFERS
from api.queries.sql.keys import key_of
from api.queries.sql.listings import BY_POSITION
from api.queries.sql.pages import PageQuery, Window
from api.reading.read import Read
from api.reading.snapshot import open_snapshot_now
from schema.tables.database import connect
from tests.support.index.history import History, log

ACCOUNT = b"\xaa" * 20

DEVICES, BLOCK_DEVICES = 200, 40
"""So many that a plan for one key is cheaper than one for ten, which PostgreSQL takes for any number of keys."""

EXECUTIONS = 12
"""psycopg prepares a statement at its sixth execution, and PostgreSQL plans each of the next five anew."""


@pytest.mark.direct
def test_a_connection_keeps_the_plan_of_look_ups_and_of_pages_of_parents(postgres_url: str) -> None:
    history = History(postgres_url)
    for first in range(0, DEVICES, BLOCK_DEVICES):
        tokens = range(first, first + BLOCK_DEVICES)
        mints = [log("CertificateMinted", token, ACCOUNT, 1, 1, "SN", "", token, "1.0.0") for token in tokens]
        history.block(*mints, *[log("Transfer", ACCOUNT, ACCOUNT, token) for token in tokens])
    with history.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    history.engine.dispose()
    engine = connect(postgres_url, read_only=True)
    with open_snapshot_now(engine) as snapshot:
        for _ in range(EXECUTIONS):
            read, key = Read(snapshot), key_of(snapshot.pins[0], 1 << 20)
            assert read.rows(DEVICE, [key]) != [None]
            assert read.pages(PageQuery(TRANSFERS, BY_POSITION, Window(3)), [key])[0].rows
        plans = snapshot.read_now(
            lambda connection: connection.execute(
                text("SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements")
            ).all()
        )
    engine.dispose()
    kept = [plan for plan in plans if "unnest" in plan.statement]
    assert len(kept) >= 2
    assert all(plan.generic_plans > 0 and plan.custom_plans <= 5 for plan in kept), kept
