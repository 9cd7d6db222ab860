"""The web application inside another process: what `certindex run --serve` finds under the entry point."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from prometheus_client.registry import Collector

from api.app import create_app
from api.protocol import BoundedProtocol
from api.settings import Settings
from schema.settings import read_settings

GRACE_SECONDS = 2


class EmbeddedServer(uvicorn.Server):
    """A server that leaves signals to the process that it lives in. Set `should_exit` to end `serve()`."""

    @property
    def metrics(self) -> Collector:
        """What there is to tell of it."""
        return metrics_of(self.config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def embedded_server(database_url: str, host: str, port: int) -> EmbeddedServer:
    """Returns a server for `await server.serve()`; all but what is given comes from the environment."""
    settings = replace(
        read_settings(Settings, None, os.environ | {"DATABASE_URL": database_url, "HOST": host, "PORT": str(port)}),
        database_url=database_url,
    )
    return EmbeddedServer(server_config(settings, host=host, port=port))


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
