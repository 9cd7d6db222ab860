"""How uvicorn serves the web application: its configuration, and the socket that it listens on."""

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from api.http.draining import DrainedWebSocket
from api.http.head_bounds import BoundedProtocol
from api.settings import Settings
from schema.program.settings import SettingsError

GRACE_SECONDS = 2
"""How much longer than MAX_SECONDS open requests may go on at shutdown: a download may take hours."""

FORCED_SECONDS = 1
"""How long the application may take to end after a second signal."""

STUCK_MILLISECONDS = 60_000
"""After so long without an acknowledgment from the client, the kernel closes the connection."""


GARBAGE = 50_000
"""New objects after which Python collects cycles. One request holds thousands of objects and leaves no cycles."""


def metrics_of(config: uvicorn.Config) -> Collector:
    """Returns the metrics of the application that a configuration serves."""
    app: Any = config.app
    metrics: Collector = app.state.metrics
    return metrics


def server_config(settings: Settings, app: Callable[[], ASGIApp] | None = None, **options: Any) -> uvicorn.Config:
    """Returns the configuration of uvicorn; `app` makes the application in a process of its own.

    Raises DatabaseError for a URL that can never work.
    """
    if app is None:
        from api.app import create_app  # slow to import: the supervisor of workers needs none of it

    return uvicorn.Config(
        app or create_app(settings),
        factory=app is not None,
        **{
            "log_level": "warning",
            "log_config": None,  # the process logs in one format
            "access_log": False,
            "http": BoundedProtocol,
            "ws": DrainedWebSocket,
            # headers of other peers are ignored: any client could send them
            "proxy_headers": settings.trusted_proxies is not None,
            "forwarded_allow_ips": settings.trusted_proxies,
            "ws_max_size": settings.max_body_bytes,
            # a compressor takes 300 kB per connection
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": int(settings.max_seconds) + GRACE_SECONDS,
            **options,
        },
    )


class Server(uvicorn.Server):
    """A server that goes on answering for `drain_seconds` when it is to stop, while it is not ready."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True  # for SIGTERM too; and uvicorn would raise two signals again, the second as an error
        else:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state["drain"].begin()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                while not self.force_exit:  # noqa: ASYNC110  # a second signal sets it
                    await asyncio.sleep(0.1)
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the application as it is, and would log that it is canceled
            with suppress(TimeoutError):
                async with asyncio.timeout(FORCED_SECONDS):
                    await self.lifespan.shutdown()
        await asyncio.sleep(0.01)
        for late in list(self.server_state.connections):  # accepted while the others were closed
            late.transport.abort()
        await asyncio.sleep(0)


def collect_rarely() -> None:
    """Sets up the collection of garbage for a process whose application is complete."""
    gc.freeze()  # the objects of the application live as long as the process: no collection need visit them
    gc.set_threshold(GARBAGE)
    gc.enable()


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
