"""What DIMO's SDKs are judged on: an index of three vehicles, and its `/query` in a process of its own."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.processes import Child, serving_child
from tests.support.chain.fakechain import FakeNode
from tests.support.dimo.logs import index
from tests.support.dimo.vehicles import VEHICLES, permitted, vehicle_chain
from tests.support.index.indexing import engine_of

USERS = 120
"""Accounts with permissions on vehicle 2: more than one page of the SDKs."""


@contextmanager
def serve_identity(folder: Path) -> Iterator[tuple[str, Child]]:
    """Indexes the vehicles into a database in this folder, and serves it. Yields the URL of `/query`, and the API."""
    database = f"sqlite:///{folder / 'dimo.db'}"
    with engine_of(database) as engine:
        asyncio.run(index(engine, _chain()))
    settings = {"DATABASE_URL": database, "HOST": "127.0.0.1", "PORT": "0"}
    with serving_child([sys.executable, "-m", "api"], os.environ | settings) as (url, api):
        yield url.replace("/graphql", "/query"), api


def _chain() -> FakeNode:
    node = vehicle_chain()
    node.mine(*(permitted(VEHICLES, 2, number.to_bytes(20)) for number in range(1, USERS + 1)))
    return node
