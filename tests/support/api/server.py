"""The API over real HTTP, on a free port, in a thread of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import sleep

import httpx
import uvicorn

from api.serving import server_config
from api.settings import Settings

CLIENT = httpx.Client(timeout=60)
"""Waits longer than httpx does unasked: the machine may be busy."""


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve until the block ends; gives the address, without a slash at its end."""
    server = uvicorn.Server(server_config(settings, port=0, log_level="error"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server ended before it had started")
        sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        if thread.is_alive():
            raise RuntimeError("the server did not stop")
