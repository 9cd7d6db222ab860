"""Chains: how far each is indexed, its watched contracts, its counts and its disagreements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from api.queries.sql import tables
from api.queries.sql.prepared import fetch
from schema.events import Kind
from schema.tables.values import MAX_BLOCK_NUMBER, end_of_block
from schema.vocabulary import VerificationLevel

CHAINS = select(tables.chain).order_by(tables.chain.c.chain_id)
LOGS = {tables.disagreement.c.logs, tables.disagreement.c.other_logs}


def chains(connection: Connection) -> Mapping[int, Row[Any]]:
    """Returns the row of each chain by its id."""
    return {row.chain_id: row for row in fetch(connection, CHAINS, {})}


def confirmed_position(connection: Connection, chain_id: int, tag: str) -> int:
    """Returns the last position of the chain's finalized or safe block, -1 if none is known."""
    number = getattr(chains(connection)[chain_id], f"{tag}_number")
    return -1 if number is None else end_of_block(min(number, MAX_BLOCK_NUMBER))


def contracts(connection: Connection) -> Mapping[int, tuple[Row[Any], ...]]:
    """Returns the watched contracts of each chain, by role and address."""
    columns = tables.contract.c
    query = select(tables.contract).order_by(columns.chain_id, columns.role, columns.address)
    return _by_chain(connection.execute(query))


class ChainCounts(NamedTuple):
    """Counts of a chain's rows, and the last block up to which all events are verified, None if there is none."""

    undecodable_events: int
    orphaned_blocks: int
    disagreements: int
    verified_through: int | None


def chain_counts(connection: Connection) -> Mapping[int, ChainCounts]:
    """Returns the counts of each chain by its id."""
    chain = tables.chain.c
    event, orphan, block = tables.event.c, tables.orphaned_block.c, tables.block.c
    undecodable = select(func.count()).where(event.chain_id == chain.chain_id, event.kind == Kind.UNDECODABLE)
    disagreement = tables.disagreement.c
    disagreements = select(func.count()).where(disagreement.chain_id == chain.chain_id)
    orphaned = select(func.count()).where(orphan.chain_id == chain.chain_id)
    # the first block with events that is not verified: all before it are
    unverified = select(func.min(block.number)).where(
        block.chain_id == chain.chain_id, block.digest.is_not(None), block.level < int(VerificationLevel.RECEIPTS)
    )
    rows = connection.execute(
        select(
            chain.chain_id,
            chain.indexed_number,
            undecodable.correlate(tables.chain).scalar_subquery().label("undecodable"),
            orphaned.correlate(tables.chain).scalar_subquery().label("orphaned"),
            disagreements.correlate(tables.chain).scalar_subquery().label("disagreements"),
            unverified.correlate(tables.chain).scalar_subquery().label("unverified"),
        )
    )
    return {
        row.chain_id: ChainCounts(
            row.undecodable, row.orphaned, row.disagreements, _verified_through(row.indexed_number, row.unverified)
        )
        for row in rows
    }


def _verified_through(indexed: int, unverified: int | None) -> int | None:
    through = indexed if unverified is None else unverified - 1
    return through if through >= 0 else None


def disagreements(connection: Connection, limit: int) -> Mapping[int, tuple[Row[Any], ...]]:
    """Returns the newest disagreements of each chain by its id, without their logs."""
    columns = tables.disagreement.c
    newest = func.max(columns.disagreement_no).over(partition_by=columns.chain_id)
    ranked = select(*(column for column in columns if column not in LOGS), newest.label("newest")).subquery()
    query = (
        select(ranked)
        .where(ranked.c.disagreement_no > ranked.c.newest - limit)
        .order_by(ranked.c.chain_id, ranked.c.disagreement_no.desc())
    )
    return _by_chain(connection.execute(query))


def standbys(connection: Connection, since: int) -> Mapping[int, list[str]]:
    """Returns the names of the indexers that stand by for each chain, with a heartbeat at or after `since`."""
    columns = tables.standby.c
    query = select(columns.chain_id, columns.name).where(columns.seen_at >= since)
    names: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(query.order_by(columns.since, columns.name)):
        names[row.chain_id].append(row.name)
    return names


def _by_chain(rows: Iterable[Row[Any]]) -> Mapping[int, tuple[Row[Any], ...]]:
    by_chain: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_chain[row.chain_id].append(row)
    return {chain_id: tuple(rows) for chain_id, rows in by_chain.items()}
