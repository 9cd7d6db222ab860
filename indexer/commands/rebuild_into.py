"""`certindex rebuild --into`: folds all events again beside the live tables, then switches in one transaction.

Unlike the other modules here it declares no options: `rebuild.py` has its option, and imports it late.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from logging import INFO

from sqlalchemy import Engine

from indexer.commands.command import tune_memory
from indexer.errors import Stop
from indexer.settings import RebuildSettings
from indexer.store.copies import Copy, FileCopy, Moved, SchemaCopy
from indexer.store.copying import Copying, states
from indexer.store.lease import Lease
from indexer.store.timings import Timings
from indexer.stored_chain import StoredChain, find_chain, open_database, read_chain
from indexer.sync.rebuild import Rebuilt, refold
from schema.profile.model import load_profile
from schema.program.logs import log_event
from schema.tables.database import connect, read_only_engine

log = logging.getLogger("certindex")

PAUSE_SECONDS = 0.2
"""Between two tries of the switch."""

REPORT_SECONDS = 10

PATIENCE_SECONDS = 30
"""How long the indexer may be kept from writing by a switch that waits for others."""


def rebuild_into(settings: RebuildSettings, name: str) -> int:
    """Folds the events of all chains into a copy while an indexer goes on, and puts the copy in place."""
    tune_memory()
    began = time.monotonic()
    with open_database(settings) as (engine, _), _open_copy(settings, engine, name) as copy:
        chains = _chains(settings, engine)
        profiles = {chain_id: chain.profile for chain_id, chain in chains.items()}
        existed = copy.open(profiles)
        log_event(log, INFO, "continues" if existed else "begins", " copy={name}", name)
        following = _Following(settings, copy, chains)
        following.catch_up()
        copy.build_indexes()
        copy.equalize(profiles)  # most of it, while an indexer goes on
        following.catch_up()
        stood_still = _switch(engine, copy, chains, following)
    elapsed = time.monotonic() - began
    for chain_id, rebuilt in following.rebuilt.items():
        print(
            f"rebuilt chain={chain_id} events={rebuilt.events} facts={rebuilt.facts} elapsed={elapsed:.2f}s "
            f"writes_stood_still={stood_still:.2f}s"
        )
    return 0


@contextmanager
def _open_copy(settings: RebuildSettings, live: Engine, name: str) -> Iterator[Copy]:
    copy: Copy
    if live.dialect.name == "sqlite":
        copy = FileCopy(live, name)
    else:
        copy = SchemaCopy(live, connect(settings.database_url, pooler=settings.database_pooler), name)
    try:
        yield copy
    finally:
        copy.close()


def _chains(settings: RebuildSettings, engine: Engine) -> dict[int, StoredChain]:
    """Returns all chains of the database, that of the settings with their profile. Raises Stop."""
    with read_only_engine(engine).begin() as connection:
        chains = {state.chain_id: read_chain(engine, state.chain_id) for state in states(connection)}
        unfinished = connection.exec_driver_sql("SELECT chain_id FROM chain WHERE NOT backfilled").scalars().all()
    if unfinished:
        raise Stop(
            f"The first backfill of chain {', '.join(map(str, unfinished))} is not complete: wait until it is, or stop "
            "the indexer and rebuild in place (certindex rebuild)."
        )
    if settings.profile is not None:
        chain_id = find_chain(engine, settings.chain_id)
        chains[chain_id] = chains[chain_id].read_by(load_profile(settings.profile))
    return chains


class _Following:
    """Lets the copy follow the live database. `rebuilt`: the events of each chain that this process has folded."""

    def __init__(self, settings: RebuildSettings, copy: Copy, chains: Mapping[int, StoredChain]) -> None:
        self._settings = settings
        self._copy = copy
        self._chains = chains
        self._reported_at = time.monotonic()
        self.rebuilt = dict.fromkeys(chains, Rebuilt(0, 0))

    def catch_up(self) -> None:
        """Folds the events that the copy does not have."""
        reading = connect(self._settings.database_url, read_only=True, pooler=self._settings.database_pooler)
        try:
            for chain_id, chain in self._chains.items():
                with reading.connect() as live, self._copy.engine.connect() as connection:
                    copied = refold(Copying(live, connection, chain_id, self._report), chain.interpretation, Timings())
                before = self.rebuilt[chain_id]
                self.rebuilt[chain_id] = Rebuilt(before.events + copied.events, before.facts + copied.facts)
        finally:
            reading.dispose()

    def _report(self, block: int) -> None:
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = time.monotonic()
            log_event(log, INFO, "copied", " to block={block}", block)


def _switch(engine: Engine, copy: Copy, chains: Mapping[int, StoredChain], following: _Following) -> float:
    """Takes the place of the indexer until the copy is in place. Returns for how many seconds. Raises Stop."""
    began = time.monotonic()
    with ExitStack() as leases:
        for chain_id in chains:
            leases.enter_context(Lease(engine, chain_id).taken_over())
        for attempt in count():
            with read_only_engine(engine).begin() as connection:
                state = states(connection)
            following.catch_up()
            copy.equalize({chain_id: chain.profile for chain_id, chain in chains.items()})
            try:
                copy.switch(state, attempt)
                break
            except Moved:
                if time.monotonic() - began > PATIENCE_SECONDS:
                    raise Stop(
                        f"The tables could not be switched within {PATIENCE_SECONDS} s: another program uses them "
                        "in a long transaction (a dump, certindex rebuild --check, certindex verify). The copy "
                        f"is kept: when that has ended, run certindex rebuild --into {copy.name} again."
                    ) from None
                time.sleep(PAUSE_SECONDS)
    return time.monotonic() - began
