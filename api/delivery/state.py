"""What is stored of each subscription: its position in the feed, its outbox, and how the last attempts ended.

Messages are stored in the outbox before the first of them is sent. After a crash the same messages are sent again,
also those that a reorg has removed meanwhile: the receiver may have one, and gets its retraction next.

Only one process delivers: it holds a lock of the operating system (SQLite) or of the server (PostgreSQL), which ends
with the process. Every write of the process goes over the connection that holds the lock.
"""

import fcntl
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from api.delivery.messages import Message
from schema.program.settings import SettingsError
from schema.tables.database import DatabaseError, connect, unusable
from schema.tables.postgresql import is_pooled

ResultT = TypeVar("ResultT")
SCHEMA = "certindex_delivery"
LOCK = 0x6365727464656C69
"""The key of PostgreSQL's advisory lock: `certdeli`."""

VERSION = 1
"""The version of the tables. A process refuses the state of a newer release."""

metadata = MetaData()
_version = Table("version", metadata, Column("number", Integer, primary_key=True))
_subscription = Table(
    "subscription",
    metadata,
    Column("name", String, primary_key=True),
    Column("epoch", String, nullable=False),
    Column("filter", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False, default=0),
    Column("delivered_at", Double),
    Column("attempts", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("next_attempt_at", Double, nullable=False, default=0.0),
    Column("failing_since", Double),
    Column("error", Text),
    Column("stopped", Text),
)
_message = Table(
    "message",
    metadata,
    Column("name", String, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
_request = Table(
    "request",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("action", String, nullable=False),
    Column("cursor", Text),
)


class Progress(Struct, frozen=True):
    """How far a subscription is delivered. Times in unix seconds.

    `delivered` is the number of the last message that the receiver has. `attempts` and `failures` are those of the
    next message; an attempt that the receiver has put off by Retry-After is no failure. `stopped` is the reason for
    which nothing is sent until an operator resumes or replays.
    """

    delivered: int = 0
    delivered_at: float | None = None
    attempts: int = 0
    failures: int = 0
    next_attempt_at: float = 0.0
    failing_since: float | None = None
    error: str | None = None
    stopped: str | None = None


class Position(Struct, frozen=True):
    """The stored subscription: `cursor` is the place in the feed behind the message with number `sequence`."""

    name: str
    epoch: str
    filter: Mapping[str, Any]
    cursor: str
    sequence: int
    progress: Progress


class Request(Struct, frozen=True):
    """What an operator wants of the process that delivers."""

    id: int
    name: str
    action: str
    cursor: str | None


REPLAY, RESUME = "replay", "resume"


class StateLost(DatabaseError):
    """The state cannot be read or written; the message states the reason."""


class State:
    """The state in a database. Used by one thread at a time. Raises StateLost."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._connection: Connection | None = None
        self._lock_file: IO[str] | None = None

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def open(self) -> None:
        """Connects, and creates the tables in an empty database. Raises DatabaseError for a newer release's."""
        try:
            with self._engine.begin() as connection:
                self._create(connection)
            self._connection = self._engine.connect()
        except DBAPIError as error:
            raise StateLost(str(unusable(self._engine, error))) from error

    def close(self) -> None:
        """Closes the connection, and releases the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()  # so that the server ends the session, and with it the lock
                connection.close()
        self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def try_lock(self) -> bool:
        """Takes the lock unless another process has it. Returns whether it is taken."""
        if self.is_sqlite:
            return self._lock_beside_file()
        return bool(self._run(_take_advisory_lock))

    def positions(self) -> dict[str, Position]:
        """Returns the stored subscriptions by name."""
        return self._run(
            lambda connection: {row.name: _position(row) for row in connection.execute(select(_subscription))}
        )

    def messages(self, name: str) -> list[Message]:
        """Returns the messages that the receiver does not have yet, in order."""
        columns = (_message.c[key] for key in Message.__struct_fields__)
        query = (
            select(*columns)
            .join(_subscription, _subscription.c.name == _message.c.name)
            .where(_message.c.name == name, _message.c.sequence > _subscription.c.delivered)
            .order_by(_message.c.sequence)
        )
        return self._run(lambda connection: [Message(*row) for row in connection.execute(query)])

    def create(self, name: str, filter: Mapping[str, Any], cursor: str) -> Position:
        """Stores a new subscription that starts at a cursor."""
        position = Position(name, secrets.token_hex(8), filter, cursor, 0, Progress())
        values = {"epoch": position.epoch, "filter": _json(filter), "cursor": cursor, "sequence": 0}
        self._run(lambda connection: connection.execute(insert(_subscription).values(name=name, **values)))
        return position

    def put(self, name: str, messages: Sequence[Message], cursor: str, progress: Progress) -> None:
        """Replaces the outbox by the next messages. `cursor` is the place in the feed behind them."""
        rows = [{"name": name, **msgspec.structs.asdict(message)} for message in messages]
        values = {"cursor": cursor, **msgspec.structs.asdict(progress)}
        if rows:
            values["sequence"] = messages[-1].sequence

        def run(connection: Connection) -> None:
            _update(connection, name, values)
            connection.execute(delete(_message).where(_message.c.name == name))
            if rows:
                connection.execute(insert(_message), rows)

        self._run(run)

    def move(self, name: str, filter: Mapping[str, Any], cursor: str) -> None:
        """Stores another filter with its cursor at the same place."""
        self._run(lambda connection: _update(connection, name, {"filter": _json(filter), "cursor": cursor}))

    def save(self, progress: Mapping[str, Progress]) -> None:
        """Stores how far subscriptions are delivered, by name."""

        def run(connection: Connection) -> None:
            for name, of_name in progress.items():
                _update(connection, name, msgspec.structs.asdict(of_name))

        self._run(run)

    def forget(self, name: str) -> bool:
        """Deletes a subscription. Returns whether there was one."""

        def run(connection: Connection) -> bool:
            connection.execute(delete(_message).where(_message.c.name == name))
            connection.execute(delete(_request).where(_request.c.name == name))
            return bool(connection.execute(delete(_subscription).where(_subscription.c.name == name)).rowcount)

        return self._run(run)

    # Requests of operators

    def request(self, name: str, action: str, cursor: str | None = None) -> None:
        """Leaves a request for the process that delivers."""
        values = {"name": name, "action": action, "cursor": cursor}
        self._run(lambda connection: connection.execute(insert(_request).values(**values)))

    def requests(self) -> list[Request]:
        """Returns the requests, the oldest first."""
        query = select(_request).order_by(_request.c.id)
        return self._run(lambda connection: [Request(*row) for row in connection.execute(query)])

    def fulfill(self, request: Request) -> None:
        """Carries out a request. A replay drops the outbox; the numbers of its messages go on."""

        def run(connection: Connection) -> None:
            connection.execute(delete(_request).where(_request.c.id == request.id))
            again: dict[str, Any] = {"attempts": 0, "failures": 0, "next_attempt_at": 0.0, "stopped": None}
            mine = _subscription.c.name == request.name
            if request.action == REPLAY:
                connection.execute(delete(_message).where(_message.c.name == request.name))
                again |= {"cursor": request.cursor, "delivered": _subscription.c.sequence, "error": None}
                again |= {"failing_since": None}
            connection.execute(update(_subscription).where(mine).values(**again))

        self._run(run)

    # Connections

    def _run(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Returns the result of work in a transaction. Raises StateLost."""
        connection = self._connection
        if connection is None or connection.invalidated:
            raise StateLost("the connection to the state is lost")
        try:
            with connection.begin():
                return work(connection)
        except DBAPIError as error:
            raise StateLost(str(unusable(self._engine, error))) from error

    def _create(self, connection: Connection) -> None:
        """Creates the tables. Raises DatabaseError, SettingsError."""
        if not self.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK + 1})"))  # of two processes one creates
            if SCHEMA not in inspect(connection).get_schema_names():
                connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        elif {"alembic_version", "chain"} & set(inspect(connection).get_table_names()):
            raise SettingsError(
                f"DELIVERY_STATE names the index, {self._engine.url.database}: name a file of its own. "
                "Example: DELIVERY_STATE=sqlite:///delivery.db"
            )
        schema = None if self.is_sqlite else SCHEMA
        if not inspect(connection).has_table("version", schema=schema):
            metadata.create_all(connection, checkfirst=False)
            connection.execute(insert(_version).values(number=VERSION))
        number = connection.execute(select(_version.c.number)).scalar_one()
        if number > VERSION:
            raise DatabaseError(
                f"The state of the delivery has version {number}: a newer release wrote it. Use that release."
            )

    def _lock_beside_file(self) -> bool:
        file = Path(f"{str(self._engine.url.database).removeprefix('file:')}.lock").open("a")  # noqa: SIM115  # held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock_file = file
        return True


def state_url(database_url: str, delivery_state: str | None) -> str:
    """Returns the URL of the state: the setting, a file beside the index, or the index's PostgreSQL."""
    if delivery_state is not None:
        return delivery_state
    if not database_url.startswith("sqlite:"):
        return database_url
    url = make_url(database_url)
    file = Path(str(url.database))
    return url.set(database=str(file.with_name(f"{file.stem}-delivery{file.suffix}"))).render_as_string()


def _engine(url: str) -> Engine:
    engine = connect(url)
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(schema_translate_map={None: SCHEMA})


def _take_advisory_lock(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    if is_pooled(driver):
        raise DatabaseError(
            "DELIVERY_STATE leads through a pooler of connections, which keeps no lock: name the server itself."
        )
    return bool(connection.execute(text(f"SELECT pg_try_advisory_lock({LOCK})")).scalar_one())


def _update(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Raises StateLost if the subscription is not stored any more."""
    done = connection.execute(update(_subscription).where(_subscription.c.name == name).values(**values))
    if not done.rowcount:
        raise StateLost(f'the subscription "{name}" is no longer in the state: another command has removed it')


def _position(row: Any) -> Position:
    progress = Progress(*(getattr(row, key) for key in Progress.__struct_fields__))
    return Position(row.name, row.epoch, msgspec.json.decode(row.filter), row.cursor, row.sequence, progress)


def _json(filter: Mapping[str, Any]) -> str:
    return msgspec.json.encode(filter, order="deterministic").decode()
