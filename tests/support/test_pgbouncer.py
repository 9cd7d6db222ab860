"""Behind the tests' pooler no client keeps a session. What a transaction leaves in one fails the test."""

from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Databases
from tests.support.pgbouncer import Pooler


def test_each_transaction_of_a_single_client_runs_in_another_session(postgres_url: str, pooler: Pooler) -> None:
    with psycopg.connect(pooler.through(postgres_url), autocommit=True, prepare_threshold=None) as client:
        sessions = [client.execute("SELECT pg_backend_pid()").fetchone() for _ in range(8)]
    assert len(set(sessions[:4])) == 4
    assert sessions[4:] == sessions[:4]


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SET work_mem = '5MB'", "setting work_mem"),
        ("SET default_transaction_read_only = on", "setting default_transaction_read_only"),
        ("PREPARE q AS SELECT 1", "prepared statement q"),
        ("LISTEN certindex", "LISTEN certindex"),
        ("CREATE TEMP TABLE t (i int)", "table t"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursor c"),
        ("SELECT pg_advisory_lock(5)", "lock 5"),
    ],
)
def test_what_a_transaction_leaves_in_a_session_is_noticed(
    statement: str, state: str, postgres_server_url: str, pooler: Pooler, tmp_path: Path
) -> None:
    databases = Databases(tmp_path, lambda: postgres_server_url, lambda: pooler)
    with (
        pytest.raises(AssertionError, match=f"sessions: {state}$"),
        databases.temporary("postgresql", empty=True) as new_database,
        psycopg.connect(new_database(), autocommit=True) as client,
    ):
        client.execute(statement.encode())
    databases.close()
