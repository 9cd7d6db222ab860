"""A replica of the database: a hot standby of PostgreSQL, which may lag behind the database that the indexer writes."""

from typing import NamedTuple

from sqlalchemy import Connection

QUERY = "SELECT pg_is_in_recovery(), floor(extract(epoch FROM pg_last_xact_replay_timestamp()))::bigint"


class Replica(NamedTuple):
    """`replayed_at`: when the newest transaction of the replica was committed, in unix seconds of the primary.

    An indexer that runs commits at each poll, so that a replica without lag has a recent one.
    """

    replayed_at: int | None

    def lag_seconds(self, now: float) -> int | None:
        """Returns the age of that transaction."""
        return None if self.replayed_at is None else max(0, int(now - self.replayed_at))


def read_replica(connection: Connection) -> Replica | None:
    """Returns the replica that a connection reads, None if it reads the database that the indexer writes."""
    if connection.dialect.name != "postgresql":
        return None
    is_replica, replayed_at = connection.exec_driver_sql(QUERY).one()
    return Replica(replayed_at) if is_replica else None
