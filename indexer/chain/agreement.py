"""Logs are used only if several responses are equal. If they differ, the receipts show which one is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Raw

from indexer.chain.checked_calls import TRIES, CheckedCalls
from indexer.chain.disagreement import Disagreement, HostLogs, difference, difference_text, disagreement
from indexer.chain.log_filter import LogFilter
from indexer.chain.wire import LogReader, RawLog, WrongAnswer
from indexer.errors import TryAgain
from indexer.rpc.providers import Answered

AnsweredLogs = Answered[list[RawLog]]


class Agreement:
    """Reads logs until enough answers are the same; with a `quorum`, answers of that many different hosts.

    Answers that differ in uncovered logs only (see `LogFilter.union`) count as the same; each then has all of them.
    `block_logs` returns the watched contracts' logs of a block from its receipts. `disagreements` keeps what two hosts
    returned differently for blocks by number, until a step has stored it.
    """

    def __init__(
        self,
        calls: CheckedCalls,
        filter: LogFilter,
        block_logs: Callable[[int], Awaitable[list[RawLog]]],
        *,
        quorum: int,
    ) -> None:
        self.disagreements: list[Disagreement] = []
        self._calls = calls
        self._filter = filter
        self._block_logs = block_logs
        self._quorum = quorum

    async def logs(self, query: dict[str, Any], read: LogReader, *, answers: int) -> list[AnsweredLogs]:
        """Returns `answers` responses with equal logs. Raises WrongAnswer if the responses differed TRIES times."""
        for _ in range(TRIES):
            agreed = [await self._calls.checked("eth_getLogs", [query], Raw, _with_host(read))]
            while len(agreed) < answers:
                agreed.append(await self.another(query, read, agreed))
            first = agreed[0]
            other = next((answer for answer in agreed if answer.result != first.result), None)
            if other is None:
                return agreed
            if (union := self._filter.union([answer.result for answer in agreed])) is not None:
                return [Answered(answer.host, union) for answer in agreed]
            ours, theirs = (HostLogs(answer.host.site, answer.result) for answer in (first, other))
            wrong = WrongAnswer(difference_text(query, ours, theirs))
            if "fromBlock" in query and ours.host != theirs.host:
                self.disagreements.append(disagreement(ours, theirs))
            await self._settle(difference(ours, theirs)[0], agreed, wrong)
        raise wrong

    async def another(self, query: dict[str, Any], read: LogReader, answers: Sequence[AnsweredLogs]) -> AnsweredLogs:
        """Returns the logs from another provider than those that have answered, if there is one."""
        avoid = [answer.host for answer in answers]
        return await self._calls.checked(
            "eth_getLogs", [query], Raw, _with_host(read), avoid=avoid, strict=self._quorum > 1, tries=1
        )

    async def _settle(self, number: int, answers: Sequence[AnsweredLogs], wrong: TryAgain) -> None:
        """Compares a block on which answers differ with its receipts, and distrusts the providers that were wrong."""
        try:
            truth = await self._block_logs(number)
        except TryAgain:
            raise wrong from None
        for answer in answers:
            logs = [log for log in answer.result if log.block_number == number]
            if logs != truth and self._filter.union([logs, truth]) is None:
                self._calls.providers.distrust(answer.host, wrong)


def _with_host(read: LogReader) -> Callable[[Answered[Raw]], AnsweredLogs]:
    return lambda answer: Answered(answer.host, read(answer.result))
