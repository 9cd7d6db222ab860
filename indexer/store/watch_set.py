"""The watch set: the contracts whose logs a chain's rows are from, and the profile that read them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, text

from indexer.errors import Stop
from indexer.store.digest import watch_set_digest
from schema.profile.factories import same_factories
from schema.profile.model import Profile
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.notices import UNKNOWN_HASH

"""Hash of the checkpoint before the first block: any block may follow it."""


class WatchedContract(Struct, frozen=True):
    """A watched contract. `whole`: watched from its first block, so that an absent event never happened.

    `factory_position` is that of the log of a factory that named it; None if the settings or the profile did.
    """

    role: str
    address: bytes
    start_block: int
    whole: bool
    factory_position: int | None = None


def read_watch_set(connection: Connection, chain_id: int) -> list[WatchedContract]:
    """Returns the stored contracts, none for a chain that is not in the database."""
    rows = connection.execute(
        text(
            """SELECT role, address, start_block, whole, factory_position FROM contract WHERE chain_id = :chain_id
            ORDER BY role, address"""
        ),
        {"chain_id": chain_id},
    )
    return [
        WatchedContract(role, bytes(address), start, bool(whole), position)
        for role, address, start, whole, position in rows
    ]


def named_beforehand(contracts: Iterable[WatchedContract]) -> list[WatchedContract]:
    """Returns the contracts that the settings or the profile name: all others follow from stored logs."""
    return [contract for contract in contracts if contract.factory_position is None]


def is_watched(contract: WatchedContract, block_number: int) -> bool:
    """Returns whether a contract is watched at a block: one of a factory is from its own block on."""
    return contract.factory_position is None or contract.start_block <= block_number


def start_blocks(contracts: Iterable[WatchedContract]) -> dict[bytes, int]:
    """Returns from which block on the logs of each contract are stored: those of a factory from their own block on."""
    return {
        contract.address: 0 if contract.factory_position is None else contract.start_block for contract in contracts
    }


def read_profile_text(connection: Connection, chain_id: int) -> str | None:
    """Returns the text of the profile by which the chain's rows were read."""
    return connection.execute(
        text("SELECT text FROM profile WHERE chain_id = :chain_id"), {"chain_id": chain_id}
    ).scalar_one_or_none()


def digest_of(chain_id: int, contracts: Sequence[WatchedContract]) -> bytes:
    """Returns the digest of a chain without logs: of the contracts that are named beforehand."""
    named = named_beforehand(contracts)
    return watch_set_digest(chain_id, [(contract.address, contract.start_block) for contract in named])


def first_block(contracts: Sequence[WatchedContract]) -> int:
    """Returns the first block that is indexed. Raises Stop."""
    if not contracts:
        raise Stop("The database holds no contract of the chain: somebody changed it. Restore a backup.")
    return min(contract.start_block for contract in contracts)


def register(connection: Connection, chain_id: int, profile: Profile, contracts: Sequence[WatchedContract]) -> None:
    """Stores a new chain with its watch set; the checkpoint stands before the first start block."""
    for index in SECONDARY_INDEXES:
        if index.sparse:
            connection.exec_driver_sql(index.ddl)
    start = first_block(contracts)
    connection.execute(
        text(
            """INSERT INTO chain (chain_id, profile, indexed_number, indexed_hash, indexed_time, digest, digest_number,
                revision, writer_epoch, writer_beat, backfilled, judged_number, stopped)
            VALUES (:chain_id, :profile, :number, :hash, 0, :digest, :number, 0, 0, 0, :no, :number, :no)"""
        ),
        {
            "chain_id": chain_id,
            "profile": profile.name,
            "number": start - 1,
            "hash": UNKNOWN_HASH,
            "digest": digest_of(chain_id, contracts),
            "no": False,
        },
    )
    insert_contracts(connection, chain_id, contracts)
    connection.execute(
        text("INSERT INTO profile (chain_id, name, text) VALUES (:chain_id, :name, :text)"),
        {"chain_id": chain_id, "name": profile.name, "text": profile.text},
    )


def insert_contracts(connection: Connection, chain_id: int, contracts: Sequence[WatchedContract]) -> None:
    if contracts:
        connection.execute(
            text(
                """INSERT INTO contract (chain_id, role, address, start_block, whole, factory_position)
                VALUES (:chain_id, :role, :address, :start_block, :whole, :factory_position)"""
            ),
            [{"chain_id": chain_id, **asdict(contract)} for contract in contracts],
        )


def replace_profile(connection: Connection, chain_id: int, profile: Profile) -> None:
    """Stores another profile's text; the rows must be read again in the same transaction."""
    at = {"chain_id": chain_id, "name": profile.name, "text": profile.text}
    connection.execute(text("UPDATE profile SET name = :name, text = :text WHERE chain_id = :chain_id"), at)
    connection.execute(text("UPDATE chain SET profile = :name WHERE chain_id = :chain_id"), at)


class WantedContract(NamedTuple):
    """A contract to watch. `start_block` None: from the contract's first block."""

    role: str
    address: bytes
    start_block: int | None


def check_contracts(chain_id: int, stored: Sequence[WatchedContract], contracts: Iterable[tuple[str, bytes]]) -> None:
    """Raises Stop if the settings name other contracts than are stored; those of factories need no name."""
    stored = named_beforehand(stored)
    named, known = set(contracts), {(contract.role, contract.address) for contract in stored}
    for role, address in sorted(named - known):
        raise Stop(
            f"CONTRACTS names {role}=0x{address.hex()}, which the rows of chain {chain_id} do not come from "
            f"({_listed(stored)}). Index it into a database of its own: set another DATABASE_URL."
        )
    if missing := known - named:
        raise Stop(
            f"CONTRACTS leaves out {', '.join(f'{role}=0x{address.hex()}' for role, address in sorted(missing))}, "
            f"whose events chain {chain_id} holds. Name all of them ({_listed(stored)}) or none, or set another "
            "DATABASE_URL."
        )


def check_start_block(chain_id: int, stored: Sequence[WatchedContract], start_block: int) -> None:
    """Raises Stop if the settings name an earlier start block than is stored."""
    for contract in named_beforehand(stored):
        if start_block < contract.start_block:
            raise Stop(
                f"START_BLOCK={start_block} lies before block {contract.start_block}, from which "
                f"{contract.role}=0x{contract.address.hex()} of chain {chain_id} is indexed. Index it into a new "
                f"database (DATABASE_URL), or set START_BLOCK={contract.start_block}."
            )


def check_profile(chain_id: int, stored_text: str, profile: Profile, name_or_path: str) -> None:
    """Raises Stop if the rows were read by a different profile text than that of the settings."""
    if stored_text != profile.text:
        raise Stop(
            f"The rows of chain {chain_id} were read by another text of a profile than {profile.name!r} has now. "
            f"Read the stored events again by the new one: certindex rebuild --profile {name_or_path}"
        )


def check_factories(chain_id: int, stored: Profile, profile: Profile) -> None:
    """Raises Stop if another profile watches other contracts of factories: their logs are not stored."""
    if not same_factories(stored.factories, profile.factories):
        raise Stop(
            f"The profile {profile.name!r} has other factories than the one that the events of chain {chain_id} were "
            "read by: the logs of the contracts that they create are not stored. Index into a new database "
            "(DATABASE_URL)."
        )


def _listed(contracts: Sequence[WatchedContract]) -> str:
    return ",".join(f"{contract.role}=0x{contract.address.hex()}" for contract in contracts)
