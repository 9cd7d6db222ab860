"""How far each network is indexed, and what is watched in it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from api.queries.sql import tables
from api.queries.sql.prepared import fetch
from schema.events import Kind
from schema.vocabulary import VerificationLevel

CHAINS = select(tables.chain).order_by(tables.chain.c.chain_id)
LOGS = {tables.disagreement.c.logs, tables.disagreement.c.other_logs}


def chains(connection: Connection) -> Mapping[int, Row[Any]]:
    """Returns the row of each network by its id."""
    return {row.chain_id: row for row in fetch(connection, CHAINS, {})}


def contracts(connection: Connection) -> Mapping[int, tuple[Row[Any], ...]]:
    """Returns what is watched in each network, by role and address."""
    columns = tables.contract.c
    found: dict[int, tuple[Row[Any], ...]] = {}
    for row in connection.execute(select(tables.contract).order_by(columns.chain_id, columns.role, columns.address)):
        found[row.chain_id] = (*found.get(row.chain_id, ()), row)
    return found


class Tally(NamedTuple):
    """What is counted of a network when it is asked for. `verified_through` None: not even the first block."""

    undecodable_events: int
    orphaned_blocks: int
    disagreements: int
    verified_through: int | None


def tallies(connection: Connection) -> Mapping[int, Tally]:
    """Returns the counts of each network by its id."""
    chain = tables.chain.c
    event, orphan, block = tables.event.c, tables.orphaned_block.c, tables.block.c
    undecodable = select(func.count()).where(event.chain_id == chain.chain_id, event.kind == Kind.UNDECODABLE)
    disagreement = tables.disagreement.c
    disagreements = select(func.count()).where(disagreement.chain_id == chain.chain_id)
    orphaned = select(func.count()).where(orphan.chain_id == chain.chain_id)
    # a block with events that is verified less: all before it are verified
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
        row.chain_id: Tally(
            row.undecodable, row.orphaned, row.disagreements, _through(row.indexed_number, row.unverified)
        )
        for row in rows
    }


def disagreements(connection: Connection, limit: int) -> Mapping[int, tuple[Row[Any], ...]]:
    """Returns the newest disagreements of each network by its id, without the logs."""
    columns = tables.disagreement.c
    newest = func.max(columns.disagreement_no).over(partition_by=columns.chain_id)
    ranked = select(*(column for column in columns if column not in LOGS), newest.label("newest")).subquery()
    rows = connection.execute(
        select(ranked)
        .where(ranked.c.disagreement_no > ranked.c.newest - limit)
        .order_by(ranked.c.chain_id, ranked.c.disagreement_no.desc())
    )
    found: dict[int, tuple[Row[Any], ...]] = {}
    for row in rows:
        found[row.chain_id] = (*found.get(row.chain_id, ()), row)
    return found


def _through(indexed: int, unverified: int | None) -> int | None:
    through = indexed if unverified is None else unverified - 1
    return through if through >= 0 else None
