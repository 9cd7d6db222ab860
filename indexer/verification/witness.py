"""The evidence for verifying a block, from providers: header, transactions and all receipts, not verified yet."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from indexer.chain.wire import JsonLog, JsonReceipt, WrongAnswer, to_bytes, to_number
from indexer.errors import TryAgain
from indexer.proof.evidence import Evidence, LocatedReceipt
from indexer.proof.receipt import FAILURE, SUCCESS, Log, Receipt
from indexer.proof.state_sync import uncovered_transaction
from indexer.rpc.errors import RpcError
from indexer.rpc.gather import gather
from indexer.rpc.host import Host
from indexer.rpc.providers import Providers
from indexer.rpc.refusals import BackOff


class Sources(Struct):
    """The providers that have returned the header and the receipts of a block, the latest last."""

    header: list[Host] = []
    receipts: list[Host] = []

    def latest(self) -> str:
        """Returns host and port of the latest ones, for a message."""
        return " and ".join(dict.fromkeys(host.site for hosts in (self.header, self.receipts) for host in hosts[-1:]))


class Witness:
    """Requests evidence from providers. Raises TryAgain if none of them has it.

    The rules of the network with the id `chain_id` apply; 0 is none of the networks that have rules of their own.

    Each method takes the providers that have answered before: it requests others, and adds those that answer.
    """

    def __init__(self, providers: Providers, *, chain_id: int = 0, concurrency: int = 8) -> None:
        self._providers = providers
        self._chain_id = chain_id
        self._semaphore = asyncio.Semaphore(concurrency)
        self.seconds = 0.0
        """Seconds spent on parsing, without waiting for answers."""

    async def header(self, block: str, hosts: list[Host]) -> Mapping[str, object]:
        """Returns the header of a block, by its hash or its number in hex, with the hashes of its transactions."""
        method = "eth_getBlockByHash" if len(block) == 66 else "eth_getBlockByNumber"
        header: dict[str, object] | None = await self._request(
            method, [block, False], dict[str, Any] | None, tuple(hosts), hosts
        )
        if header is None:
            raise TryAgain(f"The provider has no block {block}.")
        return header

    async def evidence(self, block_hash: bytes, sources: Sources) -> Evidence:
        """Returns the evidence for the block with this hash."""
        header = await self.header("0x" + block_hash.hex(), sources.header)
        transactions = header.get("transactions")
        if not isinstance(transactions, list) or not all(isinstance(hash, str) for hash in transactions):
            raise WrongAnswer("The provider returned a block without the hashes of its transactions.")
        hashes = [to_bytes(hash, 32) for hash in transactions]
        number = to_number(str(header.get("number")))
        name = uncovered_transaction(self._chain_id, number, block_hash)
        covered = ["0x" + hash.hex() for hash in hashes if hash != name]
        receipts = await self._receipts(hex(number), covered, sources.receipts) if covered else []
        if not any(located.transaction_hash == name for located in receipts):
            receipts += await self.uncovered_receipt(number, block_hash)
        return Evidence(header, hashes, receipts)

    async def uncovered_receipt(self, number: int, block_hash: bytes) -> list[LocatedReceipt]:
        """Returns the receipt of a block that no root covers; none if no provider returns one."""
        name = uncovered_transaction(self._chain_id, number, block_hash)
        if name is None:
            return []
        hosts: list[Host] = []
        receipt: JsonReceipt | None = await self._request(
            "eth_getTransactionReceipt", ["0x" + name.hex()], JsonReceipt | None, (), hosts
        )
        return [] if receipt is None else self._parsed([receipt])

    async def _receipts(self, number: str, transactions: Sequence[str], hosts: list[Host]) -> list[LocatedReceipt]:
        """Returns all receipts: in one answer, or one by one if that is refused, missing or cannot be read."""
        avoid = tuple(hosts)
        try:
            receipts: list[JsonReceipt] | None = await self._request(
                "eth_getBlockReceipts", [number], list[JsonReceipt] | None, avoid, hosts
            )
            if receipts is not None:
                return self._parsed(receipts)
        except TryAgain as error:
            if isinstance(error, RpcError) and isinstance(error.refusal, BackOff):
                raise
        first, *others = transactions
        answers = [await self._transaction_receipt(first, avoid, hosts)]  # alone: all would fail if no provider answers
        answers += await gather(*(self._transaction_receipt(hash, avoid, hosts) for hash in others))
        return self._parsed(answers)

    async def _transaction_receipt(self, transaction: str, avoid: Sequence[Host], hosts: list[Host]) -> JsonReceipt:
        receipt: JsonReceipt | None = await self._request(
            "eth_getTransactionReceipt", [transaction], JsonReceipt | None, avoid, hosts
        )
        if receipt is None:
            raise TryAgain(f"The provider has no receipt of transaction {transaction}.")
        return receipt

    def _parsed(self, receipts: Sequence[JsonReceipt]) -> list[LocatedReceipt]:
        began = time.perf_counter()
        try:
            return list(map(_receipt, receipts))
        finally:
            self.seconds += time.perf_counter() - began

    async def _request(
        self, method: str, params: list[Any], result: Any, avoid: Sequence[Host], hosts: list[Host]
    ) -> Any:
        async with self._semaphore:
            answer = await self._providers.call(method, params, result, avoid=avoid)
        if answer.result is not None:
            hosts.append(answer.host)
        return answer.result


def _receipt(receipt: JsonReceipt) -> LocatedReceipt:
    return LocatedReceipt(
        Receipt(
            to_number(receipt.type),
            _outcome(receipt),
            to_number(receipt.cumulative_gas_used),
            tuple(map(_log, receipt.logs or ())),
            None if receipt.deposit_nonce is None else to_number(receipt.deposit_nonce),
            None if receipt.deposit_receipt_version is None else to_number(receipt.deposit_receipt_version),
        ),
        to_bytes(receipt.block_hash, 32),
        to_bytes(receipt.transaction_hash, 32),
        to_number(receipt.transaction_index),
    )


def _outcome(receipt: JsonReceipt) -> bytes:
    if receipt.status is not None:
        return SUCCESS if to_number(receipt.status) else FAILURE
    if receipt.root is None:
        raise WrongAnswer(
            f"The provider returned a receipt without status and root, of transaction {receipt.transaction_hash}."
        )
    return to_bytes(receipt.root, 32)


def _log(log: JsonLog) -> Log:
    topics = b"".join(to_bytes(topic, 32) for topic in log.topics or ())
    return Log(to_bytes(log.address, 20), topics, to_bytes(log.data))
