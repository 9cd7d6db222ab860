"""An index of devices with awkward values, and a reorg among them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.chain.awkward import licenses, life
from tests.support.chain.fakechain import FakeNode
from tests.support.index.indexing import Indexer, engine_of


@contextmanager
def awkward_fleet(url: str) -> Iterator[Indexer]:
    """Indexes devices of the reference contract with texts, numbers and times of every kind, and a reorg."""
    node = FakeNode(chain_id=1, finality=2)
    with engine_of(url) as engine:
        indexer = Indexer(engine, node)
        node.mine(*licenses())
        for token in range(1, 40):
            node.mine(*life(token))
        asyncio.run(indexer.catch_up())
        node.reorg(2, life(41), life(42))
        node.mine()
        asyncio.run(indexer.catch_up())
        yield indexer
        indexer.lease.release()
