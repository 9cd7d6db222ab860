"""Serves the web application inside the indexer (`certindex run --serve`)."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from prometheus_client.registry import Collector

from api.server import Server, address_of, listen, metrics_of, server_config
from api.settings import Settings
from api.supervisor import Supervisor
from schema.program.logs import log_event
from schema.program.settings import read_settings

log = logging.getLogger("certindex.api")


class EmbeddedServer(Server):
    """A server inside another process, which handles the signals."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, drain_seconds: float) -> None:
        super().__init__(config, drain_seconds)
        self._listener = listener

    @property
    def metrics(self) -> Collector:
        """The metrics of the application."""
        return metrics_of(self.config)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        log_event(log, logging.INFO, "serving", " {address}", address_of(self._listener))
        await super().serve(sockets or [self._listener])

    def stop(self) -> None:
        """Ends `serve()`."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def embedded_server(
    database_url: str, database_pooler: str, host: str, port: int, workers: str | None
) -> EmbeddedServer | Supervisor:
    """Returns a server for `await server.serve()`, until `server.stop()`. Other settings come from the environment.

    Raises SettingsError if it cannot listen.
    """
    values = {"DATABASE_URL": database_url, "DATABASE_POOLER": database_pooler, "HOST": host, "PORT": str(port)}
    if workers is not None:
        values["WORKERS"] = workers
    settings = replace(read_settings(Settings, None, os.environ | values), database_url=database_url)
    if settings.workers == 1:
        return EmbeddedServer(server_config(settings), listen(host, port), settings.drain_seconds)
    return Supervisor(settings, listen(host, port), handles_signals=False)
