"""The wait for a provider at the start of `certindex run`, and how metrics and the database report it."""

import logging
import time
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop, failure_text
from indexer.store.checkpoint import write_failure
from indexer.store.lease import Lease
from indexer.stored_chain import find_chain
from schema.program.logs import log_event

log = logging.getLogger("certindex")


class StartupFailure:
    """Why the start has not succeeded yet, while no provider answers.

    `chain_id` is None until the settings or the database name it. `since` (seconds of Unix time) and `error` are of the
    attempts that failed. `reason_not_stored` is why the database does not hold the failure; empty once
    it does.
    """

    def __init__(self, engine: Engine, chain_id: int | None) -> None:
        self.engine = engine
        self.chain_id = chain_id
        with suppress(Stop, DBAPIError):
            self.chain_id = find_chain(engine, chain_id)
        self.since: int | None = None
        self.error = ""
        self.reason_not_stored = "not tried yet"
        self._configured_chain = chain_id
        self._lease: Lease | None = None

    def failed(self, error: str) -> None:
        """Notes a failed attempt, also in the database unless another indexer writes the chain."""
        self.since = int(time.time()) if self.since is None else self.since
        self.error = error
        reason = self._store(error)
        if reason not in ("", self.reason_not_stored):
            log_event(log, logging.WARNING, "failure not stored", ", so that readers do not see it: {reason}", reason)
        self.reason_not_stored = reason

    def _store(self, error: str) -> str:
        """Writes the failure into the chain's row. Returns why that was not possible, or an empty string."""
        try:
            self.chain_id = find_chain(self.engine, self._configured_chain)
            # one lease for all attempts: a holder on another machine is dead when its beat stands still between them
            self._lease = self._lease or Lease(self.engine, self.chain_id)
            if (holder := self._lease.try_acquire()) is not None:
                return f"{holder.writer} writes chain {self.chain_id}, or did so until a moment ago"
            with self.engine.begin() as connection:
                write_failure(connection, self.chain_id, self._lease.epoch, error, stopped=False)
            self._lease.release()  # the first indexer that has a provider may write
        except Stop as stop:
            return str(stop)
        except DBAPIError as database_error:
            return failure_text(database_error)
        return ""
