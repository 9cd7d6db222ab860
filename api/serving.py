"""How the web application is served, alone or inside another process: `certindex run --serve` finds it here."""

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
from schema.program.logs import tell
from schema.program.settings import SettingsError, read_settings

log = logging.getLogger("certindex.api")

GRACE_SECONDS = 2
STUCK_MILLISECONDS = 60_000


class EmbeddedServer(uvicorn.Server):
    """A server that leaves signals to the process that it lives in. Set `should_exit` to end `serve()`."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener

    @property
    def metrics(self) -> Collector:
        """What there is to tell of it."""
        return metrics_of(self.config)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        tell(log, logging.INFO, "serving", " {address}", address=address_of(self._listener))
        await super().serve(sockets or [self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def embedded_server(database_url: str, host: str, port: int) -> EmbeddedServer:
    """Returns a server for `await server.serve()`; all but what is given comes from the environment.

    Raises SettingsError where it cannot listen.
    """
    settings = replace(
        read_settings(Settings, None, os.environ | {"DATABASE_URL": database_url, "HOST": host, "PORT": str(port)}),
        database_url=database_url,
    )
    return EmbeddedServer(server_config(settings), listen(host, port))


def metrics_of(config: uvicorn.Config) -> Collector:
    """Returns the metrics of the application that is served so."""
    app: Any = config.app
    found: Collector = app.state.metrics
    return found


def server_config(settings: Settings, **options: Any) -> uvicorn.Config:
    """Returns how the application is served. Raises DatabaseError for a URL that can never work."""
    return uvicorn.Config(
        create_app(settings),
        **{
            "log_level": "warning",
            "log_config": None,  # what this process logs, it logs in one format
            "access_log": False,
            "http": BoundedProtocol,
            # none is believed unasked: whoever connects could name himself
            "proxy_headers": settings.trusted_proxies is not None,
            "forwarded_allow_ips": settings.trusted_proxies,
            "ws_max_size": settings.max_body_bytes,
            # a compressor takes 300 kB a connection
            "ws_per_message_deflate": False,
            # an event stream never ends by itself
            "timeout_graceful_shutdown": GRACE_SECONDS,
            **options,
        },
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"HOST={host} PORT={port} cannot be listened on: {error.strerror}. Example: HOST=127.0.0.1 PORT=8001"
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # connections inherit it: one whose client reads nothing is not kept for ever behind a close
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL that a listening socket serves GraphQL on."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/graphql"
