"""Logs from a block's receipts, for blocks that are too big for a query or on which providers differ."""

from typing import Any

from indexer.chain.checked_calls import TRIES, CheckedCalls
from indexer.chain.headers import Headers
from indexer.chain.log_filter import LogFilter
from indexer.chain.wire import (
    BLOOM_WAY_OUT,
    Header,
    JsonReceipt,
    JsonTransactions,
    RawLog,
    WrongAnswer,
    to_bytes,
    to_log,
)
from indexer.errors import TryAgain
from indexer.rpc.errors import RpcError, WrongShape
from indexer.rpc.gather import gather
from indexer.rpc.providers import Answered
from indexer.rpc.refusals import BackOff, WaitForHead


class Receipts:
    """Reads all receipts of a block, in one request or one by one."""

    def __init__(self, calls: CheckedCalls, headers: Headers, filter: LogFilter) -> None:
        self._calls = calls
        self._headers = headers
        self._filter = filter

    async def logs(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of a block, also those that no bloom covers, if a provider has them.

        All others must make up the header's bloom. If they do not, reads the header from another provider, or the
        receipts if that header is the same.
        """
        tries = TRIES
        while True:
            answer = await self._receipts(header)
            tries -= 1
            try:
                return self._logs(header, await self._with_uncovered(header, answer.result))
            except WrongAnswer as wrong:
                host = None if answer.result is None else answer.host  # receipts that are missing may only be late
                header = await self._headers.settled_header(header, host, wrong)
                if tries == 0:
                    raise

    async def _receipts(self, header: Header) -> Answered[list[JsonReceipt] | None]:
        try:
            kind: Any = list[JsonReceipt] | None
            return await self._calls.call("eth_getBlockReceipts", [hex(header.number)], kind)
        except WrongShape:
            pass
        except RpcError as error:
            if isinstance(error.refusal, BackOff | WaitForHead):
                raise
        return await self._one_by_one(header)

    async def _with_uncovered(self, header: Header, receipts: list[JsonReceipt] | None) -> list[JsonReceipt] | None:
        """Adds the receipt that is under no root, if the block has one and a provider returns it."""
        transaction = self._filter.uncovered_transaction(header)
        if receipts is None or transaction is None:
            return receipts
        if any(to_bytes(receipt.transaction_hash, 32) == transaction for receipt in receipts):
            return receipts
        kind: Any = JsonReceipt | None
        answer = await self._calls.call("eth_getTransactionReceipt", ["0x" + transaction.hex()], kind)
        return receipts if answer.result is None else [*receipts, answer.result]

    def _logs(self, header: Header, receipts: list[JsonReceipt] | None) -> list[RawLog]:
        if receipts is None:
            raise WrongAnswer(f"The node has no receipts of block {header.number}.")
        logs = [to_log(log) for receipt in receipts for log in receipt.logs or ()]
        hashes = {to_bytes(receipt.block_hash, 32) for receipt in receipts}
        if hashes - {header.hash}:
            raise WrongAnswer(f"The node returned receipts of another block {header.number} than the header's.")
        uncovered = self._filter.uncovered_transaction(header)
        bloom = header.logs_bloom
        parts = ((log.address, log.topics) for log in logs if log.transaction_hash != uncovered)
        if bloom is not None and any(bloom) and bloom != self._filter.bloom.of(parts):
            raise WrongAnswer(
                f"The receipts of block {header.number} do not make up its bloom: some are missing.",
                BLOOM_WAY_OUT,
            )
        ours = (log for log in logs if log.address in self._filter.start_blocks)
        checked = self._filter.check_range(ours, header.number, header.number)
        self._filter.check_header(header, checked)
        return checked

    async def _one_by_one(self, header: Header) -> Answered[list[JsonReceipt] | None]:
        params = ["0x" + header.hash.hex(), False]
        answer = await self._calls.call("eth_getBlockByHash", params, JsonTransactions | None)
        block = answer.result
        if block is None:
            raise TryAgain(f"The node has no block {header.number} of hash 0x{header.hash.hex()} any more.")
        uncovered = self._filter.uncovered_transaction(header)
        answers = await gather(
            *(
                self._calls.call("eth_getTransactionReceipt", [transaction], JsonReceipt | None)
                for transaction in block.transactions
                if to_bytes(transaction, 32) != uncovered
            )
        )
        receipts = [answer.result for answer in answers]
        if None in receipts:
            raise TryAgain(f"The node lacks receipts of block {header.number}.")
        return Answered(answer.host, receipts)
