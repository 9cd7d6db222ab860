"""Chains of a test's own, and the API that reads them."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.api.asking import Api, asking
from tests.support.api.feeding import Moving
from tests.support.index.indexing import Indexer, engine_of


@pytest.fixture
def moving(database_url: str) -> Iterator[Moving]:
    chain = Moving(database_url)
    yield chain
    chain.close()


@pytest.fixture
def new_indexer(database_url: str) -> Iterator[Callable[..., Indexer]]:
    """Makes the indexer of a node: `new_indexer(node, profile=..., contracts=...)`."""
    with engine_of(database_url) as engine:
        yield partial(Indexer, engine)


@pytest.fixture
def own_api(database_url: str) -> Iterator[Api]:
    """The API of the database that the test's own chain is indexed in."""
    with asking(database_url) as api:
        yield api
