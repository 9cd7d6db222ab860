"""Which of several PostgreSQL servers that take writes is the primary: the one on the newest timeline.

Each promotion of a standby begins a timeline. A former primary that comes back after a failover may take writes on the
older one, and would lose them. A writer remembers the newest timeline that it has seen, and leaves older ones alone.

A manager of a cluster may give up a timeline that has just begun. The older one counts again if all hosts of a list
answer and none is on a newer one, or if a proxy leads there for a minute.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from psycopg import Error
from psycopg import OperationalError as DriverError
from sqlalchemy import Connection
from sqlalchemy.exc import DisconnectionError, OperationalError

Parameters = dict[str, Any]
Connect = Callable[[Parameters], Any]

QUERY = """SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END FROM pg_control_system()"""

COMPARING_SECONDS = 2
"""How long each host of a list is tried when all of them are compared."""


DECIDED_SECONDS = 60.0
"""How long a proxy leads to an older timeline until that counts as the decision of those who run it."""


class Timeline(NamedTuple):
    """A timeline of a database system. `number` is 0 for a standby, `system` for a service that hides both."""

    system: int
    number: int


HIDDEN = Timeline(0, 0)


class NewestTimeline:
    """The newest timeline of each system that this process has seen. Refuses connections to older ones."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._hosts = list(_single_hosts(parameters))
        self._newest: dict[int, int] = {}
        self._refused_since: float | None = None

    def connect(self, connect: Connect, info: dict[str, Any]) -> Any:
        """Returns a connection, with its timeline in `info`. Raises psycopg.OperationalError.

        Of a list, libpq connects to the first host that takes writes. At first, and if that one is older, all are
        compared.
        """
        is_first = not self._newest
        connection, timeline = _open(connect, self._parameters)
        if len(self._hosts) > 1 and timeline.number and (is_first or self._is_older(timeline)):
            connection, timeline, is_complete = self._newest_of(connect, connection, timeline)
            if is_complete and timeline.number:
                self._newest[timeline.system] = timeline.number
        try:
            self._note(timeline)
        except DriverError:
            connection.close()
            raise
        info["timeline"] = timeline
        return connection

    def check_out(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """Makes the pool replace a connection to a former primary."""
        if self._is_older(record.info["timeline"]):
            raise DisconnectionError

    def check_transaction(self, connection: Connection) -> None:
        """Raises OperationalError in a transaction that a pooler has given to a former primary."""
        driver: Any = connection.connection.driver_connection
        if driver.prepare_threshold is not None or connection.info["timeline"] == HIDDEN:
            return
        try:
            self._note(Timeline(*driver.execute(QUERY).fetchone()))
        except DriverError as error:
            connection.invalidate()
            raise OperationalError(QUERY, None, error) from error

    def _note(self, timeline: Timeline) -> None:
        if self._is_older(timeline) and not self._is_decided():
            raise DriverError(
                f"the server is a former primary: it writes timeline {timeline.number}, and timeline "
                f"{self._newest[timeline.system]} has begun. Nothing is written to it. Stop it, or make it a standby "
                "(pg_rewind)"
            )
        self._refused_since = None
        self._newest[timeline.system] = timeline.number or self._newest.get(timeline.system, 0)

    def _is_decided(self) -> bool:
        """Returns whether the only host, a proxy, has led to an older timeline for long enough."""
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        return len(self._hosts) == 1 and now - self._refused_since >= DECIDED_SECONDS

    def _is_older(self, timeline: Timeline) -> bool:
        return 0 < timeline.number < self._newest.get(timeline.system, 0)

    def _newest_of(self, connect: Connect, connection: Any, timeline: Timeline) -> tuple[Any, Timeline, bool]:
        """Returns the connection to the newest timeline of all hosts, or this one, and whether all hosts answered."""
        answered = 0
        for host in self._hosts:
            with suppress(DriverError):
                other, newer = _open(connect, host)
                if newer.system == timeline.system and newer.number > timeline.number:
                    connection, other, timeline = other, connection, newer
                other.close()
                answered += 1
        return connection, timeline, answered == len(self._hosts)


def _open(connect: Connect, parameters: Parameters) -> tuple[Any, Timeline]:
    """Returns a connection and the timeline of its server."""
    connection, timeline = connect(parameters), HIDDEN
    try:
        with suppress(Error):
            timeline = Timeline(*connection.execute(QUERY).fetchone())
        connection.rollback()
    except DriverError:
        connection.close()
        raise
    return connection, timeline


def _single_hosts(parameters: Parameters) -> Iterator[Parameters]:
    """Returns the parameters of each host of a list."""
    lists = {name: str(parameters[name]).split(",") for name in ("host", "hostaddr", "port") if parameters.get(name)}
    for index in range(max(map(len, lists.values()), default=1)):
        one = {name: values[min(index, len(values) - 1)] for name, values in lists.items()}
        yield parameters | one | {"connect_timeout": COMPARING_SECONDS, "target_session_attrs": "any"}
