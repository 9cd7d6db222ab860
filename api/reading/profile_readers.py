"""The readers of each chain's logs, made from the profiles and contracts that the indexer stored.

The API stores no decoded copy of an event: it decodes the raw log of each event it returns.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Connection, select

from api.queries.recorded import RecordedEvent
from api.queries.sql import tables
from schema.profile.model import parse_profile
from schema.profile.reader import DecodedLog, Reader


def read_readers(connection: Connection) -> Mapping[int, Reader]:
    """Returns the reader of each chain, compiled from the stored profile and the stored contracts."""
    contract, profile = tables.contract.c, tables.profile.c
    addresses: dict[int, set[tuple[str, bytes]]] = defaultdict(set)
    for row in connection.execute(select(contract.chain_id, contract.role, contract.address)):
        addresses[row.chain_id].add((row.role, row.address))
    profiles = connection.execute(select(profile.chain_id, profile.name, profile.text))
    return {row.chain_id: _reader(row.name, row.text, frozenset(addresses[row.chain_id])) for row in profiles}


def read_event(readers: Mapping[int, Reader], event: RecordedEvent) -> DecodedLog:
    """Returns the event as decoded by the reader of its chain."""
    return readers[event.chain_id].read(event.address, event.topics, event.data, event.block_number)


@lru_cache(maxsize=32)
def _reader(name: str, text: str, contracts: frozenset[tuple[str, bytes]]) -> Reader:
    addresses: dict[str, list[bytes]] = defaultdict(list)
    for role, address in sorted(contracts):
        addresses[role].append(address)
    return parse_profile(text, f"the stored profile {name}").compile(addresses)
