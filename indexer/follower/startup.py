"""The start of `certindex run`: metrics are served at once, and the chain is followed when a provider answers."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from prometheus_client.registry import Collector

from indexer.follower.follower import Follower
from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.observe.startup_failure import StartupFailure
from indexer.opening import FollowedChain, Prepared, open_prepared, prepare
from indexer.retry import retry
from indexer.settings import Settings
from schema.program.metrics import serve_metrics


async def follow(settings: Settings, stopping: asyncio.Event, collectors: Sequence[Collector] = ()) -> None:
    """Waits for a provider, then follows the chain until `stopping`. Serves its metrics and those of `collectors`."""
    prepared = prepare(settings)
    stopped = asyncio.create_task(stopping.wait())
    counters = Counters()
    failure = StartupFailure(prepared.engine, settings.chain_id)
    try:
        collector = ChainCollector(prepared.engine, None, prepared.pool, counters, failure)
        with serve_metrics([collector, *collectors], settings.metrics_host, settings.metrics_port):
            opened = await _open(prepared, failure, stopped)
            if opened is None:
                return
            collector.begin(opened.chain_id)
            follower = Follower(
                opened,
                settings.poll_interval,
                verify=settings.verify,
                keep_proofs=settings.keep_proofs,
                ws_url=settings.ws_url,
                headers=settings.rpc_headers,
                counters=counters,
            )
            stopped.add_done_callback(lambda _: follower.stop())
            await follower.run()
    finally:
        stopped.cancel()
        await prepared.close()


async def _open(prepared: Prepared, failure: StartupFailure, stopped: asyncio.Task[Any]) -> FollowedChain | None:
    """Returns the chain once a provider answers, None if `stopped` ends first."""
    opening = asyncio.create_task(
        retry(lambda: open_prepared(prepared), attempts=math.inf, failed=failure.failed, pause=prepared.pool.pause)
    )
    await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if opening.done():
        return opening.result()
    opening.cancel()
    await asyncio.wait({opening})
    return None
