"""The API over HTTP, on a free port, in a thread of the test."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from time import sleep
from typing import Any

import httpx

from api.server import Server, server_config
from api.settings import Settings
from tests.support.index.history import CHAIN_ID, History, log

CLIENT = httpx.Client(timeout=120)
"""Waits longer than httpx does by default: the machine may be busy."""
MAX_SECONDS = 40
"""Of a request, in place of the default: so may the server."""


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serves until the block ends. Yields the address, without a slash at its end."""
    if settings.max_seconds == Settings(database_url=settings.database_url).max_seconds:
        settings = replace(settings, max_seconds=MAX_SECONDS)
    server, thread = _start(settings)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=120)
        if thread.is_alive():
            raise RuntimeError("the server did not stop")


def _start(settings: Settings) -> tuple[Server, Thread]:
    """Starts a server as the program does: without the garbage collector, until it has started."""
    gc.disable()
    try:
        server = Server(server_config(settings, port=0, log_level="error"), settings.drain_seconds)
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server ended before it had started")
            sleep(0.01)
    finally:
        gc.enable()
    return server, thread


GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
MAKER = "0x" + "aa" * 20
DEVICE = "0x" + "bb" * 20
HASH = bytes(32)


def with_one_device(database_url: str, *, chain_id: int = CHAIN_ID) -> str:
    """Indexes one device in a database, and returns its URL."""
    history = History(database_url, chain_id=chain_id)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
        log("CertificateMinted", 7, DEVICE, 1, 10, "SN-7", "356938035643809", 1_600_000_000, "1.0.0"),
    )
    history.close()
    return database_url


def post(url: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.post(url, content=content, headers={"content-type": JSON, "accept": GRAPHQL_RESPONSE, **headers})


def code(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])
