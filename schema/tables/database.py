"""The engine from a DATABASE_URL, its migrations, and read transactions that see one state.

SQLite (WAL) is the default; PostgreSQL takes any number of readers. A writer's transaction takes the write lock at its
start, a reader's pins one snapshot until it ends.
"""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from schema.vocabulary import BizStep, Disposition, EndOfLifeStatus, Verdict, VerificationLevel

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

EXAMPLES = "sqlite:///certindex.db or postgresql://user:password@localhost/certindex"

REVISION = "0001"
"""The newest of schema/migrations/versions."""

MIGRATION_LOCK = 7_211_309_640_110_083_956
"""Any number that other programs on the database will not choose."""

READER = ("query_only = ON", "cache_size = -65536", "temp_store = MEMORY")
WRITER = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 20000",
    "cache_size = -49152",
    "threads = 2",  # to sort by
    "secure_delete = OFF",  # Debian's SQLite overwrites with zeros what goes, unless it is told not to
)

# sqlite3 looks for an adapter for all but int, float and str, and makes an AttributeError where it finds none: 0.4 us
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), lambda none: none)
for plain in (bool, BizStep, Disposition, EndOfLifeStatus, VerificationLevel, Verdict):
    sqlite3.register_adapter(plain, int)


SQLITE_ARGUMENTS = {"timeout": 30, "check_same_thread": False}


class DatabaseError(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


def connect(url: str, *, read_only: bool = False) -> Engine:
    """Returns an engine; nothing is opened yet. Raises DatabaseError for a URL of another database or none."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, read_only)
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
    engine = create_engine(
        parsed,
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        pool_use_lifo=True,  # what a connection has cached, or the server planned for it, is asked for again
        enable_from_linting=False,  # it takes the joins inside of LATERAL for cartesian products
        **options if read_only else {},
    )
    return engine.execution_options(postgresql_readonly=True) if read_only else engine


def parse_url(url: str) -> URL:
    """Returns the URL with its driver. Raises DatabaseError, without showing a password."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise DatabaseError(f"DATABASE_URL is no database URL. Example: {EXAMPLES}") from None
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseError(
                f"DATABASE_URL={url} names no file; two processes meet in the database. Example: {EXAMPLES}"
            )
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise DatabaseError(f"DATABASE_URL names {backend}: only SQLite and PostgreSQL are known. Example: {EXAMPLES}")


def _sqlite(url: URL, read_only: bool) -> Engine:
    path = Path(url.database or "").absolute()
    if not path.parent.is_dir():
        raise DatabaseError(f"DATABASE_URL={url}: there is no folder {path.parent}. Example: {EXAMPLES}")
    mode = "ro" if read_only else "rwc"
    file = url.set(database=f"file:{path}", query={"mode": mode, "uri": "true"})
    # last in, first out: the pages that a connection has cached are asked for again
    return _prepared(create_engine(file, connect_args=SQLITE_ARGUMENTS, pool_use_lifo=True), read_only)


def _prepared(engine: Engine, read_only: bool) -> Engine:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 would open no transaction for a SELECT: we begin our own
        cursor = connection.cursor()
        for pragma in READER if read_only else WRITER:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a reader pins its snapshot with the first SELECT; a writer that upgraded later could deadlock
        only_reads = read_only or connection.get_execution_options().get("only_reads", False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def beside(engine: Engine) -> Engine:
    """Returns a writer's engine for a statement now and then, while another connection writes much.

    On SQLite every connection has a cache of its own. Out of one pool the two would take turns, and fill both.
    """
    if engine.dialect.name != "sqlite":
        return engine
    return _prepared(create_engine(engine.url, connect_args=SQLITE_ARGUMENTS, poolclass=NullPool), read_only=False)


def reading(engine: Engine) -> Engine:
    """Returns a writer's engine for transactions that only read: they wait for no writer."""
    return engine.execution_options(only_reads=True)


def migrate(engine: Engine) -> None:
    """Brings the database to this release's tables: creates them in an empty one, applies what is missing.

    Waits for no writer where there is nothing to do. Raises DatabaseError where it cannot be reached, holds something
    else or was written by a newer release.
    """
    try:
        with reading(engine).begin() as connection:
            if _revision(connection) == REVISION:
                return
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # of two that begin at once, one waits; SQLite locks by itself
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            found = _revision(connection)
            if found is None and _foreign_tables(connection):
                raise DatabaseError(
                    f"The database {shown(engine)} holds tables of something else "
                    f"({', '.join(_foreign_tables(connection)[:3])}). Name an empty one in DATABASE_URL."
                )
            if found != REVISION:
                _refuse_unknown(engine, found)
                _upgrade(connection)
    except DBAPIError as error:
        raise DatabaseError(f"The database {shown(engine)} does not answer: {error.orig}") from error


def check_revision(connection: Connection) -> None:
    """Raises DatabaseError unless the database has exactly this release's tables."""
    found = _revision(connection)
    if found is None:
        raise DatabaseError(
            f"The database {shown(connection.engine)} is empty: start the indexer (certindex run) to create its tables."
        )
    if found != REVISION:
        _refuse_unknown(connection.engine, found)
        raise DatabaseError(
            f"The database {shown(connection.engine)} is at revision {found}, this release reads {REVISION}: "
            "start the indexer of this release (certindex run) to migrate it."
        )


def shown(engine: Engine) -> str:
    """Returns the database's name without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database).removeprefix("file:")
    return engine.url.render_as_string(hide_password=True)


# alembic and its templates would take an eighth of the time in which a server starts that migrates nothing


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _foreign_tables(connection: Connection) -> list[str]:
    return sorted(table for table in inspect(connection).get_table_names() if table != "alembic_version")


def _refuse_unknown(engine: Engine, found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseError(
            f"The database {shown(engine)} is at revision {found}, which this release does not know: "
            "it was written by a newer one. Use that release, or another DATABASE_URL."
        )
