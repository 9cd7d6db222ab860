"""The engine and the migrations, on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from indexer.store.event_ranges import EventRanges
from indexer.store.watch_set import WatchedContract, register
from schema.profile.model import load_profile
from schema.tables import tables
from schema.tables.database import REVISION, DatabaseError, _config, check_revision, connect, migrate
from schema.tables.indexes import SECONDARY_INDEXES

USER = bytes(20)


def test_an_empty_database_gets_exactly_the_tables_that_the_code_declares(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    migrate(engine)
    with engine.begin() as connection:
        check_revision(connection)
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()


def test_the_revision_that_this_release_reads_is_its_newest_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == REVISION


def test_every_secondary_index_can_be_built_and_has_a_name_of_its_own(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        for index in SECONDARY_INDEXES:
            connection.exec_driver_sql(index.ddl)
    assert len({index.name for index in SECONDARY_INDEXES}) == len(SECONDARY_INDEXES)
    engine.dispose()


@pytest.mark.parametrize("backfilled", [True, False])
def test_an_indexed_database_of_the_revision_before_has_its_indexes_after_the_migration(
    database_url: str, backfilled: bool
) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        indexed_chain = text(
            """INSERT INTO chain (chain_id, profile, indexed_number, indexed_hash, indexed_time, digest, digest_number,
                revision, writer_epoch, writer_beat, backfilled, judged_number, stopped)
            VALUES (1, 'dimo', 0, :hash, 0, :hash, 0, 0, 0, 0, :backfilled, -1, :stopped)"""
        )
        connection.execute(indexed_chain, {"hash": bytes(32), "backfilled": backfilled, "stopped": False})
        connection.exec_driver_sql(
            "INSERT INTO vehicle_version (chain_id, vehicle_id, valid_from, valid_to) VALUES (1, 5, 5, 9)"
        )
    migrate(engine)
    with engine.begin() as connection:
        check_revision(connection)
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
        assert [difference for difference in differences if difference[0] != "remove_index"] == []
        assert connection.exec_driver_sql("SELECT definition_id_key FROM vehicle_version").scalar_one() == ""
        expected = {
            index.name
            for index in SECONDARY_INDEXES
            if index.columns[1] in (ADDED_BY_0003.get(index.table, ()) or index.columns)
            and index.table in ADDED_BY_0003
            and (backfilled or index.sparse)
        }
        inspector = inspect(connection)
        names = {index["name"] for table in ADDED_BY_0003 for index in inspector.get_indexes(table)}
        assert expected <= names
        for index in SECONDARY_INDEXES:
            connection.exec_driver_sql(index.ddl)  # the names are those that a rebuild drops
    engine.dispose()


ADDED_BY_0003: dict[str, tuple[str, ...]] = {
    "event": ("vehicle_id", "synthetic_device_id", "account_id"),
    "authorization": ("vehicle_id", "synthetic_device_id", "manufacturer_id", "account_id"),
    "vehicle": (),
    "vehicle_version": (),
    "synthetic_device": (),
    "synthetic_device_version": (),
}
"""The tables with indexes of the revision; of two only those on these columns."""


def test_a_sparse_index_exists_from_the_beginning_and_finds_a_value(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    sparse = [index for index in SECONDARY_INDEXES if index.sparse]
    with engine.begin() as connection:
        register(connection, 1, load_profile("device_certificate"), [WatchedContract("certificate", USER, 0, True)])
        explain, mark = "EXPLAIN QUERY PLAN", "?"
        if engine.dialect.name == "postgresql":
            explain, mark = "EXPLAIN", "%s"
            connection.exec_driver_sql("SET enable_seqscan = off")  # the tables are empty
        for index in sparse:
            _, column, ordered, *_ = index.columns
            query = f'SELECT {ordered} FROM "{index.table}" WHERE chain_id = 1 AND {column} = {mark} ORDER BY {ordered}'
            value = USER if column == "beneficiary" else 1
            assert index.name in str(connection.exec_driver_sql(f"{explain} {query}", (value,)).all())
    assert sparse
    engine.dispose()


def test_a_database_of_a_newer_release_is_refused_with_its_revision(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="revision 9999, which this release does not know"):
        migrate(engine)
    engine.dispose()


def test_a_reader_goes_on_while_a_newer_release_only_adds_to_the_tables(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE chain ADD COLUMN added INTEGER"))
        check_revision(connection)
        connection.execute(text("ALTER TABLE chain RENAME COLUMN head_source TO renamed"))
        with pytest.raises(DatabaseError, match=r"newer release wrote it\. Use that release"):
            check_revision(connection)
    engine.dispose()


def test_a_database_that_holds_something_else_is_refused(database_url: str) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER)"))
    with pytest.raises(DatabaseError, match=r"another program \(orders\)"):
        migrate(engine)
    with engine.connect() as connection, pytest.raises(DatabaseError, match=r"another program \(orders\)"):
        check_revision(connection)
    engine.dispose()


def test_events_of_an_earlier_release_keep_their_positions_and_log_indexes(database_url: str) -> None:
    engine = connect(database_url)
    config = _config()
    event = "chain_id, position, address, topics, data, transaction_hash, transaction_index, kind, flags"
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        values = {"position": (7 << 20) + 5, "address": USER, "empty": b"", "hash": bytes(32)}
        connection.execute(
            text(f"INSERT INTO event ({event}) VALUES (1, :position, :address, :empty, :empty, :hash, 0, 1, 0)"), values
        )
        connection.execute(
            text(
                """INSERT INTO block (chain_id, number, hash, parent_hash, timestamp, state_root, transactions_root,
                    receipts_root, level, digest)
                VALUES (1, 7, :hash, :hash, 1, :hash, :hash, :hash, 0, :hash)"""
            ),
            values,
        )
    migrate(engine)
    [block] = EventRanges(engine, 1).read(0, 9).blocks
    assert [(block.number, log.log_index) for log in block.logs] == [(7, 5)]
    engine.dispose()


def test_a_read_only_engine_cannot_write(database_url: str) -> None:
    writer = connect(database_url)
    migrate(writer)
    reader = connect(database_url, read_only=True)
    with reader.connect() as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.execute(tables.Block.__table__.delete())  # type: ignore[attr-defined]  # SQLModel hides it
    reader.dispose()
    writer.dispose()


def test_a_writer_replaces_a_connection_that_takes_no_writes(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")  # as sessions of a standby are
    write = tables.Block.__table__.delete()  # type: ignore[attr-defined]  # SQLModel hides it
    with pytest.raises(DBAPIError, match="read-only transaction"), engine.begin() as connection:
        connection.execute(write)
    with engine.begin() as connection:
        connection.execute(write)
    engine.dispose()


def test_a_reader_of_an_empty_database_fails_with_the_advice_to_start_the_indexer(database_url: str) -> None:
    engine = connect(database_url)
    with engine.begin() as connection, pytest.raises(DatabaseError, match="start the indexer"):
        check_revision(connection)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a database URL"),
        ("certindex.db", "not a database URL"),
        ("mysql://root@localhost/x", "names mysql"),
        ("oracle9i://localhost/x", "names oracle9i"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////no/such/folder/x.db", "there is no folder /no/such/folder"),
    ],
)
def test_a_wrong_database_url_is_named_with_an_example(url: str, words: str) -> None:
    with pytest.raises(DatabaseError, match=words) as error:
        connect(url)
    assert "sqlite:///certindex.db" in str(error.value)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    engine = connect("postgresql://me:secret@127.0.0.1:1/certindex")
    with pytest.raises(DatabaseError, match="cannot be used") as error:
        migrate(engine)
    assert "secret" not in str(error.value)
    engine.dispose()


def test_a_writer_and_a_reader_sort_on_disk_and_a_writer_by_threads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sorting.db'}"
    for read_only, expected in ((False, (2, 0)), (True, (0, 1))):
        engine = connect(url, read_only=read_only)
        with engine.begin() as connection:
            values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("threads", "temp_store")]
        engine.dispose()
        assert tuple(values) == expected
