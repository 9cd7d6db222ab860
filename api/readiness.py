"""Whether answers can be trusted to be fresh: what /readyz says.

Lag is chain time, the head's minus the indexed block's, so a chain that stands still stays ready.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select
from sqlalchemy.exc import DBAPIError

from api.queries import tables
from api.settings import Settings
from schema.database import DatabaseError, check_revision, shown


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready when there is no reason against it. Each reason says what is wrong and, where we know it, the way out."""

    reasons: tuple[str, ...]
    chains: tuple[dict[str, Any], ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reasons


def readiness(engine: Engine, settings: Settings, now: int) -> Readiness:
    """Return the state of the database and of every chain in it. `now` is in unix seconds."""
    try:
        with engine.connect() as connection:
            check_revision(connection)
            chains = connection.execute(CHAINS).all()
    except DatabaseError as error:
        return Readiness((str(error),))
    except DBAPIError as error:
        return Readiness((f"The database {shown(engine)} does not answer: {' '.join(str(error.orig).split())}.",))
    if not chains:
        return Readiness((f"The database {shown(engine)} holds no chain yet: start the indexer (certindex run).",))
    reasons = [reason for chain in chains for reason in _reasons(chain, settings, now)]
    return Readiness(tuple(reasons), tuple(_told(chain) for chain in chains))


CHAIN = tables.chain.c
CHAINS = select(
    CHAIN.chain_id,
    CHAIN.head_number,
    CHAIN.head_time,
    CHAIN.indexed_number,
    CHAIN.indexed_time,
    CHAIN.polled_at,
    CHAIN.backfilled,
).order_by(CHAIN.chain_id)


def _reasons(chain: Row[*tuple[Any, ...]], settings: Settings, now: int) -> Iterator[str]:
    name = f"Chain {chain.chain_id}"
    if not chain.backfilled:
        yield f"{name}: the first backfill is not done: block {chain.indexed_number} of {chain.head_number} is indexed."
    lag = lag_seconds(chain.head_time, chain.indexed_time)
    if lag > settings.max_lag_seconds:
        yield (
            f"{name}: the index lies {lag} s of chain time behind the head, "
            f"more than MAX_LAG_SECONDS={settings.max_lag_seconds}."
        )
    if chain.polled_at is None:
        yield f"{name}: no provider has answered yet."
    elif now - chain.polled_at > settings.poll_stale_seconds:
        yield (
            f"{name}: a provider last answered {now - chain.polled_at} s ago, more than "
            f"POLL_STALE_SECONDS={settings.poll_stale_seconds}: is the indexer running, and does its node answer?"
        )


def lag_seconds(head_time: int | None, indexed_time: int) -> int:
    """Return by how much chain time the index lies behind the head, 0 while the head is unknown."""
    return max(0, (head_time or indexed_time) - indexed_time)


def _told(chain: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "chainId": str(chain.chain_id),
        "head": None if chain.head_number is None else str(chain.head_number),
        "indexed": str(chain.indexed_number),
        "lagSeconds": lag_seconds(chain.head_time, chain.indexed_time),
        "polledAt": chain.polled_at,
        "backfilled": chain.backfilled,
    }
