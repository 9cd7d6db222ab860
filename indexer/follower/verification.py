"""The loop that verifies final blocks behind the one that indexes."""

import asyncio
import logging
from collections.abc import Callable
from logging import INFO, WARNING

from sqlalchemy.exc import DBAPIError

from indexer.errors import TryAgain, failure_text
from indexer.retry import AGAIN, Backoff, Pause
from indexer.store import Fenced
from indexer.verification.verifier import VerificationCounts, Verifier
from schema.program.logs import log_event

log = logging.getLogger("certindex")

REST = 9.0
"""While there is something to index, verification rests this many times as long as it worked: it takes 10 % of time."""


async def verify_behind(
    open_verifier: Callable[[], Verifier],
    wake: asyncio.Event,
    is_idle: Callable[[], bool],
    pause: Pause = asyncio.sleep,
) -> None:
    """Verifies final blocks until another writer takes over; waits for `wake` when none is left.

    `is_idle` returns whether no block is left to index. `open_verifier` is called in a thread.
    """
    verifier: Verifier | None = None
    backoff = Backoff()
    while True:
        wake.clear()
        try:
            if verifier is None:
                verifier = await asyncio.to_thread(open_verifier)
            counts = await verifier.advance()
        except Fenced:
            return
        except (TryAgain, DBAPIError) as error:
            message = failure_text(error)
            log_event(log, WARNING, "verification failed", AGAIN, backoff.seconds, message)
            await backoff.wait(pause=pause)
            continue
        backoff.reset()
        if counts is None:
            await wake.wait()
            continue
        log_verification(counts)
        await asyncio.sleep(0 if is_idle() else counts.seconds * REST)


def log_verification(counts: VerificationCounts) -> None:
    """Writes one line for blocks that were judged."""
    if counts.blocks:
        log_event(
            log,
            INFO,
            "verified",
            " blocks={blocks} events={events} unverifiable={unverifiable} alarms={alarms} elapsed={elapsed:.2f}s",
            counts.verified,
            counts.events,
            counts.unverifiable,
            counts.alarms,
            counts.seconds,
        )
