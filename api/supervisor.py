"""Several worker processes on one port (WORKERS). uvicorn's supervisor replaces one that dies.

Each worker has its own cache, persisted documents and connections to the database. Over a local socket, it gives its
metrics to the supervisor, and counts for the rate limits in the supervisor's windows. If the supervisor dies, its
workers stop.
"""

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from threading import Lock, Thread
from typing import Any, NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from api.http.windows import Take, Windows
from api.server import address_of, collect_rarely, server_config
from api.settings import Settings
from schema.program.logs import configure, log_event
from schema.program.settings import SettingsError
from schema.tables.database import DatabaseError

log = logging.getLogger("certindex.api")

STUCK_SECONDS = 30
"""A worker that answers no ping of the supervisor for so long is killed and replaced."""

DRAIN_SIGNAL = signal.SIGUSR1
"""Makes a worker not ready before it is stopped."""

SCRAPE_SECONDS = 1.0
"""How long a scrape waits for the metrics of one worker, and goes on without them."""


class Link(NamedTuple):
    """How a worker reaches its supervisor."""

    address: str
    key: bytes

    def connect(self, purpose: str) -> Connection:
        """Returns a connection: METRICS, RATES, or FAILURE, which is followed by its text."""
        try:
            connection = Client(self.address, authkey=self.key)
        except OSError:
            sys.exit("the supervisor has died")
        connection.send(purpose)
        return connection


METRICS, RATES, FAILURE = "metrics", "rates", "failure"


class Supervisor(Multiprocess):
    """Runs the workers until a signal or `stop`. If the first cannot start, `run` raises SettingsError."""

    def __init__(self, settings: Settings, listener: socket.socket, *, handles_signals: bool = True) -> None:
        self._address = address_of(listener)
        self._channel = WorkerChannel()
        self._drain_seconds = settings.drain_seconds
        app = partial(worker_app, settings, self._channel.link)
        config = server_config(settings, app, workers=settings.workers, timeout_worker_healthcheck=STUCK_SECONDS)
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        super().__init__(config, [listener])
        if not handles_signals:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @property
    def metrics(self) -> Collector:
        """The metrics of all workers."""
        return self._channel

    async def serve(self) -> None:
        """Runs the workers from an event loop. Raises SettingsError."""
        await asyncio.to_thread(self.run)

    def terminate_all(self) -> None:
        """Makes all workers not ready, and stops them after DRAIN_SECONDS. Those that SIGHUP replaces stop at once."""
        for process in self.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, DRAIN_SIGNAL)
        self._drain()
        super().terminate_all()

    def _drain(self) -> None:
        """Waits for DRAIN_SECONDS, or until a second signal."""
        end = time.monotonic() + self._drain_seconds
        while time.monotonic() < end and not {signal.SIGINT, signal.SIGTERM} & set(self.signal_queue):
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends `run`, from any thread."""
        self.should_exit.set()

    def run(self) -> None:
        log_event(log, logging.INFO, "serving", " {address}", self._address, workers=self.processes_num)
        super().run()
        self._channel.close()
        if self._channel.failure is not None:
            raise SettingsError(self._channel.failure)

    def init_processes(self) -> None:
        # the first alone: a wrong setting is reported once, and the first response is not delayed by the others
        first = Process(self.config, self.sockets)
        first.start()
        self.processes.append(first)
        first.wait_until_ready(STUCK_SECONDS, self.should_exit)
        while len(self.processes) < self.processes_num and first.exitcode != STARTUP_FAILURE:
            process = Process(self.config, self.sockets)
            process.start()
            self.processes.append(process)

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if old is not new:
                log_event(
                    log,
                    logging.ERROR,
                    "a worker died and was replaced",
                    " {pid}: exit status {exit_status}, now {new_pid}",
                    old.pid,
                    old.exitcode,
                    new.pid,
                )


class WorkerChannel(Collector):
    """The supervisor's end of the connections to its workers. `failure`: why a worker could not start."""

    def __init__(self) -> None:
        key = secrets.token_bytes(32)
        self._listener = Listener(authkey=key)
        self.link = Link(str(self._listener.address), key)
        self.failure: str | None = None
        self._windows: Windows | None = None
        self._workers: list[Connection | None] = []
        self._lock = Lock()
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics of all workers, labeled by the worker's number. One that is replaced starts from 0."""
        families: dict[str, Metric] = {}
        with self._lock:
            for number, connection in enumerate(self._workers):
                for family in self._scrape(number, connection):
                    samples = [
                        sample._replace(labels={**sample.labels, "worker": str(number)}) for sample in family.samples
                    ]
                    family.samples = []
                    families.setdefault(family.name, family).samples.extend(samples)
        return families.values()

    def _scrape(self, number: int, connection: Connection | None) -> Sequence[Metric]:
        try:
            while connection is not None and connection.poll():
                connection.recv()  # it came too late for its scrape
            if connection is not None:
                connection.send(METRICS)
                if connection.poll(SCRAPE_SECONDS):
                    metrics: Sequence[Metric] = connection.recv()
                    return metrics
        except (EOFError, OSError):
            self._workers[number] = None
        return ()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
                purpose = connection.recv()
            except (EOFError, ConnectionError):
                continue  # the worker has died
            except OSError:
                return  # closed
            if purpose == METRICS:
                self._add(connection)
            elif purpose == RATES:
                Thread(target=self._count, args=(connection,), daemon=True).start()
            else:
                self.failure = connection.recv()

    def _add(self, connection: Connection) -> None:
        with self._lock:
            for number, worker in enumerate(self._workers):
                self._scrape(number, worker)  # finds the one that the new worker replaces
            if None in self._workers:
                self._workers[self._workers.index(None)] = connection
            else:
                self._workers.append(connection)

    def _count(self, connection: Connection) -> None:
        with self._lock:
            windows = self._windows = self._windows or Windows()
        try:
            while True:
                connection.send(windows.take(*connection.recv()))
        except (EOFError, OSError):
            connection.close()


def worker_app(settings: Settings, link: Link) -> ASGIApp:
    """Returns the application of a worker, in its process."""
    gc.disable()
    configure(settings.log_format)
    from api.app import create_app  # slow to import: the supervisor needs none of it

    try:
        app = create_app(settings, _shared_take(link) if settings.request_rate or settings.cost_rate else None)
    except (SettingsError, DatabaseError) as error:
        link.connect(FAILURE).send(str(error))
        sys.exit(STARTUP_FAILURE)
    Thread(target=_report, args=(link.connect(METRICS), app.state.metrics), daemon=True).start()
    signal.signal(DRAIN_SIGNAL, lambda *_: app.state.drain.begin())
    collect_rarely()
    return app


def _report(connection: Connection, metrics: Collector) -> None:
    """Sends the metrics whenever the supervisor scrapes. When the supervisor has died, stops the process."""
    process = ProcessCollector(namespace="certindex_api_worker", registry=None)
    try:
        while True:
            connection.recv()
            connection.send([*metrics.collect(), *process.collect()])
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


def _shared_take(link: Link) -> Take:
    connection = link.connect(RATES)

    def take(*count: Any) -> int:
        connection.send(count)
        seconds: int = connection.recv()
        return seconds

    return take
