"""The chain as the indexer sees it: headers and logs, checked before anyone believes them.

A provider may lag, prune, cut short or mix backends. What can be checked against the request or a header is checked
here; an answer that contradicts itself is asked of another provider, and never handed on.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from msgspec import Raw, Struct
from msgspec.structs import replace

from indexer.chain.disagreement import Answer, Disagreement, difference, disagreement, in_words
from indexer.chain.log_query import LogQuery, divide
from indexer.chain.wire import (
    Header,
    JsonHeader,
    JsonLog,
    JsonReceipt,
    JsonTransactions,
    LogReader,
    RawLog,
    WrongAnswer,
    to_bytes,
    to_header,
    to_log,
)
from indexer.errors import TryAgain
from indexer.proof.bloom import Bloom
from indexer.rpc import RpcError
from indexer.rpc.gather import together
from indexer.rpc.host import Host
from indexer.rpc.outcomes import BackOff, HalveQuery, ShrinkTo, UseRange, WaitForHead
from indexer.rpc.providers import Answered, Providers

__all__ = ["Chain", "Header", "Heads", "RawLog", "WrongAnswer"]

ResultT = TypeVar("ResultT")

TRIES = 3
"""How often something is asked whose answers contradict a header, each other or themselves."""
NO_SUCH_TAG = re.compile(r"\btag\b|hex string|invalid (argument|params|block)|(un|not )supported|block not found")
INVALID_PARAMS = -32602


class Heads(Struct, frozen=True):
    """The newest block, and the newest that the chain calls safe and finalized."""

    latest: Header
    safe_number: int
    finalized: Header


class Chain:
    """Asks providers for what the indexer needs. Raises TryAgain for whatever does not fit together.

    Logs are asked for `looks` times and must be the same each time; with a `quorum`, of so many different hosts.
    What two hosts said differently of final blocks is kept in `disagreements`, until a step has stored it.
    """

    def __init__(
        self,
        rpc: Providers,
        addresses: Collection[bytes],
        *,
        finality_depth: int,
        concurrency: int = 8,
        looks: int = 1,
        quorum: int = 1,
    ) -> None:
        self.rpc = rpc
        self.addresses = frozenset(addresses)
        self.finality_depth = finality_depth
        self.looks = max(looks, quorum)
        self.quorum = quorum
        self.disagreements: list[Disagreement] = []
        self._filter = sorted("0x" + address.hex() for address in addresses)
        self._bloom = Bloom()
        self._slots = asyncio.Semaphore(concurrency)
        self._knows_tags = False

    # Heads and headers

    async def heads(self) -> Heads:
        """Returns the newest, safe and finalized blocks; by depth where the chain knows no such tags."""
        latest = await self._tagged("latest")
        if latest is None:
            raise TryAgain("The node has no latest block: it is starting or syncing.")
        try:
            safe, finalized = await together(self._tagged("safe"), self._tagged("finalized"))
        except RpcError as error:
            if self._knows_tags or not _knows_no_tag(error):
                raise
            finalized = None
        if finalized is not None:
            self._knows_tags = True
            finalized = min(finalized, latest, key=lambda header: header.number)
            safe_number = finalized.number if safe is None else min(safe.number, latest.number)
            return Heads(latest, max(safe_number, finalized.number), finalized)
        if self._knows_tags:
            raise TryAgain("The node has no finalized block, though it had one before.")
        number = max(latest.number - self.finality_depth, 0)
        return Heads(latest, number, await self.header(number))

    async def header(self, number: int) -> Header:
        """Returns the canonical block of this height."""

        def read(answer: Answered[JsonHeader | None]) -> Header:
            if answer.result is None:
                raise WrongAnswer(f"The node has no block {number}: it lags behind what it said before.")
            return _checked_header(answer.result, answer.host, number)

        return await self._believed("eth_getBlockByNumber", [hex(number), False], JsonHeader | None, read)

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Returns the canonical blocks of these heights, asked by many at a time."""
        params = [[hex(number), False] for number in numbers]
        kind: Any = JsonHeader | None
        answers = await self.rpc.call_each("eth_getBlockByNumber", params, kind) if params else []
        return [
            _right_header(answer, number) or await self.header(number)
            for answer, number in zip(answers, numbers, strict=True)
        ]

    async def second_header(self, header: Header, wrong: WrongAnswer) -> Header:
        """Returns the same block as another provider gives it, and distrusts who gave it first.

        Raises `wrong`, what is said against the header, where no other is given.
        """
        params, kind = [hex(header.number), False], JsonHeader | None
        first = () if header.host is None else (header.host,)
        second = _right_header(await self._call("eth_getBlockByNumber", params, kind, avoid=first), header.number)
        if second is None or second.hash != header.hash or replace(second, host=header.host) == header:
            raise wrong
        self.distrust_header(header, wrong)
        return second

    def distrust_header(self, header: Header, reason: TryAgain) -> None:
        """Sets aside the provider that returned this header, if there is another one."""
        if header.host is not None:
            self.rpc.distrust(header.host, reason)

    async def _tagged(self, tag: str) -> Header | None:
        def read(answer: Answered[JsonHeader | None]) -> Header | None:
            return None if answer.result is None else to_header(answer.result, answer.host)

        return await self._believed("eth_getBlockByNumber", [tag, False], JsonHeader | None, read)

    # Logs

    async def range_logs(self, first: int, last: int) -> list[RawLog]:
        """Returns the watched contracts' logs of the blocks first to last, both included, in order.

        A range that a provider finds too big is asked in parts, and one block too big by its receipts.
        """
        return await self._query(LogQuery(first, last, self._filter))

    async def block_logs(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of exactly this block, by its hash.

        None at all under a bloom that admits them is believed of two providers; of one only by the receipts.
        """

        def check(found: Iterable[RawLog]) -> list[RawLog]:
            logs = self._checked(found, header.number, header.number)
            self.check_against_header(header, logs)
            return logs

        read = LogReader(check)
        query = {"blockHash": "0x" + header.hash.hex(), "address": self._filter}
        try:
            answers = await self._agreed(query, read, looks=self.quorum if self._excludes_ours(header) else self.looks)
        except RpcError as error:
            if not isinstance(error.outcome, TOO_BIG):
                raise
            return await self._logs_by_receipts(header)
        logs = answers[0].result
        if logs or not self.may_hold_ours(header):
            return logs
        answers.append(await self._look_again([query], read, answers))
        logs = answers[-1].result
        if logs or len({answer.host.site for answer in answers}) > 1:
            return logs
        return await self._logs_by_receipts(header)

    async def check_history(self, header: Header) -> None:
        """Raises TryAgain where the provider has forgotten this block's logs and would answer for it with none.

        A bloom that is not empty says that there were some, whoever's.
        """
        if header.logs_bloom is None or not any(header.logs_bloom):
            return
        params = [{"blockHash": "0x" + header.hash.hex()}]
        answer = await self._call("eth_getLogs", params, list[JsonLog])
        if answer.result:
            return
        reason = WrongAnswer(
            f"{answer.host.site} has no logs of block {header.number}, though its bloom says that there were some: "
            "it does not keep logs that old. Set a node with full history in RPC_URLS."
        )
        self.rpc.distrust(answer.host, reason)
        raise reason

    def check_against_header(self, header: Header, logs: Sequence[RawLog]) -> bool:
        """Tells whether the header's bloom confirms the logs, all of ours in that block.

        Raises WrongAnswer where they contradict it. False: the node gave no bloom, or an empty one beside logs.
        """
        for log in logs:
            if log.block_hash != header.hash:
                raise WrongAnswer(
                    f"Block {header.number} is 0x{header.hash.hex()}, "
                    f"but its logs came from 0x{log.block_hash.hex()}: the node answers from two branches."
                )
        bloom = header.logs_bloom
        if bloom is None or (logs and not any(bloom)):
            return False  # some chains leave it empty
        if not self._bloom.admits(bloom, ((log.address, log.topics) for log in logs)):
            raise WrongAnswer(f"The node gave a log of block {header.number} that the header's bloom excludes.")
        return True

    def may_hold_ours(self, header: Header) -> bool:
        """Tells whether the header's bloom admits a log of a watched contract."""
        bloom = header.logs_bloom
        return bloom is not None and any(self._bloom.admits(bloom, [(address, b"")]) for address in self.addresses)

    def _excludes_ours(self, header: Header) -> bool:
        """Tells whether the bloom says that there is nothing to look for; an empty one says nothing."""
        return header.logs_bloom is not None and any(header.logs_bloom) and not self.may_hold_ours(header)

    async def _query(self, query: LogQuery) -> list[RawLog]:
        def check(found: Iterable[RawLog]) -> list[RawLog]:
            return self._checked(found, query.first, query.last)

        try:
            return (await self._agreed(query.to_json(), LogReader(check), looks=self.looks))[0].result
        except RpcError as error:
            parts = divide(query, error.outcome)
            if not parts and query.blocks == 1 and isinstance(error.outcome, TOO_BIG):
                return await self._logs_by_receipts(await self.header(query.first))
            if not parts:
                raise
        return check(log for part in await together(*map(self._query, parts)) for log in part)

    async def _agreed(self, query: dict[str, Any], read: LogReader, *, looks: int) -> list[Answered[list[RawLog]]]:
        """Returns `looks` answers that hold the same logs."""
        params = [query]
        for _ in range(TRIES):
            answers = [await self._believed("eth_getLogs", params, Raw, _with_host(read))]
            while len(answers) < looks:
                answers.append(await self._look_again(params, read, answers))
            first = answers[0]
            other = next((answer for answer in answers if answer.result != first.result), None)
            if other is None:
                return answers
            one, two = (Answer(answer.host.site, answer.result) for answer in (first, other))
            wrong = WrongAnswer(in_words(query, one, two))
            if "fromBlock" in query and one.host != two.host:
                self.disagreements.append(disagreement(one, two))
            await self._settle(difference(one, two)[0], answers, wrong)
        raise wrong

    async def _look_again(
        self, params: list[Any], read: LogReader, answers: Sequence[Answered[list[RawLog]]]
    ) -> Answered[list[RawLog]]:
        """Returns the logs from another provider than those that have answered."""
        avoid = [answer.host for answer in answers]
        answer = await self._call("eth_getLogs", params, Raw, avoid=avoid, strict=self.quorum > 1)
        try:
            return _with_host(read)(answer)
        except WrongAnswer as error:
            self.rpc.distrust(answer.host, error)
            raise

    async def _settle(self, number: int, answers: Sequence[Answered[list[RawLog]]], wrong: TryAgain) -> None:
        """Finds out by the receipts of a block on which answers differ who was wrong, and distrusts that provider."""
        try:
            truth = await self._logs_by_receipts(await self.header(number))
        except TryAgain:
            raise wrong from None
        for answer in answers:
            if [log for log in answer.result if log.block_number == number] != truth:
                self.rpc.distrust(answer.host, wrong)

    async def _believed(
        self, method: str, params: list[Any], kind: Any, read: Callable[[Answered[Any]], ResultT]
    ) -> ResultT:
        """Returns what `read` makes of an answer; after a wrong one asks another provider."""
        for _ in range(TRIES):
            answer = await self._call(method, params, kind)
            try:
                return read(answer)
            except WrongAnswer as error:
                wrong = error
                if answer.result is not None:  # what is missing may only be late
                    self.rpc.distrust(answer.host, wrong)
        raise wrong

    async def _call(
        self, method: str, params: list[Any], kind: Any, *, avoid: Collection[Host] = (), strict: bool = False
    ) -> Answered[Any]:
        async with self._slots:
            return await self.rpc.call(method, params, kind, avoid=avoid, strict=strict)

    def _checked(self, logs: Iterable[RawLog], first: int, last: int) -> list[RawLog]:
        """Returns logs in order. Raises WrongAnswer for one not asked for or there twice, and for two branches."""
        ordered = sorted(logs, key=attrgetter("block_number", "log_index"))
        before: RawLog | None = None
        for log in ordered:
            if log.address not in self.addresses:
                raise WrongAnswer(f"The node gave a log of 0x{log.address.hex()}, which was not asked for.")
            if before is None or log.block_number != before.block_number:
                if not first <= log.block_number <= last:
                    asked = f"blocks {first}..{last}"
                    raise WrongAnswer(f"Asked for logs of {asked}, the node gave one of {log.block_number}.")
            elif log.log_index == before.log_index:
                raise WrongAnswer(f"The node gave log {log.log_index} of block {log.block_number} twice.")
            elif log.block_hash != before.block_hash:
                raise WrongAnswer(f"The node gave logs of two blocks of height {log.block_number}.")
            before = log
        return ordered

    # Receipts

    async def _logs_by_receipts(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of a block out of all its receipts, which must make up its bloom."""

        def read(answer: Answered[list[JsonReceipt] | None]) -> list[RawLog]:
            if answer.result is None:
                raise WrongAnswer(f"The node has no receipts of block {header.number}.")
            logs = [to_log(log) for receipt in answer.result for log in receipt.logs]
            hashes = {to_bytes(receipt.block_hash, 32) for receipt in answer.result}
            if hashes - {header.hash}:
                raise WrongAnswer(f"The node gave receipts of another block {header.number} than its header's.")
            bloom = header.logs_bloom
            if bloom is not None and any(bloom) and bloom != self._bloom.of((log.address, log.topics) for log in logs):
                raise WrongAnswer(f"The receipts of block {header.number} do not make up its bloom: some are missing.")
            ours = self._checked((log for log in logs if log.address in self.addresses), header.number, header.number)
            self.check_against_header(header, ours)
            return ours

        try:
            return await self._believed("eth_getBlockReceipts", [hex(header.number)], list[JsonReceipt] | None, read)
        except RpcError as error:
            if isinstance(error.outcome, BackOff | WaitForHead):
                raise
        return read(await self._receipts_one_by_one(header))

    async def _receipts_one_by_one(self, header: Header) -> Answered[list[JsonReceipt] | None]:
        params = ["0x" + header.hash.hex(), False]
        block = await self._call("eth_getBlockByHash", params, JsonTransactions | None)
        if block.result is None:
            raise TryAgain(f"The node has no block {header.number} of hash 0x{header.hash.hex()} any more.")
        answers = await together(
            *(
                self._call("eth_getTransactionReceipt", [transaction], JsonReceipt | None)
                for transaction in block.result.transactions
            )
        )
        receipts = [answer.result for answer in answers]
        if None in receipts:
            raise TryAgain(f"The node lacks receipts of block {header.number}.")
        return Answered(block.host, receipts)


def _right_header(answer: Answered[JsonHeader | None], number: int) -> Header | None:
    """Returns the header, None where it is missing or wrong."""
    try:
        return None if answer.result is None else _checked_header(answer.result, answer.host, number)
    except WrongAnswer:
        return None


def _checked_header(found: JsonHeader, host: Host, number: int) -> Header:
    header = to_header(found, host)
    if header.number != number:
        raise WrongAnswer(f"Asked for block {number}, the node gave block {header.number}.")
    return header


def _with_host(read: LogReader) -> Callable[[Answered[Raw]], Answered[list[RawLog]]]:
    return lambda answer: Answered(answer.host, read(answer.result))


TOO_BIG = (ShrinkTo, UseRange, HalveQuery)


def _knows_no_tag(error: RpcError) -> bool:
    return error.code == INVALID_PARAMS or NO_SUCH_TAG.search(error.text) is not None
