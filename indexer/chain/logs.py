"""The watched contracts' logs of ranges and blocks, checked against the request and the headers."""

from collections.abc import Iterable
from typing import Any

from indexer.chain.agreement import Agreement
from indexer.chain.batch import BlockLogs
from indexer.chain.checked_calls import CheckedCalls
from indexer.chain.headers import Headers
from indexer.chain.log_filter import LogFilter
from indexer.chain.log_query import LogQuery, divide
from indexer.chain.receipts import Receipts
from indexer.chain.wire import Header, JsonLog, LogReader, RawLog, WrongAnswer
from indexer.proof.bloom import WRONG_BLOOMS
from indexer.proof.state_sync import uncovered_note
from indexer.rpc.errors import BrokenOff, RpcError
from indexer.rpc.gather import gather
from indexer.rpc.refusals import HalveQuery, ShrinkTo, UseRange
from schema.vocabulary import VerificationLevel

TOO_BIG = (ShrinkTo, UseRange, HalveQuery)
KIND: Any = list[JsonLog] | None


class Logs:
    """Reads logs. `answers` of them must be the same; with a `quorum`, from that many different hosts."""

    def __init__(self, calls: CheckedCalls, headers: Headers, filter: LogFilter, *, answers: int, quorum: int) -> None:
        self._calls = calls
        self._headers = headers
        self._answers = answers
        self._quorum = quorum
        self._filter = filter
        self._receipts = Receipts(calls, headers, filter)
        self._agreement = Agreement(calls, filter, self._logs_by_receipts, quorum=quorum)
        self.disagreements = self._agreement.disagreements
        self.may_hold_ours = self._filter.may_hold_ours

    async def range_logs(self, first: int, last: int) -> list[RawLog]:
        """Returns the watched contracts' logs of the blocks first to last, both included, in order.

        A range that is too big for a provider is read in parts, and a single block that is too big from its receipts.
        """
        return await self._query(LogQuery(first, last, self._filter.requested))

    async def block_logs(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of exactly this block, by its hash.

        If the bloom admits logs and none are returned, two providers must agree on it, or the receipts show it.
        """

        def check(logs: Iterable[RawLog]) -> list[RawLog]:
            ordered = self._filter.check_range(logs, header.number, header.number)
            self._filter.check_header(header, ordered)
            return ordered

        read = LogReader(check)
        query = {"blockHash": "0x" + header.hash.hex(), "address": self._filter.requested}
        needed = self._quorum if self._filter.excludes_ours(header) else self._answers
        try:
            answers = await self._agreement.logs(query, read, answers=needed)
        except RpcError as error:
            if not isinstance(error.refusal, TOO_BIG):
                raise
            return await self._receipts.logs(header)
        if answers[0].result or not self.may_hold_ours(header):
            return answers[0].result
        answers.append(await self._agreement.another(query, read, answers))
        if answers[-1].result or len({answer.host.site for answer in answers}) > 1:
            return answers[-1].result
        return await self._receipts.logs(header)

    async def confirm(self, header: Header, logs: list[RawLog]) -> BlockLogs:
        """Returns a block with its logs and how far the header confirms them.

        If the header contradicts the logs, reads it from another provider. Raises WrongAnswer if that one does too.
        """
        try:
            confirmed = self._filter.check_header(header, logs)
        except WrongAnswer as wrong:
            second = await self._headers.second_header(header, wrong)
            if second is None:
                raise
            header = second
            confirmed = self._filter.check_header(header, logs)
        level = VerificationLevel.BLOOM if confirmed else VerificationLevel.RPC
        uncovered = self._filter.uncovered_transaction(header)
        first = next((log.log_index for log in logs if log.transaction_hash == uncovered), None)
        return BlockLogs(header, logs, level, None if first is None else uncovered_note(first))

    async def check_history(self, header: Header) -> None:
        """Raises TryAgain if the provider no longer has this block's logs and would return none for it.

        A non-empty bloom shows that the block has logs of some contract.
        """
        if header.logs_bloom is None or not any(header.logs_bloom):
            return
        answer = await self._calls.call("eth_getLogs", [{"blockHash": "0x" + header.hash.hex()}], KIND)
        if answer.result:
            return
        reason = WrongAnswer(
            f"{answer.host.site} has no logs of block {header.number}, though the block's bloom shows that there were "
            "some: it does not keep logs that old.",
            f"Set a node with full history in RPC_URLS; {WRONG_BLOOMS}.",
        )
        settled = await self._headers.settled_header(header, answer.host, reason)
        if settled is header or any(settled.logs_bloom or b""):
            raise reason

    async def _query(self, query: LogQuery) -> list[RawLog]:
        def check(logs: Iterable[RawLog]) -> list[RawLog]:
            return self._filter.check_range(logs, query.first, query.last)

        logs: list[RawLog] = []
        waiting = [[query]]
        while waiting:
            parts, *waiting = waiting
            if len(parts) > 1:
                logs += [log for part in await gather(*map(self._query, parts)) for log in part]
                continue
            [part] = parts
            try:
                logs += await self._read(part)
            except (RpcError, BrokenOff) as error:
                smaller = divide(part, error.refusal)
                if not smaller:
                    raise
                waiting = [*smaller, *waiting]
        return check(logs)

    async def _read(self, query: LogQuery) -> list[RawLog]:
        """Returns the logs of a query that is not split; those of a block that is too big from its receipts."""

        def check(logs: Iterable[RawLog]) -> list[RawLog]:
            return self._filter.check_range(logs, query.first, query.last)

        try:
            answers = await self._agreement.logs(query.to_json(), LogReader(check), answers=self._answers)
        except RpcError as error:
            if query.blocks > 1 or not isinstance(error.refusal, TOO_BIG):
                raise
            return await self._logs_by_receipts(query.first)
        return answers[0].result

    async def _logs_by_receipts(self, number: int) -> list[RawLog]:
        return await self._receipts.logs(await self._headers.header(number))
