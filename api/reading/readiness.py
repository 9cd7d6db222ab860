"""Readiness: whether the index is complete and fresh, as /readyz reports it.

Lag is chain time, the timestamp of the head minus that of the newest indexed block: a chain without new blocks stays
ready.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, bindparam, select
from sqlalchemy.exc import DBAPIError

from api.queries.sql import tables
from api.reading.profile_readers import chains_to_rebuild
from api.reading.replica import read_replica
from schema.tables.database import DatabaseError, check_revision, database_name, unusable
from schema.tables.notices import STANDBY_SECONDS, blocks_to_start, rebuild_text, waiting_text


@dataclass(frozen=True, slots=True)
class Freshness:
    """When a network counts as fresh: seconds of chain time behind the head, and seconds since a provider answered."""

    max_lag_seconds: int = 300
    poll_stale_seconds: int = 120


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready if there are no `reasons` against it. A reason states what is wrong and, if it is known, the way out.

    `notes` state what an operator has to do while the service is ready.
    """

    reasons: tuple[str, ...]
    chains: tuple[dict[str, Any], ...] = ()
    replica: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def readiness(engine: Engine, freshness: Freshness, now: int) -> Readiness:
    """Returns the state of the database and of each chain in it. `now` is in unix seconds."""
    database = f"The database {database_name(engine)}"
    try:
        with engine.connect() as connection:
            check_revision(connection)
            chains = connection.execute(CHAINS).all()
            standbys = connection.execute(STANDBYS, {"recent": now - STANDBY_SECONDS}).all()
            replica = read_replica(connection)
            to_rebuild = chains_to_rebuild(connection)
    except DatabaseError as error:
        return Readiness((str(error),))
    except DBAPIError as error:
        return Readiness((str(unusable(engine, error)),))
    if not chains:
        return Readiness((f"{database} holds no chain yet: start the indexer (certindex run).",))
    reasons = [reason for chain in chains for reason in _reasons(chain, freshness, now)]
    state = None if replica is None else {"replayedAt": replica.replayed_at, "lagSeconds": replica.lag_seconds(now)}
    if reasons and replica is not None:
        reasons.append(f"{database} is a replica, and its newest commit is {replica.lag_seconds(now)} s old.")
    waiting = {chain.chain_id: [row.name for row in standbys if row.chain_id == chain.chain_id] for chain in chains}
    states = (_chain_state(chain, waiting[chain.chain_id], chain.chain_id in to_rebuild) for chain in chains)
    notes = (
        f"Chain {chain.chain_id}: {rebuild_text(chain.profile)}" for chain in chains if chain.chain_id in to_rebuild
    )
    return Readiness(tuple(reasons), tuple(states), state, tuple(notes))


CHAIN = tables.chain.c
CHAINS = select(
    CHAIN.chain_id,
    CHAIN.profile,
    CHAIN.head_number,
    CHAIN.head_time,
    CHAIN.indexed_number,
    CHAIN.indexed_hash,
    CHAIN.indexed_time,
    CHAIN.polled_at,
    CHAIN.backfilled,
    CHAIN.writer,
    CHAIN.failing_since,
    CHAIN.last_error,
    CHAIN.stopped,
).order_by(CHAIN.chain_id)
STANDBY = tables.standby.c
STANDBYS = (
    select(STANDBY.chain_id, STANDBY.name)
    .where(STANDBY.seen_at >= bindparam("recent"))
    .order_by(STANDBY.since, STANDBY.name)
)


def _progress(indexed: int, head: int | None) -> str:
    return "no provider has returned the head yet." if head is None else f"block {indexed} of {head} is indexed."


def _reasons(chain: Row[*tuple[Any, ...]], freshness: Freshness, now: int) -> Iterator[str]:
    name = f"Chain {chain.chain_id}"
    lag = lag_seconds(chain.head_time, chain.indexed_time)
    if is_waiting(chain):
        yield f"{name}: {waiting_text(chain.indexed_number, chain.head_number)}."
    elif not chain.backfilled:
        yield f"{name}: the first backfill is not complete: {_progress(chain.indexed_number, chain.head_number)}"
    if lag > freshness.max_lag_seconds and not is_waiting(chain):
        yield (
            f"{name}: the index lags {lag} s of chain time behind the head, "
            f"more than MAX_LAG_SECONDS={freshness.max_lag_seconds}."
        )
    if chain.stopped:
        yield f"{name}: indexing stopped at block {_failing_block(chain)} until an operator decides: {chain.last_error}"
    elif chain.failing_since is not None and now - chain.failing_since > freshness.poll_stale_seconds:
        yield (
            f"{name}: block {_failing_block(chain)} could not be indexed for {now - chain.failing_since} s, more than "
            f"POLL_STALE_SECONDS={freshness.poll_stale_seconds}: {chain.last_error}"
        )
    if chain.polled_at is None:
        yield f"{name}: no provider has answered yet."
    elif now - chain.polled_at > freshness.poll_stale_seconds:
        yield (
            f"{name}: a provider last answered {now - chain.polled_at} s ago, more than "
            f"POLL_STALE_SECONDS={freshness.poll_stale_seconds}: is the indexer running, and does its node answer?"
        )


def is_waiting(chain: Row[*tuple[Any, ...]]) -> bool:
    """Returns whether the chain has not reached the first block to index."""
    return blocks_to_start(chain.indexed_number, chain.indexed_hash, chain.head_number) > 0


def lag_seconds(head_time: int | None, indexed_time: int) -> int:
    """Returns the seconds of chain time that the index lags behind the head; 0 if the head is unknown."""
    return max(0, (head_time or indexed_time) - indexed_time)


def _chain_state(chain: Row[*tuple[Any, ...]], standbys: list[str], rebuild_due: bool) -> dict[str, Any]:
    return {
        "chainId": str(chain.chain_id),
        "head": None if chain.head_number is None else str(chain.head_number),
        "indexed": str(chain.indexed_number),
        "lagSeconds": lag_seconds(chain.head_time, chain.indexed_time),
        "polledAt": chain.polled_at,
        "backfilled": chain.backfilled,
        "writer": chain.writer,
        "standbys": standbys,
        "failingSince": chain.failing_since,
        "failingBlock": None if chain.failing_since is None else str(_failing_block(chain)),
        "lastError": chain.last_error,
        "stopped": chain.stopped,
        "rebuildDue": rebuild_due,
    }


def _failing_block(chain: Row[*tuple[Any, ...]]) -> int:
    return int(chain.indexed_number) + 1
