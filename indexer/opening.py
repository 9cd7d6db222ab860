"""From settings to a store that may be written: the one place that makes engines, endpoints and leases."""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from msgspec import Struct
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from indexer.chain.chain import Chain
from indexer.chain.finality import finality_depth
from indexer.chain.start_block import find_start_block, has_code
from indexer.errors import Stop, TryAgain
from indexer.proof.judge import Judge
from indexer.rpc import Pool, open_pool, site_of
from indexer.settings import DatabaseSettings, Settings
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.verification import Levels
from indexer.store.watch_set import (
    WantedContract,
    WatchedContract,
    check_contracts,
    check_profile,
    read_profile_text,
    read_watch_set,
    register,
)
from indexer.sync.interpretation import Interpretation, interpret
from indexer.verification.verifier import Verifier
from indexer.verification.witness import Witness
from schema.profile.model import Profile, Reader, load_profile, parse_profile
from schema.tables.database import connect, migrate, read_only_engine

log = logging.getLogger("certindex")


class Prepared(Struct, frozen=True):
    """What is at hand before a provider has answered."""

    settings: Settings
    profile: Profile
    engine: Engine
    pool: Pool

    async def close(self) -> None:
        """Closes all connections."""
        await self.pool.close()
        self.engine.dispose()


class StoredChain(Struct, frozen=True):
    """A chain that the database holds, the profile by which its logs are read, and the contracts that are watched."""

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

    def store(self, lease: Lease) -> Store:
        """Returns the store, for the holder of the lease."""
        return Store(self.engine, self.chain_id, lease.epoch)


class OpenedNode(StoredChain, frozen=True):
    """A stored chain, and providers that were found to be of it."""

    pool: Pool

    def verifier(self, levels: Levels) -> Verifier:
        """Returns the verifier."""
        addresses = {contract.address for contract in self.contracts}
        judge = Judge(self.chain_id, addresses, form_is_known=levels.knows_headers())
        return Verifier(Witness(self.pool), judge, levels, providers=len(self.pool.hosts))


class FollowedChain(OpenedNode, frozen=True):
    """A stored chain that is indexed from its providers."""

    chain: Chain


async def open_chain(settings: Settings) -> FollowedChain:
    """Checks node, profile, contracts and database against each other, and registers a new chain.

    Raises Stop where they contradict each other, TryAgain where the node does not answer.
    """
    prepared = prepare(settings)
    try:
        return await open_prepared(prepared)
    except BaseException:
        await prepared.close()
        raise


def prepare(settings: Settings) -> Prepared:
    """Checks what can be checked without a provider, and opens the database. Raises Stop."""
    profile = load_profile(settings.profile)
    check_quorum(settings.quorum, settings.rpc_urls)
    engine = connect(settings.database_url)
    migrate(engine)
    return Prepared(settings, profile, engine, Pool(settings.rpc_urls))


async def open_prepared(prepared: Prepared) -> FollowedChain:
    """Does the rest of `open_chain`; to be called again after TryAgain."""
    settings, profile, engine, pool = prepared.settings, prepared.profile, prepared.engine, prepared.pool
    chain_id = await pool.check_chain(settings.chain_id)
    depth = finality_depth(chain_id) if settings.finality_depth is None else settings.finality_depth
    wanted = _wanted_contracts(settings, profile, chain_id)
    profile.compile(_addresses(wanted))  # refuses unknown roles before anything is stored
    contracts = await _watch(engine, Chain(pool, (), finality_depth=depth), chain_id, profile, wanted)
    addresses = {contract.address for contract in contracts}
    chain = Chain(pool, addresses, finality_depth=depth, answers=settings.looks, quorum=settings.quorum)
    return FollowedChain(engine, chain_id, profile, contracts, pool, chain)


def check_quorum(quorum: int, urls: Sequence[str]) -> None:
    """Raises Stop where the URLs are of fewer hosts than must agree."""
    sites = {site_of(url) for url in urls}
    if len(sites) < quorum:
        raise Stop(f"QUORUM={quorum}: RPC_URLS names {len(sites)} different hosts. Add others, or lower QUORUM.")


@contextmanager
def open_database(settings: DatabaseSettings) -> Iterator[tuple[Engine, int]]:
    """Yields the engine and the id of the chain: CHAIN_ID, or the only one that the database holds."""
    engine = connect(settings.database_url)
    try:
        migrate(engine)
        yield engine, find_chain(engine, settings.chain_id)
    finally:
        engine.dispose()


def read_chain(engine: Engine, chain_id: int) -> StoredChain:
    """Returns a chain as it is stored."""
    with read_only_engine(engine).begin() as connection:
        profile = parse_profile(read_profile_text(connection, chain_id) or "", "the stored profile")
        return StoredChain(engine, chain_id, profile, read_watch_set(connection, chain_id))


@asynccontextmanager
async def open_node(settings: DatabaseSettings, urls: Sequence[str]) -> AsyncIterator[OpenedNode]:
    """Yields a stored chain with providers, which must be of it."""
    with open_database(settings) as (engine, chain_id):
        async with open_pool(urls, chain_id) as pool:
            chain = read_chain(engine, chain_id)
            yield OpenedNode(engine, chain_id, chain.profile, chain.contracts, pool)


def find_chain(engine: Engine, wanted: int | None) -> int:
    """Returns the chain that is meant: the one wanted, or the only one that the database holds. Raises Stop."""
    with read_only_engine(engine).begin() as connection:
        known = list(connection.execute(text("SELECT chain_id FROM chain ORDER BY chain_id")).scalars())
    listed = ", ".join(map(str, known)) or "none"
    if wanted is not None and wanted not in known:
        raise Stop(f"CHAIN_ID={wanted}: the database holds no such chain (it holds: {listed}).")
    if not known:
        raise Stop("The database holds no chain yet: certindex run or sync begins one")
    if wanted is None and len(known) > 1:
        raise Stop(f"The database holds {len(known)} chains ({listed}); say which is meant. Example: CHAIN_ID=137")
    return known[0] if wanted is None else wanted


def _wanted_contracts(settings: Settings, profile: Profile, chain_id: int) -> list[WantedContract]:
    """Returns all that the settings, or the profile for this network, name."""
    if settings.contracts is not None:
        start = _start_block(settings, 0)
        return [WantedContract(role, address, start) for role, address in dict.fromkeys(settings.contracts)]
    known = profile.networks.get(chain_id, {})
    if not known:
        raise Stop(
            f"CONTRACTS is not set, and the profile {profile.name!r} knows no contracts on chain {chain_id}. "
            f"Example: CONTRACTS={profile.roles[0]}=0x5FbDB2315678afecb367f032d93F642f64180aa3"
        )
    return [
        WantedContract(role, contract.address, _start_block(settings, contract.start_block))
        for role, found in known.items()
        for contract in found
    ]


def _start_block(settings: Settings, known: int) -> int | None:
    """Returns where a contract is to be indexed from; None: from its first block, which is to be found."""
    match settings.start_block:
        case "auto":
            return None
        case None:
            return known
        case number:
            return number


async def _watch(
    engine: Engine, chain: Chain, chain_id: int, profile: Profile, wanted: Sequence[WantedContract]
) -> Sequence[WatchedContract]:
    with read_only_engine(engine).begin() as connection:
        # in this order: another indexer may register the chain, text and contracts at once, between the two
        stored_text = read_profile_text(connection, chain_id)
        stored = read_watch_set(connection, chain_id)
    if stored_text is not None:
        check_contracts(chain_id, stored, wanted)
        check_profile(chain_id, stored_text, profile)
        _tell_of_late_starts(stored, wanted)
        return stored
    contracts = [await _watched(chain, contract) for contract in wanted]
    await _tell_of_early_starts(chain, contracts)
    try:
        with engine.begin() as connection:
            register(connection, chain_id, profile, contracts)
    except IntegrityError:  # another indexer began at the same moment: what it stored counts
        with read_only_engine(engine).begin() as connection:
            if read_profile_text(connection, chain_id) is None:
                raise Stop(
                    f"The database holds chain {chain_id} without the profile that it was read by: somebody "
                    "changed it. Restore a backup, or index into a new database (DATABASE_URL)."
                ) from None
        return await _watch(engine, chain, chain_id, profile, wanted)
    return contracts


async def _watched(chain: Chain, wanted: WantedContract) -> WatchedContract:
    """Returns a contract with its start block, and whether nothing of it lies before."""
    role, address, start = wanted
    if start is not None:
        return WatchedContract(role, address, start, await _is_whole(chain, address, start))
    final = (await chain.heads()).finalized.number
    found = await find_start_block(chain.providers, role, address, final)
    log.info("START_BLOCK=auto: %s=0x%s begins at block %d", role, address.hex(), found)
    return WatchedContract(role, address, found, whole=True)


async def _is_whole(chain: Chain, address: bytes, start_block: int) -> bool:
    """Tells whether nothing of the contract lies before the start block; not whole where the node cannot say."""
    if start_block == 0:
        return True
    with suppress(TryAgain):
        return not await has_code(chain.providers, address, hex(start_block - 1))
    return False


async def _tell_of_early_starts(chain: Chain, contracts: Sequence[WatchedContract]) -> None:
    last = max((contract.start_block for contract in contracts), default=0)
    if last and last - 1 > (head := (await chain.heads()).latest.number):
        log.warning(
            "indexing begins at block %d, and the node's newest is block %d: nothing is indexed until then. A database "
            "keeps the START_BLOCK that it was made with; where it is wrong, name a new one in DATABASE_URL",
            last,
            head,
        )


def _tell_of_late_starts(stored: Sequence[WatchedContract], wanted: Sequence[WantedContract]) -> None:
    searched = {(contract.role, contract.address) for contract in wanted if contract.start_block is None}
    for contract in stored:
        if (contract.role, contract.address) in searched and not contract.whole:
            log.warning(
                "START_BLOCK=auto: %s=0x%s is indexed from block %d, not from its first block, and stays so; "
                "to have all of it, index into a new database (DATABASE_URL)",
                contract.role,
                contract.address.hex(),
                contract.start_block,
            )


def _addresses(contracts: Iterable[WatchedContract | WantedContract]) -> dict[str, list[bytes]]:
    addresses: dict[str, list[bytes]] = {}
    for contract in contracts:
        addresses.setdefault(contract.role, []).append(contract.address)
    return addresses
