"""A faulty provider for indexers in processes of their own: a fault proxy in a thread of the test."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

from scripts.processes import Child
from tests.support.chain.fakechain import CERTIFICATE
from tests.support.rpc.faultproxy import FaultProxy, Upstream

ResultT = TypeVar("ResultT")


class Provider:
    """A fault proxy in a thread. `do` changes what it serves between two responses."""

    def __init__(self, upstream: Upstream, *, seed: int = 0, port: int = 0) -> None:
        self.proxy = FaultProxy(upstream, seed=seed, port=port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return self.proxy.url

    def do(self, change: Callable[[], ResultT]) -> ResultT:
        """Runs a change in the proxy's thread, while no response is being made."""

        async def done() -> ResultT:
            return change()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.proxy.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def indexers(database_url: str, **settings: str) -> Iterator[Callable[..., Child]]:
    """Yields a function that starts `certindex run` on a database. The processes end with the block."""
    started: list[Child] = []
    common = {
        "DATABASE_URL": database_url,
        "CONTRACTS": f"certificate=0x{CERTIFICATE.hex()}",
        "POLL_INTERVAL": "0.05",
        "VERIFY": "off",
    }

    def start(*options: str, on_line: Callable[[str], None] = lambda line: None, **more: str) -> Child:
        command = [sys.executable, "-m", "indexer", "run", *options]
        started.append(Child(command, on_line=on_line, environment=os.environ | common | settings | more))
        return started[-1]

    try:
        yield start
    finally:
        for child in started:
            child.kill()
