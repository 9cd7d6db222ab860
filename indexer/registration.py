"""Which contracts of a chain are watched, and from which block: settled at the first start, and stored."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Engine, text
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
    check_start_block,
    named_beforehand,
    read_profile_text,
    read_watch_set,
    register,
)
from schema.profile.model import Profile, load_profile, parse_profile
from schema.profile.releases import differs_from_release
from schema.tables.database import read_only_engine
from schema.tables.notices import rebuild_text

log = logging.getLogger("certindex")

DEFAULT_PROFILE = "device-certificate"
"""The profile of a new chain, if the settings name none."""


async def register_contracts(
    engine: Engine, chain: Chain, chain_id: int, settings: Settings, profile: Profile | None
) -> tuple[Profile, Sequence[WatchedContract]]:
    """Returns the profile and the contracts of a chain: the stored ones, else those of the settings, now registered.

    `profile` is that of the settings, if they name one. Raises Stop if the settings contradict what is stored.
    """
    with read_only_engine(engine).begin() as connection:
        # in this order: another indexer may register the chain, text and contracts at once, between the two
        stored_text = read_profile_text(connection, chain_id)
        stored = read_watch_set(connection, chain_id)
        chain_ids = connection.execute(text("SELECT chain_id FROM chain ORDER BY chain_id")).scalars()
        others = [other for other in chain_ids if other != chain_id]
    if stored_text is not None:
        return _check_stored(chain_id, stored_text, stored, settings, profile), stored
    if others and settings.chain_id is None:
        raise Stop(
            f"The nodes of RPC_URLS are of chain {chain_id}, and the database holds chain "
            f"{', '.join(map(str, others))}. Correct RPC_URLS, or set CHAIN_ID={chain_id} to index that chain too."
        )
    try:
        return await _register_new(engine, chain, chain_id, settings, profile or load_profile(DEFAULT_PROFILE))
    except IntegrityError:  # another indexer registered the chain at the same moment: what it stored counts
        with read_only_engine(engine).begin() as connection:
            if read_profile_text(connection, chain_id) is None:
                raise Stop(
                    f"The database holds chain {chain_id} without the profile that it was read by: somebody "
                    "changed it. Restore a backup, or index into a new database (DATABASE_URL)."
                ) from None
        return await register_contracts(engine, chain, chain_id, settings, profile)


async def _register_new(
    engine: Engine, chain: Chain, chain_id: int, settings: Settings, profile: Profile
) -> tuple[Profile, Sequence[WatchedContract]]:
    wanted = _wanted_contracts(settings, profile, chain_id)
    _check_roles(profile, wanted)
    contracts = [await _locate(chain, contract) for contract in wanted]
    await _warn_of_future_starts(chain, contracts)
    with engine.begin() as connection:
        register(connection, chain_id, profile, contracts)
    return profile, contracts


def _check_stored(
    chain_id: int,
    stored_text: str,
    stored: Sequence[WatchedContract],
    settings: Settings,
    profile: Profile | None,
) -> Profile:
    """Returns the stored profile. Raises Stop if a setting contradicts what is stored; one that is not set does not."""
    stored_profile = parse_profile(stored_text, "the stored profile")
    if settings.contracts is not None:
        _check_roles(profile or stored_profile, settings.contracts)
        check_contracts(chain_id, stored, settings.contracts)
    if isinstance(settings.start_block, int):
        check_start_block(chain_id, stored, settings.start_block)
    if settings.profile is not None and profile is not None:
        check_profile(chain_id, stored_text, profile, settings.profile)
    else:
        _warn_of_another_text(chain_id, stored_profile)
    _warn_of_late_starts(stored, settings)
    return stored_profile


def _wanted_contracts(settings: Settings, profile: Profile, chain_id: int) -> list[WantedContract]:
    """Returns the contracts of a new chain: those of the settings, or else of the profile for this network."""
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


def _check_roles(profile: Profile, contracts: Iterable[tuple[Any, ...]]) -> None:
    """Raises ProfileError if the profile has not the role of a contract."""
    addresses: dict[str, list[bytes]] = {}
    for role, address, *_ in contracts:
        addresses.setdefault(role, []).append(address)
    profile.compile(addresses)


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


def _warn_of_late_starts(stored: Sequence[WatchedContract], settings: Settings) -> None:
    for role, address, start, whole, _ in map(astuple, named_beforehand(stored)):
        if settings.start_block == "auto" and not whole:
            log.warning(
                "START_BLOCK=auto: %s=0x%s is indexed from block %d, not from its first block, and stays so; "
                "to have all of it, index into a new database (DATABASE_URL)",
                role,
                address.hex(),
                start,
            )
        elif isinstance(settings.start_block, int) and settings.start_block > start:
            log.warning(
                "START_BLOCK=%d: %s=0x%s is indexed from block %d, and stays so",
                settings.start_block,
                role,
                address.hex(),
                start,
            )


def _warn_of_another_text(chain_id: int, stored: Profile) -> None:
    """Warns if this release ships a profile of the stored one's name with another text."""
    if differs_from_release(stored.name, stored.text):
        log.warning("chain %d: %s", chain_id, rebuild_text(stored.name))
