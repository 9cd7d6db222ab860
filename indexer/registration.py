"""Which contracts of a chain are watched, and from which block: settled at the first start, and stored."""

import logging
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from indexer.chain.chain import Chain
from indexer.chain.start_block import find_start_block, has_code
from indexer.errors import Stop, TryAgain
from indexer.settings import Settings
from indexer.store.watch_set import (
    WantedContract,
    WatchedContract,
    check_contracts,
    check_profile,
    read_profile_text,
    read_watch_set,
    register,
)
from schema.profile.model import Profile
from schema.tables.database import read_only_engine

log = logging.getLogger("certindex")


def wanted_contracts(settings: Settings, profile: Profile, chain_id: int) -> list[WantedContract]:
    """Returns the contracts that the settings name, or else those of the profile for this network. Raises Stop."""
    if settings.contracts is not None:
        start = _start_block(settings, 0)
        return [WantedContract(role, address, start) for role, address in dict.fromkeys(settings.contracts)]
    by_role = profile.networks.get(chain_id, {})
    if not by_role:
        raise Stop(
            f"CONTRACTS is not set, and the profile {profile.name!r} names no contracts on chain {chain_id}. "
            f"Example: CONTRACTS={profile.roles[0]}=0x5FbDB2315678afecb367f032d93F642f64180aa3"
        )
    return [
        WantedContract(role, contract.address, _start_block(settings, contract.start_block))
        for role, contracts in by_role.items()
        for contract in contracts
    ]


def _start_block(settings: Settings, default: int) -> int | None:
    """Returns the block to index from; None for START_BLOCK=auto: the contract's first block must be searched."""
    match settings.start_block:
        case "auto":
            return None
        case None:
            return default
        case number:
            return number


async def register_contracts(
    engine: Engine, chain: Chain, chain_id: int, profile: Profile, wanted: Sequence[WantedContract]
) -> Sequence[WatchedContract]:
    """Returns the contracts to watch: for a stored chain those in the database, else the wanted ones, now registered.

    Raises Stop if the stored contracts or profile contradict the settings.
    """
    with read_only_engine(engine).begin() as connection:
        # in this order: another indexer may register the chain, text and contracts at once, between the two
        stored_text = read_profile_text(connection, chain_id)
        stored = read_watch_set(connection, chain_id)
    if stored_text is not None:
        check_contracts(chain_id, stored, wanted)
        check_profile(chain_id, stored_text, profile)
        _warn_of_late_starts(stored, wanted)
        return stored
    contracts = [await _locate(chain, contract) for contract in wanted]
    await _warn_of_future_starts(chain, contracts)
    try:
        with engine.begin() as connection:
            register(connection, chain_id, profile, contracts)
    except IntegrityError:  # another indexer registered the chain at the same moment: what it stored counts
        with read_only_engine(engine).begin() as connection:
            if read_profile_text(connection, chain_id) is None:
                raise Stop(
                    f"The database holds chain {chain_id} without the profile that it was read by: somebody "
                    "changed it. Restore a backup, or index into a new database (DATABASE_URL)."
                ) from None
        return await register_contracts(engine, chain, chain_id, profile, wanted)
    return contracts


async def _locate(chain: Chain, wanted: WantedContract) -> WatchedContract:
    """Returns a contract with its start block, and whether nothing of it lies before that block."""
    role, address, start = wanted
    if start is not None:
        return WatchedContract(role, address, start, await _is_whole(chain, address, start))
    final = (await chain.heads()).finalized.number
    first = await find_start_block(chain.providers, role, address, final)
    log.info("START_BLOCK=auto: %s=0x%s begins at block %d", role, address.hex(), first)
    return WatchedContract(role, address, first, whole=True)


async def _is_whole(chain: Chain, address: bytes, start_block: int) -> bool:
    """Returns True if a node shows that the contract has no code before the start block."""
    if start_block == 0:
        return True
    with suppress(TryAgain):
        return not await has_code(chain.providers, address, hex(start_block - 1))
    return False


async def _warn_of_future_starts(chain: Chain, contracts: Sequence[WatchedContract]) -> None:
    last = max((contract.start_block for contract in contracts), default=0)
    if last and last - 1 > (head := (await chain.heads()).latest.number):
        log.warning(
            "indexing begins at block %d, and the node's newest is block %d: nothing is indexed until then. A database "
            "keeps the START_BLOCK that it was made with; if it is wrong, name a new one in DATABASE_URL",
            last,
            head,
        )


def _warn_of_late_starts(stored: Sequence[WatchedContract], wanted: Sequence[WantedContract]) -> None:
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
