"""The real step on a real database against a fake node, and what the tables hold afterwards."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Engine, event, text

from indexer.chain.chain import Chain
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, register
from indexer.sync.interpretation import interpret
from indexer.sync.rebuild import rebuild
from indexer.sync.step import Ahead, Outcome, Pace, UpToDate, step
from schema.profile.model import Profile, load_profile
from schema.tables.database import connect, migrate
from schema.tables.kinds import DERIVED
from schema.tables.tables import Chain as ChainTable
from tests.support.chain.fakechain import CERTIFICATE, FakeNode

REFERENCE = load_profile("device-certificate")
REFERENCE_CONTRACTS = (WatchedContract("certificate", CERTIFICATE, 0, True),)
Tables = dict[str, list[dict[str, Any]]]

MANY_STEPS = 1_000

COMPARED = ("block", "contract", "event", *DERIVED)
NOT_COMPARED = {"level"}
"""Levels state how a row was checked, not what the chain contains."""

CHECKPOINT = """indexed_number, indexed_hash, indexed_time, digest, digest_number, finalized_number, finalized_hash,
    finalized_time, safe_number, backfilled"""


class Indexer:
    """One chain of a database, indexed from a node by as many lives of an indexer as a test wants."""

    def __init__(
        self,
        engine: Engine,
        node: FakeNode,
        *,
        profile: Profile = REFERENCE,
        contracts: Sequence[WatchedContract] = REFERENCE_CONTRACTS,
        pace: Pace | None = None,
        concurrency: int = 8,
    ) -> None:
        self.engine = engine
        self.node = node
        self.profile = profile
        self.contracts = contracts
        self.pace = pace or Pace()
        self.concurrency = concurrency
        with engine.begin() as connection:
            register(connection, node.chain_id, profile, contracts)
        self.begin_life()

    def begin_life(self) -> None:
        """Begins as a new process does: nothing is known but what the database holds."""
        self.lease = Lease(self.engine, self.node.chain_id)
        assert self.lease.try_acquire() is None, "another indexer lives"
        self.store = Store(self.engine, self.node.chain_id, self.lease.epoch)
        self.pace.prefetch.forget()
        self.interpretation = interpret(self.profile, self.contracts)
        addresses = {contract.address for contract in self.contracts}
        self.chain = Chain(self.node, addresses, finality_depth=self.node.finality, concurrency=self.concurrency)

    def restart(self) -> None:
        """Ends this life, as if the process were gone, and begin the next."""
        self.lease.release()
        self.begin_life()

    async def step(self) -> Outcome:
        return await step(self.chain, self.store, self.interpretation, self.pace)

    async def catch_up(self) -> list[Outcome]:
        """Steps until nothing is new, and returns what was done."""
        outcomes: list[Outcome] = []
        while len(outcomes) < MANY_STEPS:
            outcomes.append(await self.step())
            if isinstance(outcomes[-1], UpToDate | Ahead):
                return outcomes
        raise AssertionError(f"no end after {MANY_STEPS} steps: {outcomes[-3:]}")

    def rebuild(self) -> None:
        rebuild(self.store, self.store.checkpoint(), self.interpretation)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return read_tables(self.engine, self.node.chain_id)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_table(self.engine, self.node.chain_id, table)


def open_engine(database_url: str) -> Engine:
    """Returns the engine of an empty database with its tables. What survives a power cut is no subject here."""
    engine = connect(database_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    migrate(engine)
    return engine


class Engines(NamedTuple):
    """A database whose chain lives, and one for an index of its end from the start."""

    live: Engine
    fresh: Engine


@contextmanager
def engine_of(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def read_tables(engine: Engine, chain_id: int) -> dict[str, list[dict[str, Any]]]:
    """Returns all that must be equal however a chain was indexed: truth, derived rows and the checkpoint."""
    rows = {table: read_table(engine, chain_id, table) for table in COMPARED}
    with engine.begin() as connection:
        statement = text(f"SELECT {CHECKPOINT} FROM chain WHERE chain_id = :chain_id")
        row = connection.execute(statement, {"chain_id": chain_id}).mappings().one()
    return rows | {"chain": [_plain(row)]}


def read_table(engine: Engine, chain_id: int, table: str) -> list[dict[str, Any]]:
    """Returns a chain's rows in the order of their key."""
    described = ChainTable.metadata.tables[table]
    names = [column.name for column in described.columns if column.name not in NOT_COMPARED]
    key = ", ".join(column.name for column in described.primary_key.columns)
    statement = text(f'SELECT {", ".join(names)} FROM "{table}" WHERE chain_id = :chain_id ORDER BY {key}')
    with engine.begin() as connection:
        return [_plain(row) for row in connection.execute(statement, {"chain_id": chain_id}).mappings()]


def index_afresh(engine: Engine, node: FakeNode, **how: Any) -> dict[str, list[dict[str, Any]]]:
    """Returns the tables of a new index of the chain as it is now."""

    async def run() -> dict[str, list[dict[str, Any]]]:
        indexer = Indexer(engine, node, **how)
        await indexer.catch_up()
        return indexer.tables()

    return asyncio.run(run())


def _plain(row: Any) -> dict[str, Any]:
    # SQLite has no booleans, and PostgreSQL's binary values may come as memory
    return {
        name: int(value) if isinstance(value, bool) else bytes(value) if isinstance(value, memoryview) else value
        for name, value in row.items()
    }
