"""Backfill: reads final blocks by ranges, and fetches the next ranges while the present ones are committed."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import groupby
from typing import Any

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.chain.wire import Header, RawLog, WrongAnswer
from indexer.errors import TryAgain
from indexer.rpc.gather import gather
from indexer.store import Checkpoint
from schema.tables.notices import UNKNOWN_HASH

FOLLOWED_BLOCKS = 64
"""Most blocks that one step reads above the final ones."""
EVENTS_A_STEP, MOST_EVENTS_A_STEP = 40_000, 100_000
"""A larger step changes fewer pages of the database an event, and takes more memory."""
STEP_SHARE = 75
"""A step of a large backfill has a 75th of the events before it: the more pages, the fewer events share one."""
QUICK_SECONDS = 2.0
SLOW_SECONDS = 10.0
SAMPLED_BLOCKS = 16
"""Headers that are checked in ranges without logs: a node that has pruned its logs returns none as well."""


def events_a_step(events: int) -> int:
    """Returns the events that a step of a backfill may have after so many others. Ranges shrink if it has more."""
    return min(max(events // STEP_SHARE, EVENTS_A_STEP), MOST_EVENTS_A_STEP)


class Pace:
    """The number of blocks in a range: grows while ranges are fast and hold few logs, shrinks when they do not.

    After a failed step the next one reads less: a step needs every one of its responses to be good. `followed` is the
    number of blocks that one step reads above the final ones, `events` that of the events fetched by ranges. `prefetch`
    holds at most one batch.
    """

    def __init__(
        self,
        blocks: int = 100,
        most: int = 100_000,
        side_by_side: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.blocks = blocks
        self.followed = FOLLOWED_BLOCKS
        self.most = most
        self.side_by_side = side_by_side
        self.clock = clock
        self.events = 0
        self.prefetch = Prefetch()

    def failed(self) -> None:
        """Makes the next steps smaller, after a fetch that failed."""
        self.blocks = max(self.blocks // 4, 1)
        self.followed = max(self.followed // 4, 1)

    def followed_on(self) -> None:
        """Makes the next steps larger, after a fetch above the final blocks that succeeded."""
        self.followed = min(self.followed * 2, FOLLOWED_BLOCKS)

    def fetched(self, blocks: int, events: int, seconds: float) -> None:
        """Adjusts the ranges to the size of a batch and the seconds that it took."""
        self.events += events
        most = events_a_step(self.events)
        if events > most:
            self.blocks = max(blocks * most // (events * self.side_by_side), 1)
        elif seconds > SLOW_SECONDS:
            self.blocks = max(self.blocks // 2, 1)
        elif events < most // 2 and seconds < QUICK_SECONDS and blocks >= self.blocks:
            self.blocks = min(self.blocks * 2, self.most)


class Prefetch:
    """One batch that is fetched ahead, until the step that needs it takes it."""

    def __init__(self) -> None:
        self._first = -1
        self._task: asyncio.Task[Batch] | None = None

    def begin(self, first: int, fetching: Coroutine[Any, Any, Batch]) -> None:
        """Starts to fetch the batch that begins at a block."""
        self.forget()
        self._first = first
        self._task = asyncio.create_task(fetching)
        self._task.add_done_callback(_retrieve_failure)

    async def take(self, first: int) -> Batch | None:
        """Returns the batch that begins at a block, None if it was not fetched. Raises the error of the fetch."""
        if self._task is None or self._first != first:
            self.forget()
            return None
        task, self._task = self._task, None
        return await task

    def forget(self) -> None:
        """Cancels and drops the batch that is fetched ahead."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


async def fetch_range(chain: Chain, before: Checkpoint, heads: Heads, pace: Pace) -> Batch:
    """Returns the next batch of final blocks, those with logs only, and starts to fetch the batch after it."""
    first = before.number + 1
    batch = await pace.prefetch.take(first) or await _read_range(chain, first, heads, pace)
    await _check_unchanged(chain, before, batch.last)
    following = batch.last.number + 1
    if following <= heads.finalized.number:
        pace.prefetch.begin(following, _read_range(chain, following, heads, pace))
    return batch


async def read_blocks(chain: Chain, before: Checkpoint, last: Header) -> Batch:
    """Returns the batch up to a final block, those blocks with logs only."""
    logs = await chain.range_logs(before.number + 1, last.number)
    blocks = await _with_headers(chain, logs)
    await _check_unchanged(chain, before, last)
    return Batch(blocks, last)


async def _read_range(chain: Chain, first: int, heads: Heads, pace: Pace) -> Batch:
    ranges = _ranges(first, heads.finalized.number, pace)
    end = ranges[-1][1]
    last = heads.finalized if heads.finalized.number == end else await chain.header(end)
    began = pace.clock()
    logs_by_range = await gather(*(chain.range_logs(start, stop) for start, stop in ranges))
    logs = [log for range_logs in logs_by_range for log in range_logs]
    pace.fetched(end - first + 1, len(logs), pace.clock() - began)
    blocks = await _with_headers(chain, logs)
    empty = [span for span, range_logs in zip(ranges, logs_by_range, strict=True) if not range_logs]
    await _check_absence(chain, await chain.headers(_sample(empty)))
    return Batch(blocks, last)


def _ranges(first: int, last: int, pace: Pace) -> list[tuple[int, int]]:
    """Returns the next ranges to request side by side, both ends included."""
    starts = range(first, min(first + pace.blocks * pace.side_by_side, last + 1), pace.blocks)
    return [(start, min(start + pace.blocks - 1, last)) for start in starts]


async def _with_headers(chain: Chain, logs: Sequence[RawLog]) -> list[BlockLogs]:
    by_block = [(number, list(block_logs)) for number, block_logs in groupby(logs, key=lambda log: log.block_number)]
    headers = await chain.headers([number for number, _ in by_block])
    chain.check_links(headers)
    return [await chain.confirm(header, block_logs) for header, (_, block_logs) in zip(headers, by_block, strict=True)]


def _sample(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Returns evenly spaced blocks of the ranges: all if there are few, and always the first and last of each."""
    blocks = sum(last - first + 1 for first, last in ranges)
    stride = max(blocks // SAMPLED_BLOCKS, 1)
    return sorted({number for first, last in ranges for number in (*range(first, last, stride), last)})


async def _check_absence(chain: Chain, sample: Sequence[Header]) -> None:
    """Raises WrongAnswer if a sampled header of ranges without logs shows that there are logs, or were."""
    for header in sample:
        if chain.may_hold_ours(header) and await chain.block_logs(header):
            raise WrongAnswer(f"A range with block {header.number} came back empty, though that block holds logs.")
    for header in sample:
        if header.logs_bloom is not None and any(header.logs_bloom):
            await chain.check_history(header)
            return  # a node prunes its oldest blocks first


async def _check_unchanged(chain: Chain, before: Checkpoint, last: Header) -> None:
    """Raises TryAgain if the range's last block or the checkpoint's block is no longer on the node's chain."""
    pinned = {last.number: last.hash} | ({before.number: before.hash} if before.hash != UNKNOWN_HASH else {})
    for header in await chain.headers(list(pinned)):
        if header.hash != pinned[header.number]:
            raise TryAgain(f"Block {header.number} changed while its range was read; the range is read again.")


def _retrieve_failure(task: asyncio.Task[Batch]) -> None:
    # asyncio would log the failure of a batch that no step takes; the step that dropped it has failed itself
    if not task.cancelled():
        task.exception()
