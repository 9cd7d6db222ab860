"""Serves the web application with uvicorn: alone, or inside the indexer (`certindex run --serve`)."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from prometheus_client.registry import Collector

from api.app import create_app
from api.http.head_bounds import BoundedProtocol
from api.settings import Settings
from schema.program.logs import log_event
from schema.program.settings import SettingsError, read_settings

log = logging.getLogger("certindex.api")

GRACE_SECONDS = 2
"""At shutdown, how long open requests may go on: an event stream never ends by itself."""

STUCK_MILLISECONDS = 60_000
"""After so long without an acknowledgment from the client, the kernel closes the connection."""


class EmbeddedServer(uvicorn.Server):
    """A server inside another process, which handles the signals. Set `should_exit` to end `serve()`."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener

    @property
    def metrics(self) -> Collector:
        """The metrics of the application."""
        return metrics_of(self.config)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        log_event(log, logging.INFO, "serving", " {address}", address_of(self._listener))
        await super().serve(sockets or [self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def embedded_server(database_url: str, host: str, port: int) -> EmbeddedServer:
    """Returns a server for `await server.serve()`. All other settings come from the environment.

    Raises SettingsError if it cannot listen.
    """
    settings = replace(
        read_settings(Settings, None, os.environ | {"DATABASE_URL": database_url, "HOST": host, "PORT": str(port)}),
        database_url=database_url,
    )
    return EmbeddedServer(server_config(settings), listen(host, port))


def metrics_of(config: uvicorn.Config) -> Collector:
    """Returns the metrics of the application that a configuration serves."""
    app: Any = config.app
    metrics: Collector = app.state.metrics
    return metrics


def server_config(settings: Settings, **options: Any) -> uvicorn.Config:
    """Returns the configuration of uvicorn. Raises DatabaseError for a database that can never be used."""
    return uvicorn.Config(
        create_app(settings),
        **{
            "log_level": "warning",
            "log_config": None,  # the process logs in one format
            "access_log": False,
            "http": BoundedProtocol,
            # headers of other peers are ignored: any client could send them
            "proxy_headers": settings.trusted_proxies is not None,
            "forwarded_allow_ips": settings.trusted_proxies,
            "ws_max_size": settings.max_body_bytes,
            # a compressor takes 300 kB per connection
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": GRACE_SECONDS,
            **options,
        },
    )


def listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"HOST={host} PORT={port} cannot be listened on: {error.strerror}. Example: HOST=127.0.0.1 PORT=8001"
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # accepted connections inherit it: otherwise a close would never end for a client that reads nothing
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener


def address_of(listener: socket.socket) -> str:
    """Returns the URL of GraphQL on a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/graphql"
