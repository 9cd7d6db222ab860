"""The verifier: reads evidence, judges blocks, and records the level of each, in the order of the chain."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from logging import ERROR, WARNING

from msgspec import Struct

from indexer.chain.wire import WrongAnswer
from indexer.errors import TryAgain
from indexer.proof.evidence import StoredBlock
from indexer.proof.judge import Contradicted, Judge, Judgment, NoEvidence, Uncovered, Unverifiable, Verified, Wrong
from indexer.rpc.errors import NoAnswer, WrongShape
from indexer.rpc.gather import gather
from indexer.store.verification import Judged, VerificationStore
from indexer.verification.witness import Sources, Witness
from schema.program.logs import log_event

log = logging.getLogger("certindex")

BLOCKS_A_CHUNK = 32
CONCURRENT_BLOCKS = 4
FAILURES_A_CHUNK = 4
PATIENCE = 5
"""Failed tries for a block before the verifier goes on without it."""


class VerificationCounts(Struct):
    """How many blocks and events were judged. `seconds` of computing and writing, without waiting for providers."""

    verified: int = 0
    unverifiable: int = 0
    alarms: int = 0
    events: int = 0
    seconds: float = 0.0

    @property
    def blocks(self) -> int:
        return self.verified + self.unverifiable + self.alarms

    def add(self, other: "VerificationCounts") -> None:
        self.verified += other.verified
        self.unverifiable += other.unverifiable
        self.alarms += other.alarms
        self.events += other.events
        self.seconds += other.seconds


class Verifier:
    """Verifies the blocks of one chain. `providers` is the number of providers that may be tried for a block.

    `watched` reads from which block on the logs of each contract are stored; without it, this never changes.
    """

    def __init__(
        self,
        witness: Witness,
        judge: Judge,
        levels: VerificationStore,
        *,
        providers: int = 1,
        watched: Callable[[], Mapping[bytes, int]] | None = None,
    ) -> None:
        self.levels = levels
        self._witness = witness
        self._judge = judge
        self._providers = providers
        self._watched = watched
        self._semaphore = asyncio.Semaphore(CONCURRENT_BLOCKS)
        self._seconds = 0.0
        self._failures: dict[int, tuple[int, str]] = {}

    async def advance(self) -> VerificationCounts | None:
        """Judges the next final blocks, else failed blocks that may be retried now; None if there are neither.

        Raises TryAgain if no provider has the evidence for a block: the next call starts with that block.
        """
        progress = await asyncio.to_thread(self.levels.progress)
        if progress.judged >= progress.final:
            due = await asyncio.to_thread(self.levels.due_failures, FAILURES_A_CHUNK)
            return await self._record(due, await self._judgments(due, patience=1), None) if due else None
        blocks = await asyncio.to_thread(self.levels.blocks, progress.judged + 1, progress.final, BLOCKS_A_CHUNK)
        through = blocks[-1].number if len(blocks) == BLOCKS_A_CHUNK else progress.final
        judgments = await self._judgments(blocks, patience=PATIENCE)
        missing = next(
            (block.number for block, judgment in zip(blocks, judgments, strict=True) if judgment is None), None
        )
        counts = await self._record(blocks, judgments, through if missing is None else missing - 1)
        if missing is not None:
            raise TryAgain(f"Block {missing} cannot be verified now: {self._failures[missing][1]}")
        return counts

    async def verify(self, first: int, last: int) -> AsyncIterator[tuple[int, VerificationCounts]]:
        """Judges all blocks with events from first to last, in chunks; yields each chunk's last block and counts."""
        while first <= last:
            blocks = await asyncio.to_thread(self.levels.blocks, first, last, BLOCKS_A_CHUNK)
            through = blocks[-1].number if len(blocks) == BLOCKS_A_CHUNK else last
            if blocks:
                yield through, await self._record(blocks, await self._judgments(blocks, patience=1), None)
            first = through + 1

    async def judge(self, block: StoredBlock) -> Judgment:
        """Judges a block by the evidence of one provider after the other, until one is conclusive. Raises TryAgain."""
        worst: Judgment | None = None
        failure: TryAgain | None = None
        sources = Sources()
        for _ in range(max(self._providers, 1)):
            try:
                judgment = await self._judge_once(block, sources)
            except WrongAnswer as error:
                judgment = Contradicted(str(error))
            except TryAgain as error:
                failure = error
                continue
            if isinstance(judgment, Verified | Wrong | Uncovered):
                return judgment
            if worst is None or isinstance(judgment, Contradicted):
                worst = judgment
        if worst is None:
            assert failure is not None
            raise failure
        return worst

    async def _judge_once(self, block: StoredBlock, sources: Sources) -> Judgment:
        async with self._semaphore:
            evidence = await self._witness.evidence(block.hash, sources)
            began = time.perf_counter()
            judgment = await asyncio.to_thread(self._judge.judge, block, evidence)
            self._seconds += time.perf_counter() - began
        if isinstance(judgment, Contradicted):
            return Contradicted(f"{judgment.reason} (returned by {sources.latest()})")
        return judgment

    async def _judgments(self, blocks: Sequence[StoredBlock], *, patience: int) -> list[Judgment | None]:
        """Returns the judgments. A block without evidence gets None until it has been tried `patience` times."""
        if self._watched is not None:  # read after the blocks: it has all contracts that these created
            self._judge.start_blocks = await asyncio.to_thread(self._watched)
        self._seconds = -self._witness.seconds
        return await gather(*(self._judge_patiently(block, patience) for block in blocks))

    async def _judge_patiently(self, block: StoredBlock, patience: int) -> Judgment | None:
        try:
            judgment = await self.judge(block)
        except TryAgain as error:
            if isinstance(error, NoAnswer) and not isinstance(error, WrongShape):
                raise  # no provider responds: nothing is known about the block
            tries = self._failures.get(block.number, (0, ""))[0] + 1
            self._failures[block.number] = (tries, str(error))
            return NoEvidence(str(error)) if tries >= patience else None
        self._failures.pop(block.number, None)
        return judgment

    async def _record(
        self, blocks: Sequence[StoredBlock], judgments: Sequence[Judgment | None], through: int | None
    ) -> VerificationCounts:
        judged = [(block, judgment) for block, judgment in zip(blocks, judgments, strict=True) if judgment is not None]
        began = time.perf_counter()
        await asyncio.to_thread(self.levels.record, judged, through=through)
        self._seconds += time.perf_counter() - began
        for block, _ in judged:
            self._failures.pop(block.number, None)
        return self._counts(judged)

    def _counts(self, judged: Sequence[Judged]) -> VerificationCounts:
        seconds = self._seconds + self._witness.seconds
        counts = VerificationCounts(events=sum(len(block.logs) for block, _ in judged), seconds=seconds)
        for block, judgment in judged:
            match judgment:
                case Verified():
                    counts.verified += 1
                case Unverifiable(reason) | NoEvidence(reason):
                    counts.unverifiable += 1
                    log_event(log, WARNING, "not verifiable", " block={block}: {reason}", block.number, reason)
                case Contradicted() | Wrong():
                    counts.alarms += 1
                    text = alarm_text(block.number, judgment)
                    log_event(log, ERROR, "alarm", " block={block}: {reason}", block.number, text)
        return counts


def alarm_text(number: int, judgment: Contradicted | Wrong) -> str:
    """Returns the message for a block that is stored wrongly, or that no provider proves."""
    if isinstance(judgment, Wrong):
        return (
            f"The stored events of block {number} are wrong: {judgment.reason}. Roll them back and index them again "
            f"from another provider: certindex rollback --to {number - 1}"
        )
    return f"Block {number} could not be verified: the evidence of all providers is contradictory: {judgment.reason}."
