"""The revisions of all chains: numbers that identify a state of the database."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row
from sqlalchemy.exc import DBAPIError

from schema.tables.notices import CHANNEL
from schema.tables.postgresql import is_pooled

STATEMENT = "SELECT chain_id, revision, indexed_hash, indexed_number FROM chain ORDER BY chain_id"


class Revision(NamedTuple):
    """The state of one chain. Every commit that can change an answer raises `number`.

    The hash of the newest indexed block distinguishes a database that was restored from a backup, and counts again,
    from what it was before.
    """

    chain_id: int
    number: int
    indexed_hash: bytes
    indexed_number: int


Revisions = tuple[Revision, ...]


def revisions_of(chains: Iterable[Row[Any]]) -> Revisions:
    """Returns the revisions of a snapshot's chains, in the order of their ids."""
    return tuple(
        Revision(chain.chain_id, chain.revision, bytes(chain.indexed_hash), chain.indexed_number) for chain in chains
    )


class RevisionReader:
    """Reads revisions over one connection. Used by one thread at a time.

    On PostgreSQL the connection can also listen for the indexer's notifications: they arrive on the file descriptor
    `listening_on`, which is None while the server sends none. `is_notified` is set when one arrives with a response.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None
        self._is_asked_to_listen = False
        self.listening_on: int | None = None
        self.is_notified = False

    def read(self, *, listen: bool) -> Revisions:
        """Returns the revisions as they are now; starts or stops listening before. Raises DBAPIError."""
        if self._connection is not None:
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                return self._execute(listen)
            self.disconnect()  # the server may have ended it since the last read
        try:
            self._connect()
            return self._execute(listen)
        except self._engine.dialect.loaded_dbapi.Error as error:
            self.disconnect()
            raise DBAPIError(STATEMENT, None, error) from error

    def disconnect(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        self._is_asked_to_listen, self.listening_on = False, None
        if connection is not None:
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                connection.close()

    def _connect(self) -> None:
        pooled = self._engine.raw_connection()
        self._connection = pooled.driver_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            self._connection.autocommit = True
            self._connection.add_notify_handler(self._note)

    def _execute(self, listen: bool) -> Revisions:
        if listen != self._is_asked_to_listen and self._engine.dialect.name == "postgresql":
            self._listen(listen)
        cursor = self._connection.execute(STATEMENT)
        return tuple(Revision(id, revision, bytes(hash), number) for id, revision, hash, number in cursor.fetchall())

    def _listen(self, listen: bool) -> None:
        self._is_asked_to_listen, self.listening_on = listen, None
        if is_pooled(self._connection):
            return  # notifications go to a session of the server, which the pooler gives to others
        with suppress(self._engine.dialect.loaded_dbapi.Error):  # a replica refuses to listen
            self._connection.execute(f"{'LISTEN' if listen else 'UNLISTEN'} {CHANNEL}")
            self.listening_on = self._connection.fileno() if listen else None

    def _note(self, _: Any) -> None:
        self.is_notified = True
