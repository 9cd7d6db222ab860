"""From settings to the providers of a chain, and its database: the one place that opens them together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Engine

from indexer.chain.blooms import trusts_bloom
from indexer.chain.chain import Chain
from indexer.chain.finality import finality_depth
from indexer.errors import Stop
from indexer.proof.judge import Judge
from indexer.registration import register_contracts
from indexer.rpc.pool import Pool, open_pool
from indexer.settings import DatabaseSettings, Settings
from indexer.store.verification import VerificationStore
from indexer.store.watch_set import WatchedContract, read_watch_set, start_blocks
from indexer.stored_chain import StoredChain, open_database, read_chain
from indexer.urls import SiteHeaders, site_of
from indexer.verification.verifier import Verifier
from indexer.verification.witness import Witness
from schema.profile.model import Profile, load_profile
from schema.tables.database import connect, migrate, read_only_engine


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
