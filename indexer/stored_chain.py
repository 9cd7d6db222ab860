"""From settings to an open database, and what it holds of a chain: without a provider."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop
from indexer.settings import DatabaseSettings
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, check_factories, read_profile_text, read_watch_set
from indexer.sync.interpretation import Interpretation, interpret
from schema.profile.model import Profile, parse_profile
from schema.profile.reader import Reader
from schema.tables.database import (
    check_revision,
    check_supported,
    connect,
    read_only_engine,
    require_file,
    require_revision,
    unusable,
)


class StoredChain(Struct, frozen=True):
    """A chain in the database, with the profile that reads its logs and the contracts that are watched."""

    engine: Engine
    chain_id: int
    profile: Profile
    contracts: Sequence[WatchedContract]

    @property
    def reader(self) -> Reader:
        return self.interpretation.reader

    @property
    def interpretation(self) -> Interpretation:
        return interpret(self.profile, self.contracts)

    def read_by(self, profile: Profile) -> "StoredChain":
        """Returns the chain as another profile reads it. Raises Stop if that one needs logs that are not stored."""
        check_factories(self.chain_id, self.profile, profile)
        return replace(self, profile=profile)

    def store(self, lease: Lease) -> Store:
        """Returns the store, for the holder of the lease."""
        return Store(self.engine, self.chain_id, lease.epoch)


@contextmanager
def open_database(settings: DatabaseSettings) -> Iterator[tuple[Engine, int]]:
    """Yields the engine and the id of the chain: CHAIN_ID, or the only one that the database holds.

    Migrates nothing: an indexer of another release may run. Raises DatabaseError, Stop.
    """
    engine = connect(settings.database_url, pooler=settings.database_pooler)
    require_file(engine)
    try:
        require_revision(engine)
        yield engine, find_chain(engine, settings.chain_id)
    finally:
        engine.dispose()


@contextmanager
def open_snapshot(settings: DatabaseSettings) -> Iterator[tuple[Connection, StoredChain]]:
    """Yields one state of the database and its chain; nothing can be written. Raises DatabaseError, Stop."""
    with open_for_reading(settings) as connection:
        yield connection, _read_chain(connection, _find_chain(connection, settings.chain_id))


@contextmanager
def open_for_reading(settings: DatabaseSettings) -> Iterator[Connection]:
    """Yields one state of the database; nothing can be written. Raises DatabaseError."""
    engine = connect(settings.database_url, read_only=True, pooler=settings.database_pooler)
    try:
        require_file(engine)
        check_supported(engine)
        try:
            connection = engine.connect()
        except DBAPIError as error:
            raise unusable(engine, error) from error
        with connection:
            check_revision(connection)
            yield connection
    finally:
        engine.dispose()


def read_chain(engine: Engine, chain_id: int) -> StoredChain:
    """Returns a chain that the database holds."""
    with read_only_engine(engine).begin() as connection:
        return _read_chain(connection, chain_id)


def _read_chain(connection: Connection, chain_id: int) -> StoredChain:
    profile = parse_profile(read_profile_text(connection, chain_id) or "", "the stored profile")
    return StoredChain(connection.engine, chain_id, profile, read_watch_set(connection, chain_id))


def find_chain(engine: Engine, chain_id: int | None) -> int:
    """Returns CHAIN_ID, which the database must hold, or without it the only chain in the database. Raises Stop."""
    with read_only_engine(engine).begin() as connection:
        return _find_chain(connection, chain_id)


def _find_chain(connection: Connection, chain_id: int | None) -> int:
    stored = list(connection.execute(text("SELECT chain_id FROM chain ORDER BY chain_id")).scalars())
    listed = ", ".join(map(str, stored)) or "none"
    if chain_id is not None and chain_id not in stored:
        raise Stop(f"CHAIN_ID={chain_id}: the database holds no such chain (it holds: {listed}).")
    if not stored:
        raise Stop("The database holds no chain yet: certindex run or sync begins one")
    if chain_id is None and len(stored) > 1:
        raise Stop(f"The database holds {len(stored)} chains ({listed}). Name one of them. Example: CHAIN_ID=137")
    return stored[0] if chain_id is None else chain_id
