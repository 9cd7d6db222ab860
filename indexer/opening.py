"""From settings to an open database, the providers of its chain, and a store: the one place that opens them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from indexer.chain.blooms import trusts_bloom
from indexer.chain.chain import Chain
from indexer.chain.finality import finality_depth
from indexer.errors import Stop
from indexer.proof.judge import Judge
from indexer.registration import register_contracts
from indexer.rpc import Pool, open_pool
from indexer.settings import DatabaseSettings, Settings
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.verification import VerificationStore
from indexer.store.watch_set import WatchedContract, check_factories, read_profile_text, read_watch_set, start_blocks
from indexer.sync.interpretation import Interpretation, interpret
from indexer.urls import SiteHeaders, site_of
from indexer.verification.verifier import Verifier
from indexer.verification.witness import Witness
from schema.profile.model import Profile, load_profile, parse_profile
from schema.profile.reader import Reader
from schema.tables.database import (
    check_revision,
    check_supported,
    connect,
    migrate,
    read_only_engine,
    require_file,
    require_revision,
    unusable,
)


class Prepared(Struct, frozen=True):
    """A start that has not reached a provider yet. `profile` is that of the settings, if they name one."""

    settings: Settings
    profile: Profile | None
    engine: Engine
    pool: Pool

    async def close(self) -> None:
        """Closes all connections."""
        await self.pool.close()
        self.engine.dispose()


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


class OpenedNode(StoredChain, frozen=True):
    """A stored chain and its providers, which were found to serve it. `trust_bloom`: headers' blooms are checked."""

    pool: Pool
    trust_bloom: bool

    def verifier(self, levels: VerificationStore) -> Verifier:
        """Returns a verifier that fetches from the providers and stores its results in `levels`."""
        watched = start_blocks(self.contracts)
        judge = Judge(self.chain_id, watched, form_is_known=levels.knows_headers(), trust_bloom=self.trust_bloom)
        return Verifier(
            Witness(self.pool, chain_id=self.chain_id),
            judge,
            levels,
            providers=len(self.pool.hosts),
            watched=self.watched if self.profile.factories else None,
        )

    def watch_set(self) -> list[WatchedContract]:
        """Returns the watched contracts as of now: logs may have created some since the chain was opened."""
        with read_only_engine(self.engine).begin() as connection:
            return read_watch_set(connection, self.chain_id)

    def watched(self) -> Mapping[bytes, int]:
        """Returns from which block on the logs of each contract are stored, as of now."""
        return start_blocks(self.watch_set())


class FollowedChain(OpenedNode, frozen=True):
    """A stored chain and its providers, as it is indexed."""

    chain: Chain

    def reread(self) -> "FollowedChain":
        """Returns the chain with the profile that the database has now: another process may have rebuilt it."""
        return replace(self, profile=read_chain(self.engine, self.chain_id).profile)


async def open_chain(settings: Settings) -> FollowedChain:
    """Opens a chain to index it; registers a new one. Checks node, profile, contracts and database against each other.

    Raises Stop if they contradict each other, TryAgain if no node answers.
    """
    prepared = prepare(settings)
    try:
        return await open_prepared(prepared)
    except BaseException:
        await prepared.close()
        raise


def prepare(settings: Settings) -> Prepared:
    """Opens the database, and checks what needs no provider. Raises Stop."""
    profile = None if settings.profile is None else load_profile(settings.profile)
    check_quorum(settings.quorum, settings.rpc_urls)
    engine = connect(settings.database_url, pooler=settings.database_pooler)
    migrate(engine)
    return Prepared(settings, profile, engine, Pool(settings.rpc_urls, settings.rpc_headers))


async def open_prepared(prepared: Prepared) -> FollowedChain:
    """Returns the chain, once a provider answers. After TryAgain it can be called again."""
    settings, engine, pool = prepared.settings, prepared.engine, prepared.pool
    chain_id = await pool.check_chain(settings.chain_id)
    trust_bloom = trusts_bloom(chain_id, settings.trust_bloom)
    by_depth = settings.finality_depth is not None
    depth = finality_depth(chain_id) if settings.finality_depth is None else settings.finality_depth
    unwatched = Chain(pool, (), chain_id=chain_id, finality_depth=depth, final_by_depth=by_depth)
    profile, contracts = await register_contracts(engine, unwatched, chain_id, settings, prepared.profile)
    watched = {contract.address for contract in contracts}
    chain = Chain(
        pool,
        watched,
        chain_id=chain_id,
        finality_depth=depth,
        final_by_depth=by_depth,
        trust_bloom=trust_bloom,
        answers=settings.looks,
        quorum=settings.quorum,
    )
    return FollowedChain(engine, chain_id, profile, contracts, pool, trust_bloom, chain)


def check_quorum(quorum: int, urls: Sequence[str]) -> None:
    """Raises Stop if the URLs have fewer different hosts than must agree."""
    sites = {site_of(url) for url in urls}
    if len(sites) < quorum:
        raise Stop(f"QUORUM={quorum}: RPC_URLS names {len(sites)} different hosts. Add others, or lower QUORUM.")


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


@asynccontextmanager
async def open_node(
    settings: DatabaseSettings, urls: Sequence[str], headers: SiteHeaders = (), trust_bloom: bool | None = None
) -> AsyncIterator[OpenedNode]:
    """Yields a stored chain and its providers. Raises what `find_chain` and `Pool.check_chain` raise.

    If `trust_bloom` is None, the chain decides.
    """
    with open_database(settings) as (engine, chain_id):
        async with open_pool(urls, chain_id, headers) as pool:
            chain = read_chain(engine, chain_id)
            trust_bloom = trusts_bloom(chain_id, trust_bloom)
            yield OpenedNode(engine, chain_id, chain.profile, chain.contracts, pool, trust_bloom)


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
