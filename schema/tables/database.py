"""The engine of a DATABASE_URL, and the migrations of its database.

SQLite in WAL mode is the default, PostgreSQL serves any number of readers. A writer's transaction takes the write lock
when it begins; a reader's transaction reads one snapshot until it ends.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NotSupportedError
from sqlalchemy.pool import NullPool

from schema.tables.postgresql import URL_OR_STRING, postgresql_engine
from schema.vocabulary import BizStep, Disposition, EndOfLifeStatus, Verdict, VerificationLevel

if TYPE_CHECKING:
    from alembic.config import Config

EXAMPLES = "sqlite:///certindex.db or postgresql://user:password@localhost/certindex"

REVISION = "0007"
"""The newest revision in schema/migrations/versions."""

MIGRATION_LOCK = 7_211_309_640_110_083_956
"""The key of the advisory lock, a random number so that no other program on the database uses it."""

READER = (
    "query_only = ON",
    "cache_size = -8192",  # for each connection, of pages that the operating system keeps once for all
    "temp_store = FILE",  # to sort many rows: in memory, a million devices took 75 MB
)
WRITER = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 20000",
    "cache_size = -49152",
    "threads = 2",  # for sorting
    "secure_delete = OFF",  # Debian's SQLite overwrites deleted rows with zeros by default
)
BESIDE_A_WRITER = (
    *WRITER,
    "wal_autocheckpoint = 200000",  # the other connection moves the log into the database, after several large commits
)

# for a value that is no int, float or str, sqlite3 looks for an adapter; without one it takes 0.4 us to fail
sqlite3.register_adapter(bytes, bytes.__bytes__)
no_values: dict[None, None] = {}
sqlite3.register_adapter(type(None), no_values.get)  # returns None, without a call of a Python function
for number_type in (bool, BizStep, Disposition, EndOfLifeStatus, VerificationLevel, Verdict):
    sqlite3.register_adapter(number_type, int)

NO_FILE = "there is no such file. Start the indexer (certindex run) to make it, or name another in DATABASE_URL."

SQLITE_ARGUMENTS = {"timeout": 30, "check_same_thread": False}


class DatabaseError(Exception):
    """The database cannot be used; the message states the reason and the way out."""


def connect(url: str, *, read_only: bool = False, pooler: str = "detected") -> Engine:
    """Returns an engine, which does not connect yet. `pooler` is the setting DATABASE_POOLER.

    Raises DatabaseError if the URL names no supported database.
    """
    if URL_OR_STRING.match(url) is None:
        return _sqlite(_sqlite_url(url), read_only)
    try:
        return postgresql_engine(url, read_only=read_only, pooled=pooler == "transaction")
    except ValueError as error:
        raise DatabaseError(
            f"DATABASE_URL is no URL of PostgreSQL: {error}. In a user or password write %40 for @, %2F for /, %3A "
            f"for : and %25 for %. Example: {EXAMPLES}"
        ) from None


def _sqlite_url(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise DatabaseError(f"DATABASE_URL is not a database URL. Example: {EXAMPLES}") from None
    if backend != "sqlite":
        raise DatabaseError(
            f"DATABASE_URL names {backend}: only SQLite and PostgreSQL are supported. Example: {EXAMPLES}"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseError(
            f"DATABASE_URL={url} names no file: the indexer and the API share the database. Example: {EXAMPLES}"
        )
    return parsed.set(drivername="sqlite+pysqlite")


def _sqlite(url: URL, read_only: bool) -> Engine:
    path = Path(url.database or "").absolute()
    if not path.parent.is_dir():
        raise DatabaseError(f"DATABASE_URL={url}: there is no folder {path.parent}. Example: {EXAMPLES}")
    mode = "ro" if read_only else "rwc"
    file = url.set(database=f"file:{path}", query={"mode": mode, "uri": "true"})
    # last in, first out: reuses the connection with the most pages in its cache
    engine = create_engine(file, connect_args=SQLITE_ARGUMENTS, pool_use_lifo=True)
    return _with_listeners(engine, READER if read_only else WRITER, read_only)


def _with_listeners(engine: Engine, pragmas: Sequence[str], read_only: bool = False) -> Engine:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 opens no transaction for a SELECT: `begin` below does
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a reader's snapshot starts with its first SELECT; a writer that took the lock later could deadlock
        reads_only = read_only or connection.get_execution_options().get("only_reads", False)
        if reads_only:
            driver: Any = connection.connection.driver_connection
            driver.execute("BEGIN")  # takes no lock yet, so that it cannot fail
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def separate_engine(engine: Engine) -> Engine:
    """Returns a writer's engine for occasional statements while another connection writes much.

    On SQLite each connection has its own cache. In one pool the two users would swap connections and fill both caches.
    """
    if engine.dialect.name != "sqlite":
        return engine
    separate = create_engine(engine.url, connect_args=SQLITE_ARGUMENTS, poolclass=NullPool)
    return _with_listeners(separate, BESIDE_A_WRITER)


def read_only_engine(engine: Engine) -> Engine:
    """Returns a writer's engine for transactions that only read, which do not wait for a writer."""
    return engine.execution_options(only_reads=True)


def wrapped_error(connection: Connection, statement: str, error: Exception) -> DBAPIError:
    """Returns the driver's error as SQLAlchemy raises it, for a statement that the driver executed without SQLAlchemy.

    A lost connection is invalidated: the end of its transaction would raise a second error, which would hide this one.
    """
    dialect = connection.dialect
    driver_error: Any = error
    if dialect.is_disconnect(driver_error, connection.connection.dbapi_connection, None):
        connection.invalidate(error)
    wrapped = DBAPIError.instance(
        statement,
        None,
        driver_error,
        dialect.loaded_dbapi.Error,
        connection_invalidated=connection.invalidated,
        dialect=dialect,
    )
    assert isinstance(wrapped, DBAPIError)
    return wrapped


def migrate(engine: Engine) -> None:
    """Migrates the database to this release's tables, or creates them in an empty one.

    If there is nothing to do, it does not wait for a writer. Raises DatabaseError if the database cannot be reached,
    has tables of another program or was written by a newer release.
    """
    try:
        with read_only_engine(engine).begin() as connection:
            if _revision(connection) == REVISION:
                return
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # of two migrations one waits; SQLite locks the file
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            revision = _revision(connection)
            if revision is None:
                _refuse_foreign(connection)
            if revision != REVISION:
                _refuse_unknown(engine, revision)
                _upgrade(connection)
    except DBAPIError as error:
        raise unusable(engine, error) from error


def check_supported(engine: Engine) -> None:
    """Raises DatabaseError if the database can never be used. One that cannot be reached may be later."""
    if engine.dialect.name == "postgresql":
        try:
            engine.connect().close()
        except NotSupportedError as error:
            raise unusable(engine, error) from error
        except DBAPIError:
            return


def require_file(engine: Engine) -> None:
    """Raises DatabaseError if SQLite's file does not exist, which a writer would create."""
    if engine.dialect.name == "sqlite" and not Path(database_name(engine)).exists():
        raise _unusable(engine, NO_FILE)


def unusable(engine: Engine, error: DBAPIError) -> DatabaseError:
    """Returns the error that names the database, and the reason: a missing file, or what the driver says."""
    try:
        require_file(engine)
    except DatabaseError as missing:
        return missing
    return _unusable(engine, " ".join(str(error.orig).split()))


def _unusable(engine: Engine, reason: str) -> DatabaseError:
    return DatabaseError(f"The database {database_name(engine)} cannot be used: {reason}")


def require_revision(engine: Engine) -> None:
    """Raises DatabaseError unless the database has the tables of this release, which may then write them."""
    try:
        with read_only_engine(engine).begin() as connection:
            _require_revision(connection, _revision(connection))
    except DBAPIError as error:
        raise unusable(engine, error) from error


def check_revision(connection: Connection) -> None:
    """Raises DatabaseError unless this release can read the database: a newer release may only have added to it."""
    revision = _revision(connection)
    if revision is None or revision == REVISION or not (_is_newer(revision) and _has_all_columns(connection)):
        _require_revision(connection, revision)


def _require_revision(connection: Connection, revision: str | None) -> None:
    name = database_name(connection.engine)
    if revision is None:
        _refuse_foreign(connection)
        raise DatabaseError(f"The database {name} is empty: start the indexer (certindex run) to create its tables.")
    if revision != REVISION:
        _refuse_unknown(connection.engine, revision)
        raise DatabaseError(
            f"The database {name} is at revision {revision}, this release reads {REVISION}: "
            "start the indexer of this release (certindex run) to migrate it."
        )


def database_name(engine: Engine) -> str:
    """Returns the file or the URL of the database, without a password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database).removeprefix("file:")
    return engine.url.set(drivername="postgresql").render_as_string()


# alembic is imported late: its import takes an eighth of the time in which a server without a migration starts


def _upgrade(connection: Connection) -> None:
    from alembic import command

    from schema.tables.statistics import write_statistics

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        write_statistics(connection)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision


def _refuse_foreign(connection: Connection) -> None:
    """Raises DatabaseError if the database, which has no revision, has tables."""
    if tables := _foreign_tables(connection):
        raise DatabaseError(
            f"The database {database_name(connection.engine)} has tables of another program "
            f"({', '.join(tables[:3])}). Name an empty one in DATABASE_URL."
        )


def _foreign_tables(connection: Connection) -> list[str]:
    return sorted(table for table in inspect(connection).get_table_names() if table != "alembic_version")


def _is_newer(revision: str) -> bool:
    from alembic.script import ScriptDirectory

    return revision not in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _has_all_columns(connection: Connection) -> bool:
    """Returns whether the database has each table and column of this release."""
    from schema.tables.tables import ChainRow

    existing = inspect(connection).get_multi_columns()
    columns = {name: {column["name"] for column in rows} for (_, name), rows in existing.items()}
    return all(
        set(table.columns.keys()) <= columns.get(name, set()) for name, table in ChainRow.metadata.tables.items()
    )


def _refuse_unknown(engine: Engine, revision: str | None) -> None:
    if revision is not None and _is_newer(revision):
        raise DatabaseError(
            f"The database {database_name(engine)} is at revision {revision}, which this release does not know: "
            "a newer release wrote it. Use that release, or another DATABASE_URL."
        )
