"""PostgreSQL refuses statements and keeps the connection: no row is lost, the step is repeated, the reason is shown."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.certindex import Certindex
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.databases import NewDatabase
from tests.support.index.indexing import engine_of, index_afresh, read_tables
from tests.support.postgres import plain_url, with_options
from tests.support.processes import caught_up, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

CONDITIONS = (
    "disk_full",
    "deadlock_detected",
    "serialization_failure",
    "lock_not_available",
    "query_canceled",
    "read_only_sql_transaction",
    "idle_in_transaction_session_timeout",
    "configuration_limit_exceeded",
    "out_of_memory",
)


def test_rows_that_the_database_refuses_are_written_later(
    postgres_url: str, new_postgres_database: NewDatabase, certindex: Certindex
) -> None:
    node = FakeNode(finality=2)
    node.mine_blocks(4)
    with Provider(of_fake(node)) as provider, indexers(postgres_url, RPC_URLS=provider.url) as start:
        indexer = start()
        until(lambda: caught_up(postgres_url, node), "the first index", indexer)

        def refuse(table: str, condition: str, token_id: int) -> None:
            with refusing(postgres_url, table, condition):
                provider.do(lambda: node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=token_id)))
                reason = f"the database failed: refused for {condition}"
                until(lambda: reason in last_error(certindex, postgres_url), condition, indexer)
            until(lambda: caught_up(postgres_url, node), "it to go on", indexer)
            assert last_error(certindex, postgres_url) == ""

        for number, condition in enumerate(CONDITIONS):
            refuse("event", condition, number)
        refuse("device", "disk_full", len(CONDITIONS))
        assert "Traceback" not in indexer.last_output
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


@pytest.mark.parametrize("option", ["lock_timeout", "statement_timeout"])
def test_a_lock_of_another_session_delays_the_step(
    postgres_url: str, new_postgres_database: NewDatabase, certindex: Certindex, option: str
) -> None:
    limited = with_options(postgres_url, f"-c {option}=1500")
    node = FakeNode(finality=2)
    node.mine_blocks(4)
    with Provider(of_fake(node)) as provider, indexers(limited, RPC_URLS=provider.url) as start:
        indexer = start()
        until(lambda: caught_up(postgres_url, node), "the first index", indexer)
        with psycopg.connect(plain_url(postgres_url)) as other:
            other.execute('LOCK TABLE "device"')  # the indexer reads it before it writes
            provider.do(lambda: node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=1)))
            until(lambda: "canceling statement due to" in last_error(certindex, postgres_url), "the limit", indexer)
        until(lambda: caught_up(postgres_url, node), "it to go on", indexer)
        assert "Traceback" not in indexer.last_output
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


def test_after_a_deadlock_with_another_session_the_step_is_repeated(
    postgres_url: str, new_postgres_database: NewDatabase
) -> None:
    node = FakeNode(finality=2)
    node.mine_blocks(4)
    output: list[str] = []
    noticing = with_options(postgres_url, "-c deadlock_timeout=6s")
    with Provider(of_fake(node)) as provider, indexers(noticing, RPC_URLS=provider.url) as start:
        indexer = start(on_line=output.append)
        until(lambda: caught_up(postgres_url, node), "the first index", indexer)
        with psycopg.connect(plain_url(postgres_url)) as other:
            other.execute("SET deadlock_timeout = '60s'")  # the indexer is the one that notices
            other.execute('LOCK TABLE "event" IN SHARE MODE')
            provider.do(lambda: node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=1)))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event'::regclass"
            until(lambda: other.execute(waiting).fetchone() == (1,), "the indexer to wait", indexer)
            other.execute("UPDATE chain SET stopped = stopped")  # whose row the indexer has locked
        until(lambda: caught_up(postgres_url, node), "it to go on", indexer)
        assert any("the database failed: deadlock detected" in line for line in output)
        assert "Traceback" not in indexer.last_output
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


def test_a_database_that_was_read_only_for_a_while_is_written_again(
    postgres_url: str, new_postgres_database: NewDatabase
) -> None:
    node = FakeNode(finality=2)
    node.mine_blocks(4)
    output: list[str] = []
    with Provider(of_fake(node)) as provider, indexers(postgres_url, RPC_URLS=provider.url) as start:
        indexer = start(on_line=output.append)
        until(lambda: caught_up(postgres_url, node), "the first index", indexer)
        with psycopg.connect(plain_url(postgres_url), autocommit=True) as operator:
            set_read_only(operator, "on", end_sessions=True)
            provider.do(lambda: node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=1)))
            until(lambda: any("in a read-only transaction" in line for line in output), "the refusal", indexer)
            operator.execute("SET default_transaction_read_only = off")
            set_read_only(operator, "off", end_sessions=False)
        until(lambda: caught_up(postgres_url, node), "it to go on", indexer)
        assert "Traceback" not in indexer.last_output
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


def test_sync_repeats_a_step_that_the_database_refuses(
    postgres_url: str, new_postgres_database: NewDatabase, certindex: Certindex, caplog: pytest.LogCaptureFixture
) -> None:
    node = FakeNode(finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=1))
    with Provider(of_fake(node)) as provider, refusing(postgres_url, "event", "disk_full", times=2):
        options = ("--rpc-urls", provider.url, "--contracts", f"certificate=0x{CERTIFICATE.hex()}")
        done = certindex("sync", *options, database_url=postgres_url)
    assert (done.status, "Traceback" in done.err) == (0, False)
    assert caplog.text.count("the database failed: refused for disk_full") == 2
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


@pytest.mark.parametrize("table", ["chain", "event"])
def test_commands_end_with_the_reason_and_change_nothing(
    postgres_url: str, new_postgres_database: NewDatabase, certindex: Certindex, table: str
) -> None:
    node = FakeNode(finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=1))
    node.mine_blocks(4)
    limited = with_options(postgres_url, "-c lock_timeout=200")
    with Provider(of_fake(node)) as provider:
        nodes = ("--rpc-urls", provider.url)
        contracts = ("--contracts", f"certificate=0x{CERTIFICATE.hex()}")
        assert certindex("sync", *nodes, *contracts, database_url=postgres_url).status == 0
        commands = [("rebuild",), ("rebuild", "--check"), ("rollback", "--to", "0"), ("verify", *nodes), ("digest",)]
        if table == "chain":
            commands += [("status",), ("prove", "1"), ("reconcile", *nodes), ("attest", *nodes)]
        with psycopg.connect(plain_url(postgres_url)) as other:
            other.execute(f'LOCK TABLE "{table}"'.encode())
            for command in commands:
                done = certindex(*command, database_url=limited)
                assert (done.status, done.out) == (1, ""), (command, done)
                assert "canceling statement due to lock timeout" in done.err
                assert "Traceback" not in done.err
    assert_equal_to_a_new_index(postgres_url, new_postgres_database(), node)


def assert_equal_to_a_new_index(url: str, other_url: str, node: FakeNode) -> None:
    with engine_of(url) as live, engine_of(other_url) as fresh:
        assert read_tables(live, node.chain_id) == index_afresh(fresh, node)


@contextmanager
def refusing(url: str, table: str, condition: str, *, times: int = 1_000_000) -> Iterator[None]:
    """Lets the database refuse so many insertions into a table, with a condition; connections stay."""
    with psycopg.connect(plain_url(url), autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS refusals")  # it counts also what is rolled back
        connection.execute("SELECT setval('refusals', 1, false)")
        connection.execute(
            f"""CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('refusals') <= {times} THEN
                    RAISE EXCEPTION USING ERRCODE = '{condition}', MESSAGE = 'refused for {condition}';
                END IF;
                RETURN NULL;
            END $$""".encode()
        )
        connection.execute(f'CREATE TRIGGER refuse BEFORE INSERT ON "{table}" EXECUTE FUNCTION refuse()'.encode())
        yield
        connection.execute("DROP FUNCTION refuse CASCADE")
        connection.execute("DROP SEQUENCE refusals")


def set_read_only(operator: psycopg.Connection, value: str, *, end_sessions: bool) -> None:
    """Sets what new sessions of the database are; sessions that exist stay as they are, unless they are ended."""
    database = operator.info.dbname
    operator.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {value}".encode())
    if end_sessions:
        operator.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid()",
            (database,),
        )


def last_error(certindex: Certindex, url: str) -> str:
    [fields] = json.loads(certindex("status", "--json", database_url=url).out)
    return fields["last_error"] or ""
