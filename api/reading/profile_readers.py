"""The readers of each chain's logs, made from the profiles and contracts that the indexer stored.

The API stores no decoded copy of an event: it decodes the raw log of each event it returns.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Connection, select

from api.queries.sql import tables
from schema.profile.model import differs_from_release, parse_profile
from schema.profile.reader import DecodedLog, Reader
from schema.tables.values import block_of

log = logging.getLogger(__name__)


def read_readers(connection: Connection) -> Mapping[int, Reader]:
    """Returns the reader of each chain, compiled from the stored profile and the stored contracts."""
    contract, profile = tables.contract.c, tables.profile.c
    addresses: dict[int, set[tuple[str, bytes]]] = defaultdict(set)
    for row in connection.execute(select(contract.chain_id, contract.role, contract.address)):
        addresses[row.chain_id].add((row.role, row.address))
    profiles = connection.execute(select(profile.chain_id, profile.name, profile.text))
    return {row.chain_id: _reader(row.name, row.text, frozenset(addresses[row.chain_id])) for row in profiles}


def read_log(
    readers: Mapping[int, Reader], chain_id: int, position: int, address: bytes, topics: bytes, data: bytes
) -> DecodedLog:
    """Returns a log as decoded by the reader of its chain."""
    return readers[chain_id].read(address, topics, data, block_of(position))


@lru_cache(maxsize=32)
def _reader(name: str, text: str, contracts: frozenset[tuple[str, bytes]]) -> Reader:
    if differs_from_release(name, text):
        log.warning(
            "the database was made with another text of the profile %s than that of this release: what only the new "
            "text reads is missing until the indexer reads all events again: certindex rebuild --profile %s",
            name,
            name,
        )
    addresses: dict[str, list[bytes]] = defaultdict(list)
    for role, address in sorted(contracts):
        addresses[role].append(address)
    return parse_profile(text, f"the stored profile {name}").compile(addresses)
