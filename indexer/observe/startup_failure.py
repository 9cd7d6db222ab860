"""The wait for a provider at the start of `certindex run`: what operators and readers are told of it meanwhile."""

import logging
import time
from contextlib import suppress

from msgspec import Struct
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop, failure_text
from indexer.opening import find_chain
from indexer.store.checkpoint import write_failure
from indexer.store.lease import Lease
from schema.program.logs import tell

log = logging.getLogger("certindex")


class Failure(Struct, frozen=True):
    """Since when (seconds of Unix time), and why, the start fails."""

    since: int
    error: str


class Waiting:
    """What is known while no provider is of use. `chain_id` is None while settings and database leave it open.

    `untold` is why the database does not say that we wait; empty where it does.
    """

    def __init__(self, engine: Engine, chain_id: int | None) -> None:
        self.engine = engine
        self.chain_id = chain_id
        with suppress(Stop, DBAPIError):
            self.chain_id = find_chain(engine, chain_id)
        self.failure: Failure | None = None
        self.untold = "not tried yet"
        self._wanted = chain_id
        self._lease: Lease | None = None

    def failed(self, error: str) -> None:
        """Notes one more attempt in vain, for readers of the database too unless another indexer writes the chain."""
        self.failure = Failure(int(time.time()) if self.failure is None else self.failure.since, error)
        untold = self._tell_readers(error)
        if untold not in ("", self.untold):
            tell(
                log, logging.WARNING, "readers are not told", " that a provider is waited for: {reason}", reason=untold
            )
        self.untold = untold

    def _tell_readers(self, error: str) -> str:
        try:
            self.chain_id = find_chain(self.engine, self._wanted)
            # one lease for all attempts: a holder on another machine is dead when its beat stands still between them
            self._lease = self._lease or Lease(self.engine, self.chain_id)
            if (holder := self._lease.try_acquire()) is not None:
                return f"{holder.writer} writes chain {self.chain_id}, or did so until a moment ago"
            with self.engine.begin() as connection:
                write_failure(connection, self.chain_id, self._lease.epoch, error, stopped=False)
            self._lease.release()  # to whoever has a provider
        except Stop as stop:
            return str(stop)
        except DBAPIError as failed:
            return failure_text(failed)
        return ""
