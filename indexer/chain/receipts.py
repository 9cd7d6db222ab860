"""Logs from a block's receipts, for blocks that are too big for a query or on which providers differ."""

from indexer.chain.checked_calls import CheckedCalls
from indexer.chain.log_filter import LogFilter
from indexer.chain.wire import Header, JsonReceipt, JsonTransactions, RawLog, WrongAnswer, to_bytes, to_log
from indexer.errors import TryAgain
from indexer.rpc import RpcError
from indexer.rpc.errors import WrongShape
from indexer.rpc.gather import gather
from indexer.rpc.providers import Answered
from indexer.rpc.refusals import BackOff, WaitForHead


class Receipts:
    """Reads all receipts of a block, in one request or one by one."""

    def __init__(self, calls: CheckedCalls, filter: LogFilter) -> None:
        self._calls = calls
        self._filter = filter

    async def logs(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of a block. The logs of all receipts must make up the header's bloom."""

        def check(answer: Answered[list[JsonReceipt] | None]) -> list[RawLog]:
            return self._logs(header, answer.result)

        try:
            return await self._calls.checked(
                "eth_getBlockReceipts", [hex(header.number)], list[JsonReceipt] | None, check
            )
        except WrongShape:
            pass
        except RpcError as error:
            if isinstance(error.refusal, BackOff | WaitForHead):
                raise
        return self._logs(header, await self._one_by_one(header))

    def _logs(self, header: Header, receipts: list[JsonReceipt] | None) -> list[RawLog]:
        if receipts is None:
            raise WrongAnswer(f"The node has no receipts of block {header.number}.")
        logs = [to_log(log) for receipt in receipts for log in receipt.logs or ()]
        hashes = {to_bytes(receipt.block_hash, 32) for receipt in receipts}
        if hashes - {header.hash}:
            raise WrongAnswer(f"The node returned receipts of another block {header.number} than the header's.")
        bloom = header.logs_bloom
        parts = ((log.address, log.topics) for log in logs)
        if bloom is not None and any(bloom) and bloom != self._filter.bloom.of(parts):
            raise WrongAnswer(f"The receipts of block {header.number} do not make up its bloom: some are missing.")
        ours = (log for log in logs if log.address in self._filter.addresses)
        checked = self._filter.check_range(ours, header.number, header.number)
        self._filter.check_header(header, checked)
        return checked

    async def _one_by_one(self, header: Header) -> list[JsonReceipt]:
        params = ["0x" + header.hash.hex(), False]
        block = (await self._calls.call("eth_getBlockByHash", params, JsonTransactions | None)).result
        if block is None:
            raise TryAgain(f"The node has no block {header.number} of hash 0x{header.hash.hex()} any more.")
        answers = await gather(
            *(
                self._calls.call("eth_getTransactionReceipt", [transaction], JsonReceipt | None)
                for transaction in block.transactions
            )
        )
        receipts = [answer.result for answer in answers]
        if None in receipts:
            raise TryAgain(f"The node lacks receipts of block {header.number}.")
        return receipts
