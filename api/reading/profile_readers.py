"""Recorded events: logs as the chain gave them, with their block, and what the stored profile reads in them.

The history has no second copy: each page is decoded from the raw logs, by the profile that the indexer stored.
"""

from collections import defaultdict
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, select

from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint
from schema.profile.model import Reader, Reading, parse_profile
from schema.tables.columns import block_of, log_index_of


class Finality(Enum):
    """How far a block is from being taken back."""

    UNSAFE = "UNSAFE"
    SAFE = "SAFE"
    FINALIZED = "FINALIZED"
    ORPHANED = "ORPHANED"


class RecordedEvent(NamedTuple):
    """A log and its block. `topics` are joined, 32 bytes each; times are unix seconds.

    `orphaned`: a reorg took it back; the ids of what it names are those that canonical rows have, if any.
    """

    chain_id: int
    position: int
    address: bytes
    topics: bytes
    data: bytes
    transaction_hash: bytes
    transaction_index: int
    kind: int
    device_id: int | None
    manufacturer_id: int | None
    hardware_license_id: int | None
    vehicle_id: int | None
    flags: int
    block_hash: bytes
    block_time: int
    level: int
    orphaned: bool = False

    @property
    def block_number(self) -> int:
        return block_of(self.position)

    @property
    def block(self) -> BlockPoint:
        return BlockPoint(self.chain_id, self.block_number, self.block_hash, self.block_time)

    @property
    def log_index(self) -> int:
        return log_index_of(self.position)

    @property
    def topic_list(self) -> list[bytes]:
        return [self.topics[start : start + 32] for start in range(0, len(self.topics), 32)]


def finality_of(block_number: int, safe: int | None, finalized: int | None) -> Finality:
    """Return the finality of a canonical block, given the chain's safe and finalized numbers."""
    if finalized is not None and block_number <= finalized:
        return Finality.FINALIZED
    return Finality.SAFE if safe is not None and block_number <= safe else Finality.UNSAFE


def read_readers(connection: Connection) -> Mapping[int, Reader]:
    """Return the reader of each chain, by the profile and the contracts that its rows were made with."""
    contract, profile = tables.contract.c, tables.TABLES["profile"].c
    addresses: dict[int, set[tuple[str, bytes]]] = defaultdict(set)
    for row in connection.execute(select(contract.chain_id, contract.role, contract.address)):
        addresses[row.chain_id].add((row.role, row.address))
    profiles = connection.execute(select(profile.chain_id, profile.name, profile.text))
    return {row.chain_id: _reader(row.name, row.text, frozenset(addresses[row.chain_id])) for row in profiles}


def read_event(readers: Mapping[int, Reader], event: RecordedEvent) -> Reading:
    """Return what the chain's profile reads in the event."""
    return readers[event.chain_id].read(event.address, event.topics, event.data, event.block_number)


@lru_cache(maxsize=32)
def _reader(name: str, text: str, contracts: frozenset[tuple[str, bytes]]) -> Reader:
    addresses: dict[str, list[bytes]] = defaultdict(list)
    for role, address in sorted(contracts):
        addresses[role].append(address)
    return parse_profile(text, f"the stored profile {name}").compile(addresses)
