"""What a provider tells of one block for its verification: header, transactions, all receipts. Nothing is believed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from indexer.chain.wire import WrongAnswer, to_bytes, to_number
from indexer.errors import TryAgain
from indexer.proof.evidence import Evidence, LocatedReceipt
from indexer.proof.receipt import FAILURE, SUCCESS, Log, Receipt
from indexer.rpc import RpcError
from indexer.rpc.outcomes import GiveUp
from indexer.rpc.providers import Providers


class Witness:
    """Asks providers for evidence. Raises TryAgain where none is of use."""

    def __init__(self, providers: Providers, *, concurrency: int = 8) -> None:
        self._providers = providers
        self._slots = asyncio.Semaphore(concurrency)
        self._has_block_receipts = True
        self.seconds = 0.0
        """How long reading answers took, apart from waiting for them."""

    async def header(self, block: str, *, other: bool = False) -> Mapping[str, object]:
        """Returns the header of a block, by its hash or its number in hex, with the hashes of its transactions."""
        method = "eth_getBlockByHash" if len(block) == 66 else "eth_getBlockByNumber"
        found: dict[str, object] | None = await self._ask(method, [block, False], dict[str, Any] | None, other)
        if found is None:
            raise TryAgain(f"The provider has no block {block}.")
        return found

    async def evidence(self, block_hash: bytes, *, other: bool = False) -> Evidence:
        """Returns what one provider, or with `other` another one than before, tells of the block with this hash."""
        header = await self.header("0x" + block_hash.hex(), other=other)
        return await self.complete(header, other=other)

    def told_by(self, evidence: Evidence) -> str:
        """Returns who told this evidence, as far as it is known: host and port of each."""
        block, number = evidence.header.get("hash"), evidence.header.get("number")
        asked = (("eth_getBlockByHash", [block, False]), ("eth_getBlockReceipts", [number]))
        return " and ".join(
            dict.fromkeys(sites[-1] for method, params in asked if (sites := self._providers.answerers(method, params)))
        )

    async def complete(self, header: Mapping[str, object], *, other: bool = False) -> Evidence:
        """Returns the evidence for a block whose header is at hand."""
        told = header.get("transactions")
        if not isinstance(told, list) or not all(isinstance(hash, str) for hash in told):
            raise WrongAnswer("The provider gave a block without the hashes of its transactions.")
        receipts = await self._receipts(str(header.get("number")), told, other) if told else []
        began = time.perf_counter()
        try:
            return Evidence(header, [to_bytes(hash, 32) for hash in told], list(map(_receipt, receipts)))
        finally:
            self.seconds += time.perf_counter() - began

    async def _receipts(self, number: str, transactions: Sequence[str], other: bool) -> "list[JsonReceipt]":
        """Returns all receipts: in one answer, or one by one where the provider knows no such method."""
        if self._has_block_receipts:
            try:
                found: list[JsonReceipt] | None = await self._ask(
                    "eth_getBlockReceipts", [number], list[JsonReceipt] | None, other
                )
            except RpcError as error:
                if not isinstance(error.outcome, GiveUp):
                    raise
                self._has_block_receipts = False
            else:
                if found is not None:
                    return found
        return list(await asyncio.gather(*(self._receipt(hash, other) for hash in transactions)))

    async def _receipt(self, transaction: str, other: bool) -> "JsonReceipt":
        found: JsonReceipt | None = await self._ask(
            "eth_getTransactionReceipt", [transaction], JsonReceipt | None, other
        )
        if found is None:
            raise TryAgain(f"The provider has no receipt of transaction {transaction}.")
        return found

    async def _ask(self, method: str, params: list[Any], result: Any, other: bool) -> Any:
        async with self._slots:
            return await (self._providers.call_other if other else self._providers.call)(method, params, result)


class JsonLog(Struct, rename="camel", gc=False):
    address: str
    topics: list[str]
    data: str


class JsonReceipt(Struct, rename="camel", gc=False):
    block_hash: str
    transaction_hash: str
    transaction_index: str
    cumulative_gas_used: str
    logs: list[JsonLog]
    type: str = "0x0"
    status: str | None = None
    root: str | None = None
    deposit_nonce: str | None = None
    deposit_receipt_version: str | None = None


def _receipt(found: JsonReceipt) -> LocatedReceipt:
    return LocatedReceipt(
        Receipt(
            to_number(found.type),
            _outcome(found),
            to_number(found.cumulative_gas_used),
            tuple(map(_log, found.logs)),
            None if found.deposit_nonce is None else to_number(found.deposit_nonce),
            None if found.deposit_receipt_version is None else to_number(found.deposit_receipt_version),
        ),
        to_bytes(found.block_hash, 32),
        to_bytes(found.transaction_hash, 32),
        to_number(found.transaction_index),
    )


def _outcome(found: JsonReceipt) -> bytes:
    if found.status is not None:
        return SUCCESS if to_number(found.status) else FAILURE
    if found.root is None:
        raise WrongAnswer(f"The provider gave a receipt without status and root: {found.transaction_hash}.")
    return to_bytes(found.root, 32)


def _log(found: JsonLog) -> Log:
    topics = b"".join(to_bytes(topic, 32) for topic in found.topics)
    return Log(to_bytes(found.address, 20), topics, to_bytes(found.data))
