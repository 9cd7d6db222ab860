"""An indexed development chain, its verifier, and the verification levels in its database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, text

from indexer.commands.sync import sync
from indexer.proof.judge import Judge
from indexer.rpc.providers import Providers
from indexer.settings import Settings
from indexer.store.event_ranges import EventRanges
from indexer.store.verification import VerificationStore
from indexer.store.watch_set import read_watch_set, start_blocks
from indexer.stored_chain import open_database
from indexer.verification.attestation import Anchor, Attested, Attester
from indexer.verification.verifier import Verifier
from indexer.verification.witness import Witness
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import Factory

FINALITY = 64
"""Depth below the head at which a development chain reports blocks as finalized."""


def settings_for(factory: Factory, url: str, **changes: Any) -> Settings:
    defaults: dict[str, Any] = {
        "database_url": url,
        "rpc_urls": (factory.chain.url,),
        "contracts": (("certificate", bytes.fromhex(factory.contract.address[2:])),),
        "looks": 1,
    }
    return Settings(**(defaults | changes))


def index(factory: Factory, url: str) -> None:
    """Makes all blocks of the chain final, and indexes them."""
    factory.chain.mine(FINALITY)
    asyncio.run(sync(settings_for(factory, url)))


class Indexed:
    """An indexed database, and verifiers for it with the providers of a test."""

    def __init__(self, engine: Engine, chain_id: int) -> None:
        self.engine = engine
        self.chain_id = chain_id
        self.levels = VerificationStore(engine, chain_id)

    def verifier(
        self,
        providers: Providers,
        *,
        count: int = 1,
        levels: VerificationStore | None = None,
        trust_bloom: bool = True,
    ) -> Verifier:
        levels = levels or self.levels
        judge = Judge(self.chain_id, self.watched(), form_is_known=levels.knows_headers(), trust_bloom=trust_bloom)
        return Verifier(Witness(providers), judge, levels, providers=count, watched=self.watched)

    def watched(self) -> dict[bytes, int]:
        """Returns from which block on the logs of each contract are stored."""
        with self.engine.begin() as connection:
            return start_blocks(read_watch_set(connection, self.chain_id))

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def level_of_events(self) -> list[int]:
        """Returns the verification level of each block with events, in order."""
        return [row[0] for row in self.rows("SELECT level FROM block WHERE digest IS NOT NULL ORDER BY number")]

    def failures(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT number, cause, reason FROM verification_failure ORDER BY number")


@contextmanager
def indexed(factory: Factory, url: str) -> Iterator[Indexed]:
    settings = settings_for(factory, url)
    with open_database(settings) as (engine, chain_id):
        yield Indexed(engine, chain_id)


async def attest(
    database: Indexed, nodes: Nodes, *, anchor: Anchor | None = None, trust_bloom: bool = True
) -> Attested:
    """Attests all final blocks, up to a stored block or to `anchor`. Raises Unattestable."""
    stored = EventRanges(database.engine, database.chain_id)
    verifier = database.verifier(nodes, count=nodes.count, trust_bloom=trust_bloom)
    attester = Attester(
        Witness(nodes), verifier, stored, database.watched(), providers=nodes.count, trust_bloom=trust_bloom
    )
    last = database.levels.progress().final
    attested, _ = await attester.attest(0, last, anchor or Anchor(*_stored_block(stored, last), "stored"))
    return attested


def _stored_block(stored: EventRanges, last: int) -> tuple[int, bytes]:
    block = stored.hash_at_or_after(last, last + 1_000)
    assert block is not None
    return block
