"""The readers of each chain's logs, made from the profiles and contracts that the indexer stored.

The API stores no decoded copy of an event: it decodes the raw log of each event it returns.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from api.queries.joined_logs import logs_of_transactions
from api.queries.sql import tables
from schema.profile.model import parse_profile
from schema.profile.reader import DecodedEvent, DecodedLog, Reader, Unjoined, event_of
from schema.profile.releases import differs_from_release
from schema.tables.notices import rebuild_text
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


def chains_to_rebuild(connection: Connection) -> frozenset[int]:
    """Returns the chains whose stored profile is an earlier text of one that this release ships."""
    profile = tables.profile.c
    rows = connection.execute(select(profile.chain_id, profile.name, profile.text))
    return frozenset(row.chain_id for row in rows if differs_from_release(row.name, row.text))


class ReadableLog(NamedTuple):
    """The cells that the reading of a log is made of."""

    chain_id: int
    position: int
    address: bytes
    topics: bytes
    data: bytes
    orphaned: bool


EVENT_CELLS = (*ReadableLog._fields, "item")
"""The cells of an event that its reading is made of: those of its log, and which of the log's events it is."""


def read_events(
    connection: Connection, readers: Mapping[int, Reader], events: Sequence[tuple[Any, ...]]
) -> list[DecodedEvent]:
    """Returns events, each given by its EVENT_CELLS, as decoded by the readers of their chains."""
    logs = [(chain_id, position - item, *log) for chain_id, position, *log, item in events]
    distinct = list(dict.fromkeys(logs))  # a log that is many events is decoded once
    readings = dict(zip(distinct, _read_logs(connection, readers, distinct), strict=True))
    return [event_of(readings[log], event[-1]) for log, event in zip(logs, events, strict=True)]


def _read_logs(
    connection: Connection, readers: Mapping[int, Reader], logs: Sequence[tuple[Any, ...]]
) -> list[DecodedLog]:
    readings: list[Any] = [
        readers[chain_id].read(address, topics, data, block_of(position))
        for chain_id, position, address, topics, data, _ in logs
    ]
    waiting = [place for place, reading in enumerate(readings) if isinstance(reading, Unjoined)]
    if waiting:
        joined = _read_joined(connection, readers, {ReadableLog._make(logs[place]) for place in waiting})
        for place in waiting:
            readings[place] = joined[ReadableLog._make(logs[place])]
    return readings


def _read_joined(
    connection: Connection, readers: Mapping[int, Reader], logs: Set[ReadableLog]
) -> Mapping[ReadableLog, DecodedLog]:
    """Returns the readings of logs that need the other logs of their transactions."""
    readings: dict[ReadableLog, DecodedLog] = {}
    for chain_id, orphaned in {(log.chain_id, bool(log.orphaned)) for log in logs}:
        by_log = {log[1:5]: log for log in logs if (log.chain_id, bool(log.orphaned)) == (chain_id, orphaned)}
        positions = sorted({log.position for log in by_log.values()})
        for position, transaction in logs_of_transactions(connection, chain_id, positions, orphaned=orphaned):
            place = next(place for place, log in enumerate(transaction) if log.position == position)
            log = by_log.get(transaction[place])  # another one if two reorgs removed a block of this height
            if log is not None:
                readings[log] = readers[chain_id].read_transaction(transaction, block_of(position))[place]
    return readings


@lru_cache(maxsize=32)
def _reader(name: str, text: str, contracts: frozenset[tuple[str, bytes]]) -> Reader:
    if differs_from_release(name, text):
        log.warning("%s", rebuild_text(name))
    addresses: dict[str, list[bytes]] = defaultdict(list)
    for role, address in sorted(contracts):
        addresses[role].append(address)
    return parse_profile(text, f"the stored profile {name}").compile(addresses)
