"""The databases beside the live one: a file for SQLite, a schema for PostgreSQL. A switch puts one in its place.

Readers see the state before the switch or the one after it. On SQLite all pages are written in one transaction. On
PostgreSQL the tables change their schema in one transaction, which waits for the readers of the old ones.
"""

import re
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, inspect, text
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop
from indexer.store.copying import State, equalize, states
from indexer.store.rewriting import SORT_MEMORY
from indexer.store.wal import shorten_wal
from schema.profile.model import Profile
from schema.tables.database import (
    SQLITE_ARGUMENTS,
    connect,
    database_name,
    migrate,
    read_only_engine,
    unusable,
)
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.notices import CHANNEL
from schema.tables.statistics import update_statistics
from schema.tables.tables import Chain

TABLES = ("chain", *(table for table in Chain.metadata.tables if table != "chain"), "alembic_version")
"""In the order in which they are locked: every reader and writer begins with `chain`."""

MARK = f"certindex rebuild --into, release {version('certindex')}"
"""A standby of this name marks a database as the copy that a rebuild of this release has begun."""

SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
PAGES_A_STEP = 64
"""Of SQLite's backup: fewer than any database of ours has, so that the first step is not the last."""

FIRST_LOCK_MS, LAST_LOCK_MS = 200, 3_200
"""How long readers wait for a switch that waits for other readers, at first and at most. It doubles with each try.

After a second, PostgreSQL cancels an autovacuum that is in the way.
"""
LOCKED = {"55P03", "40P01"}
"""PostgreSQL's codes for a lock that was not granted in time, and for a deadlock."""


class Moved(Exception):
    """The live database changed, or is in use: equalize the copy with it and try the switch again."""


class Copy(ABC):
    """A database beside the live one. `engine` names the copy's tables plainly, and the live ones behind `prefix`."""

    engine: Engine
    prefix: str
    how_to_remove: str

    def __init__(self, live: Engine, name: str) -> None:
        self.live = live
        self.name = name

    def open(self, profiles: Mapping[int, Profile]) -> bool:
        """Creates the copy, or opens one to continue it. Returns whether it existed. Raises Stop."""
        try:
            existed = self._exists()
            if existed:
                self._check_mark(profiles)
            else:
                self._check_live()
                self._create()
                self._mark(profiles)
        except DBAPIError as error:
            raise unusable(self.engine, error) from error
        return existed

    def build_indexes(self) -> None:
        """Builds the indexes that the copy does not have yet."""
        for index in SECONDARY_INDEXES:
            with self.engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql(SORT_MEMORY)
                connection.exec_driver_sql(index.ddl)
        with self.engine.begin() as connection:
            update_statistics(connection)

    def equalize(self, profiles: Mapping[int, Profile]) -> None:
        """Copies what is not folded from events, in one transaction."""
        with self.engine.begin() as connection:
            for chain_id, profile in profiles.items():
                equalize(connection, self.prefix, chain_id, profile.name)

    @abstractmethod
    def switch(self, state: Sequence[State], attempt: int) -> None:
        """Puts the copy in the place of the live tables, in one transaction. Raises Moved if they have another state.

        `attempt` counts from 0.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    @abstractmethod
    def _exists(self) -> bool: ...

    @abstractmethod
    def _create(self) -> None: ...

    @abstractmethod
    def _others(self, connection: Connection) -> Iterable[str]:
        """Returns what stands beside our tables, or depends on them, and would be lost."""

    def _check_live(self) -> None:
        with read_only_engine(self.live).begin() as connection:
            others = sorted(self._others(connection))
        if others:
            raise Stop(
                f"The switch would remove what is not of certindex: {', '.join(others[:5])}. Drop it, and create it "
                "again after the switch."
            )

    def _check_mark(self, profiles: Mapping[int, Profile]) -> None:
        with read_only_engine(self.engine).begin() as connection:
            marks: set[str] = set()
            if {"standby", "profile"} <= set(inspect(connection).get_table_names()):
                marks = set(connection.execute(text("SELECT name FROM standby")).scalars())
            if not any(mark.startswith(MARK.partition(",")[0]) for mark in marks):
                raise Stop(
                    f"--into {self.name}: it exists, and no rebuild has begun it. Choose another name, or remove it if "
                    "nothing needs it."
                )
            stored = {row.chain_id: row.text for row in connection.execute(text("SELECT chain_id, text FROM profile"))}
        if marks != {MARK} or stored != {chain_id: profile.text for chain_id, profile in profiles.items()}:
            raise Stop(
                f"--into {self.name}: it was begun for other chains, with another profile or by another release. "
                f"Remove it ({self.how_to_remove}), or choose another name."
            )

    def _mark(self, profiles: Mapping[int, Profile]) -> None:
        with self.engine.begin() as connection:
            for index in SECONDARY_INDEXES:
                if index.sparse:
                    connection.exec_driver_sql(index.ddl)
            for chain_id, profile in profiles.items():
                at = {"chain_id": chain_id, "name": profile.name, "text": profile.text, "mark": MARK}
                connection.execute(
                    text("INSERT INTO profile (chain_id, name, text) VALUES (:chain_id, :name, :text)"), at
                )
                connection.execute(
                    text("INSERT INTO standby (chain_id, name, since, seen_at) VALUES (:chain_id, :mark, 0, 0)"), at
                )


class FileCopy(Copy):
    """A file of SQLite."""

    prefix = "live."

    def __init__(self, live: Engine, name: str) -> None:
        super().__init__(live, name)
        self._file = Path(name).absolute()
        self._live_file = Path(database_name(live))
        self.how_to_remove = f"rm {name} {name}-wal {name}-shm"
        if not self._file.parent.is_dir():
            raise Stop(f"--into {name}: there is no folder {self._file.parent}.")
        self._plain = connect(f"sqlite:///{self._file}")
        self.engine = connect(f"sqlite:///{self._file}")
        event.listen(self.engine, "connect", self._attach)

    def switch(self, state: Sequence[State], attempt: int) -> None:
        """Writes all pages of the copy over those of the live file. Readers go on reading the pages before them."""
        with (
            closing(sqlite3.connect(self._file)) as copy,
            closing(sqlite3.connect(self._live_file, timeout=SQLITE_ARGUMENTS["timeout"])) as live,
        ):
            check = _CheckOnceLocked(self.live, state)
            copy.backup(live, pages=PAGES_A_STEP, progress=check)
        with self.live.begin() as connection:
            connection.execute(text("DELETE FROM standby WHERE name = :mark"), {"mark": MARK})
        shorten_wal(self.live)
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        self.engine.dispose()
        self._plain.dispose()

    def _exists(self) -> bool:
        return self._file.exists()

    def _create(self) -> None:
        with closing(sqlite3.connect(self._live_file)) as live:
            (page_size,) = live.execute("PRAGMA page_size").fetchone()
            (page_count,) = live.execute("PRAGMA page_count").fetchone()
        self._check_space(page_size * page_count)
        with closing(sqlite3.connect(self._file)) as copy:
            copy.execute(f"PRAGMA page_size = {page_size}")  # the pages are copied back
            copy.execute("PRAGMA journal_mode = WAL")
        migrate(self._plain)

    def _check_space(self, size: int) -> None:
        places = [self._file.parent, self._live_file.parent]
        on_one_device = len({place.stat().st_dev for place in places}) == 1
        for place in places:
            needed = size * (2 if on_one_device else 1)
            if (free := shutil.disk_usage(place).free) < needed:
                raise Stop(
                    f"--into {self.name}: {place} has {free >> 20} MiB free, and about {needed >> 20} MiB are needed: "
                    f"{size >> 20} MiB for the copy, and as much for the write-ahead log while it is switched."
                )

    def _others(self, connection: Connection) -> Iterable[str]:
        objects = connection.execute(
            text("SELECT type, name FROM sqlite_schema WHERE type <> 'index' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'")
        )
        return [f"{type} {name}" for type, name in objects if name not in TABLES]

    def _attach(self, connection: Any, _record: Any) -> None:
        connection.execute("ATTACH DATABASE ? AS live", (f"{self._live_file.as_uri()}?mode=ro",))


class _CheckOnceLocked:
    """Checks the state of the live database when the backup has locked it against writers. Raises Moved."""

    def __init__(self, live: Engine, state: Sequence[State]) -> None:
        self._live = live
        self._state = state
        self._is_locked = False

    def __call__(self, status: int, remaining: int, total: int) -> None:
        if self._is_locked or status != sqlite3.SQLITE_OK:
            return
        self._is_locked = True
        with read_only_engine(self._live).begin() as connection:
            if states(connection) != self._state:
                raise Moved


class SchemaCopy(Copy):
    """A schema of PostgreSQL."""

    def __init__(self, live: Engine, copy: Engine, name: str) -> None:
        super().__init__(live, name)
        self.how_to_remove = f"DROP SCHEMA {name} CASCADE"
        with read_only_engine(live).begin() as connection:
            self._schema: str = connection.exec_driver_sql(
                "SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
                "WHERE pg_class.oid = 'chain'::regclass"
            ).scalar_one()
        if not SCHEMA_NAME.fullmatch(name) or name.startswith("pg_") or name == self._schema:
            raise Stop(
                f"--into {name}: on PostgreSQL it is the name of a new schema, of at most 63 letters a-z, digits and _."
            )
        self.prefix = f"{live.dialect.identifier_preparer.quote(self._schema)}."
        self.engine = copy
        event.listen(copy, "begin", self._set_path)

    def switch(self, state: Sequence[State], attempt: int) -> None:
        """Drops the live tables, and moves those of the copy to their schema.

        Every snapshot of a reader begins with `chain`: once this is locked, no reader has begun with the old tables.
        """
        try:
            with self.engine.begin() as connection:
                milliseconds = min(FIRST_LOCK_MS << attempt, LAST_LOCK_MS)
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{milliseconds}ms'")
                live = ", ".join(f'{self.prefix}"{table}"' for table in TABLES)
                connection.exec_driver_sql(f"LOCK TABLE {live} IN ACCESS EXCLUSIVE MODE")
                if states(connection, self.prefix) != state:
                    raise Moved
                for grant in self._grants(connection):
                    connection.exec_driver_sql(grant)
                connection.exec_driver_sql("DELETE FROM standby")
                connection.exec_driver_sql(f"DROP TABLE {live}")
                for table in TABLES:
                    connection.exec_driver_sql(f'ALTER TABLE "{table}" SET SCHEMA {self.prefix.rstrip(".")}')
                connection.exec_driver_sql(f"DROP SCHEMA {self.name}")
                connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in LOCKED:
                raise Moved from error
            raise

    def close(self) -> None:
        self.engine.dispose()

    def _exists(self) -> bool:
        with read_only_engine(self.live).begin() as connection:
            statement = text(
                "SELECT 1 FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = :name LIMIT 1"
            )
            return connection.execute(statement, {"name": self.name}).first() is not None

    def _create(self) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.name}")
        migrate(self.engine)

    def _others(self, connection: Connection) -> Iterable[str]:
        views = connection.execute(
            text(
                """SELECT DISTINCT 'view ' || CAST(ev_class AS regclass) FROM pg_depend
                JOIN pg_rewrite ON pg_rewrite.oid = objid AND classid = CAST('pg_rewrite' AS regclass)
                JOIN pg_class ON pg_class.oid = refobjid AND refclassid = CAST('pg_class' AS regclass)
                JOIN pg_namespace n ON n.oid = relnamespace
                WHERE nspname = :schema AND relname = ANY(:tables) AND ev_class <> refobjid"""
            ),
            {"schema": self._schema, "tables": list(TABLES)},
        )
        return list(views.scalars())

    def _grants(self, connection: Connection) -> Sequence[str]:
        """Returns the statements that give the roles of the live tables the same rights on those of the copy."""
        grants = connection.execute(
            text(
                """SELECT format('GRANT %s ON %I TO %s%s', privilege_type, relname,
                    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(relacl)
                WHERE nspname = :schema AND relname = ANY(:tables) AND grantee <> relowner"""
            ),
            {"schema": self._schema, "tables": list(TABLES)},
        )
        return grants.scalars().all()

    def _set_path(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL search_path TO {self.name}")
