"""What each command of `certindex` does, given its settings."""

import asyncio
import ctypes
import gc
import logging
import math
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIServer

import msgspec
from prometheus_client.registry import Collector

from indexer.errors import Stop, TryAgain
from indexer.follower import AGAIN, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Follower
from indexer.observe.counters import Record
from indexer.observe.metrics import ChainCollector
from indexer.observe.progress import Progress
from indexer.observe.startup_failure import Waiting
from indexer.observe.status import chain_statuses
from indexer.opening import (
    open_chain,
    open_database,
    open_prepared,
    open_store,
    prepare,
    stored_profile,
)
from indexer.settings import DatabaseSettings, RebuildSettings, Settings
from indexer.store.lease import BEAT_SECONDS, Lease
from indexer.store.statistics import maintain
from indexer.store.watch_set import read_watch_set
from indexer.sync.step import Ahead, Pace, UpToDate, step
from schema.profile.model import load_profile
from schema.program.logs import tell
from schema.program.metrics import serve_metrics
from schema.tables.database import connect, migrate, reading, shown

ResultT = TypeVar("ResultT")

log = logging.getLogger("certindex")

ATTEMPTS = 8
M_ARENA_MAX = -8
SERVER_ENTRY_POINT = "certindex.server"


async def run(settings: Settings, *, serve: bool) -> int:
    """Follows the chain until SIGINT or SIGTERM; with `serve`, answers GraphQL in the same process from the start."""
    _tune_memory()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if not serve:
        await _follow(settings, stopping)
        return 0
    server = _server(settings)
    following = asyncio.create_task(_follow(settings, stopping, [server.metrics]))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({following, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()  # the end of one ends the other
    server.should_exit = True
    await asyncio.wait({following, serving})
    following.result()
    serving.result()
    return 0


async def _follow(settings: Settings, stopping: asyncio.Event, others: Sequence[Collector] = ()) -> None:
    """Waits for a provider, then follows the chain, until it is told to stop. `others` are more metrics to serve."""
    prepared = prepare(settings)
    told_to_stop = asyncio.create_task(stopping.wait())
    record = Record()
    waiting = Waiting(prepared.engine, settings.chain_id)
    metrics = None
    try:
        collector = ChainCollector(prepared.engine, None, prepared.pool, record, waiting)
        metrics = _serve_metrics(settings, [collector, *others])
        opening = asyncio.create_task(
            _with_patience(lambda: open_prepared(prepared), attempts=math.inf, failed=waiting.failed)
        )
        await asyncio.wait({opening, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            return
        opened = opening.result()
        collector.begin(opened.chain_id)
        follower = Follower(
            opened,
            settings.poll_interval,
            verify=settings.verify,
            keep_proofs=settings.keep_proofs,
            ws_url=settings.ws_url,
            record=record,
        )
        told_to_stop.add_done_callback(lambda _: follower.stop())
        await follower.run()
    finally:
        told_to_stop.cancel()
        if metrics is not None:
            metrics.shutdown()
            metrics.server_close()
        await prepared.close()


async def sync(settings: Settings) -> int:
    """Catches up to the head that the node has now, with a progress bar and a summary."""
    _tune_memory()
    opened = await _with_patience(lambda: open_chain(settings))
    lease = Lease(opened.engine, opened.chain_id)
    try:
        await lease.acquire(wait=False)
        store = opened.store(lease)
        target = (await _with_patience(opened.chain.heads)).latest.number
        progress = Progress(sys.stderr, store.checkpoint().number, target)
        pace = Pace()
        beat = asyncio.create_task(_beat(lease))
        try:
            while True:
                outcome = await _with_patience(lambda: step(opened.chain, store, pace))
                progress.show(outcome, pace.blocks)
                done = store.checkpoint()
                if isinstance(outcome, UpToDate) or (done.number >= target and done.backfilled):
                    break
                if isinstance(outcome, Ahead):  # the node lags behind what it said before
                    await asyncio.sleep(settings.poll_interval)
            await asyncio.to_thread(maintain, opened.engine)
        finally:
            beat.cancel()
            await asyncio.to_thread(lease.release)
        print(progress.summary(store.checkpoint().number))
    finally:
        await opened.pool.close()
        opened.engine.dispose()
    return 0


def status(settings: DatabaseSettings, *, as_json: bool) -> int:
    """Prints how far each chain of the database is indexed."""
    engine = connect(settings.database_url)
    migrate(engine)
    with reading(engine).begin() as connection:
        statuses = chain_statuses(connection, settings.chain_id)
    engine.dispose()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([status.to_json() for status in statuses]), indent=2).decode())
    else:
        nothing = f"No chain is indexed yet in {shown(engine)}: certindex sync"
        print("\n\n".join(status.to_text() for status in statuses) or nothing)
    return 0


async def rebuild(settings: RebuildSettings) -> int:
    """Rewrites every derived row from the stored events, by the stored profile or another one."""
    _tune_memory()
    engine, chain_id = open_database(settings)
    lease = Lease(engine, chain_id)
    try:
        await lease.acquire(wait=False)
        with engine.begin() as connection:
            contracts = read_watch_set(connection, chain_id)
            profile = (
                stored_profile(connection, chain_id) if settings.profile is None else load_profile(settings.profile)
            )
        store = open_store(engine, chain_id, profile, contracts, lease)
        began = time.monotonic()
        stored = await asyncio.to_thread(store.rebuild, store.checkpoint(), profile)
        elapsed = time.monotonic() - began
    finally:
        lease.release()
        engine.dispose()
    print(f"rebuilt chain={chain_id} events={stored.events} facts={stored.facts} elapsed={elapsed:.2f}s")
    return 0


async def rollback(settings: DatabaseSettings, to: int) -> int:
    """Takes back everything above a block, by an operator's will."""
    engine, chain_id = open_database(settings)
    lease = Lease(engine, chain_id)
    try:
        await lease.acquire(wait=False)
        with engine.begin() as connection:
            contracts = read_watch_set(connection, chain_id)
            profile = stored_profile(connection, chain_id)
        store = open_store(engine, chain_id, profile, contracts, lease)
        before = store.checkpoint()
        if to >= before.number:
            raise Stop(f"--to {to}: chain {chain_id} is indexed to block {before.number}; nothing lies above.")
        kept, undone = await asyncio.to_thread(store.roll_back_to, before, to)
    finally:
        lease.release()
        engine.dispose()
    print(
        f"rolled back chain={chain_id} from={before.number} to={kept.number} events={undone.events}"
        + ("" if kept.number == to else f" (block {kept.number} is the last kept one at or below {to})")
    )
    return 0


async def _with_patience(
    action: Callable[[], Awaitable[ResultT]],
    *,
    attempts: float = ATTEMPTS,
    failed: Callable[[str], None] = lambda error: None,
) -> ResultT:
    """Returns what the action does, tried again while the node is of no use. Raises the last TryAgain.

    `failed` hears of each other one, in a thread.
    """
    pause = FIRST_PAUSE_SECONDS
    attempt = 1
    while True:
        try:
            return await action()
        except TryAgain as error:
            if attempt >= attempts:
                raise
            tell(log, logging.WARNING, "not begun", AGAIN, pause=pause, error=str(error))
            await asyncio.to_thread(failed, str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            attempt += 1


def _serve_metrics(settings: Settings, collectors: Sequence[Collector]) -> WSGIServer | None:
    """Returns the server of /metrics, None where no port is set for it."""
    if settings.metrics_port is None:
        return None
    return serve_metrics(collectors, settings.metrics_host, settings.metrics_port)


def _server(settings: Settings) -> Any:
    """Returns the server of the package that offers one: the indexer itself imports nothing of the API."""
    found = list(entry_points(group=SERVER_ENTRY_POINT))
    if not found:
        raise Stop("--serve: the GraphQL service is not installed. Install the whole package: pip install -e .")
    return found[0].load()(settings.database_url, settings.host, settings.port)


async def _beat(lease: Lease) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        await asyncio.to_thread(lease.beat)


def _tune_memory() -> None:
    # rows live for one step and have no cycles: the collector would only look at them again and again
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)  # glibc keeps a heap for each thread, and gives none of them back
