"""The chain as the indexer sees it: headers and logs, checked before anyone believes them.

A provider may lag, prune, cut short or mix backends. What can be checked against the request or a header is checked
here, and an answer that contradicts itself is never handed on.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from indexer.bloom import Bloom
from indexer.errors import Stop, TryAgain
from indexer.rpc import RpcError
from schema.columns import INT64_MAX, OPEN

ResultT = TypeVar("ResultT")


LATEST_TIME = OPEN - 1
"""Block times end here, so that what never expires has not expired at any of them."""


class Rpc(Protocol):
    async def call(self, method: str, params: list[Any], result: type[ResultT]) -> ResultT: ...


class Header(Struct, frozen=True):
    """A block without its transactions. `timestamp` in unix seconds; `logs_bloom` is None where the node gives none."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes | None


class RawLog(Struct, frozen=True, gc=False):
    """A log as the chain gave it; `topics` are concatenated, 32 bytes each."""

    block_number: int
    block_hash: bytes
    log_index: int
    transaction_hash: bytes
    transaction_index: int
    address: bytes
    topics: bytes
    data: bytes


class Heads(Struct, frozen=True):
    """The newest block, and the newest that the chain calls safe and finalized."""

    latest: Header
    safe_number: int
    finalized: Header


class Chain:
    """Asks a node for what the indexer needs. Raises TryAgain for whatever does not fit together."""

    def __init__(self, rpc: Rpc, addresses: Collection[bytes], *, finality_depth: int, concurrency: int = 8) -> None:
        self.rpc = rpc
        self.addresses = frozenset(addresses)
        self.finality_depth = finality_depth
        self._filter = sorted("0x" + address.hex() for address in addresses)
        self._bloom = Bloom()
        self._slots = asyncio.Semaphore(concurrency)
        self._has_tags = True

    async def chain_id(self) -> int:
        """Returns the id that the node answers for."""
        return _number(await self.rpc.call("eth_chainId", [], str))

    async def has_code(self, address: bytes, block_number: int) -> bool:
        """Tells whether a contract stood at the address after the block."""
        code = await self.rpc.call("eth_getCode", ["0x" + address.hex(), hex(block_number)], str)
        return code not in ("0x", "")

    async def heads(self) -> Heads:
        """Returns the newest, safe and finalized blocks; by depth where the chain knows no such tags."""
        latest = await self._header("latest")
        if latest is None:
            raise TryAgain("The node has no latest block: it is starting or syncing.")
        if self._has_tags:
            try:
                safe, finalized = await asyncio.gather(self._header("safe"), self._header("finalized"))
            except RpcError:
                self._has_tags = False
            else:
                if finalized is not None:
                    finalized = min(finalized, latest, key=lambda header: header.number)
                    safe_number = finalized.number if safe is None else min(safe.number, latest.number)
                    return Heads(latest, max(safe_number, finalized.number), finalized)
        number = max(latest.number - self.finality_depth, 0)
        return Heads(latest, number, await self.header(number))

    async def header(self, number: int) -> Header:
        """Returns the canonical block of this height."""
        header = await self._header(hex(number))
        if header is None:
            raise TryAgain(f"The node has no block {number}: it lags behind what it said before.")
        if header.number != number:
            raise TryAgain(f"Asked for block {number}, the node gave block {header.number}.")
        return header

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Returns the canonical blocks of these heights, asked side by side."""
        return list(await asyncio.gather(*map(self.header, numbers)))

    async def block_logs(self, header: Header) -> list[RawLog]:
        """Returns the watched contracts' logs of exactly this block, by its hash."""
        query = {"blockHash": "0x" + header.hash.hex(), "address": self._filter}
        logs = await self._logs(query)
        if not logs and self._may_hold_ours(header):
            logs = await self._logs(query)  # a node that has the header before the logs says so with an empty list
        self._check(logs, header.number, header.number)
        self.check_against_header(header, logs)
        return logs

    async def range_logs(self, first: int, last: int) -> list[RawLog]:
        """Returns the watched contracts' logs of the blocks first to last, both included, in order."""
        logs = await self._logs({"fromBlock": hex(first), "toBlock": hex(last), "address": self._filter})
        self._check(logs, first, last)
        return logs

    def check_against_header(self, header: Header, logs: Sequence[RawLog]) -> bool:
        """Tells whether the header's bloom confirms the logs, all of ours in that block.

        Raises TryAgain where they contradict it. False: the node gave no bloom, or an empty one beside logs.
        """
        for log in logs:
            if log.block_hash != header.hash:
                raise TryAgain(
                    f"Block {header.number} is 0x{header.hash.hex()}, "
                    f"but its logs came from 0x{log.block_hash.hex()}: the node answers from two branches."
                )
        bloom = header.logs_bloom
        if bloom is None or (logs and not any(bloom)):
            return False  # some chains leave it empty
        if not all(self._bloom.admits(bloom, log.address, log.topics) for log in logs):
            raise TryAgain(f"The node gave a log of block {header.number} that the header's bloom excludes.")
        return True

    def _may_hold_ours(self, header: Header) -> bool:
        bloom = header.logs_bloom
        return bloom is not None and any(self._bloom.admits(bloom, address, b"") for address in self.addresses)

    async def _header(self, block: str) -> Header | None:
        async with self._slots:
            found = await self.rpc.call("eth_getBlockByNumber", [block, False], JsonHeader | None)  # type: ignore[arg-type]  # a union is no type[]
        return None if found is None else _header(found)

    async def _logs(self, query: dict[str, Any]) -> list[RawLog]:
        async with self._slots:
            found = await self.rpc.call("eth_getLogs", [query], list[JsonLog])
        return sorted(map(_log, found), key=lambda log: (log.block_number, log.log_index))

    def _check(self, logs: Sequence[RawLog], first: int, last: int) -> None:
        """Raises TryAgain for logs that were not asked for, come twice, or of two blocks of one height."""
        hashes: dict[int, bytes] = {}
        before = (-1, -1)
        for log in logs:
            if not first <= log.block_number <= last:
                raise TryAgain(f"Asked for logs of blocks {first}..{last}, the node gave one of {log.block_number}.")
            if log.address not in self.addresses:
                raise TryAgain(f"The node gave a log of 0x{log.address.hex()}, which was not asked for.")
            if (log.block_number, log.log_index) == before:
                raise TryAgain(f"The node gave log {log.log_index} of block {log.block_number} twice.")
            if hashes.setdefault(log.block_number, log.block_hash) != log.block_hash:
                raise TryAgain(f"The node gave logs of two blocks of height {log.block_number}.")
            before = (log.block_number, log.log_index)


class JsonHeader(Struct, rename="camel", gc=False):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    state_root: str
    transactions_root: str
    receipts_root: str
    logs_bloom: str | None = None


class JsonLog(Struct, rename="camel", gc=False):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    log_index: str
    transaction_hash: str
    transaction_index: str
    removed: bool = False


def _header(found: JsonHeader) -> Header:
    return Header(
        _number(found.number),
        _bytes(found.hash, 32),
        _bytes(found.parent_hash, 32),
        min(_number(found.timestamp, 2**64 - 1), LATEST_TIME),
        _bytes(found.state_root, 32),
        _bytes(found.transactions_root, 32),
        _bytes(found.receipts_root, 32),
        None if found.logs_bloom is None else _bytes(found.logs_bloom, 256),
    )


def _log(found: JsonLog) -> RawLog:
    if found.removed:
        raise TryAgain(f"The node gave a log that a reorg removed (block {_number(found.block_number)}).")
    return RawLog(
        _number(found.block_number),
        _bytes(found.block_hash, 32),
        _number(found.log_index),
        _bytes(found.transaction_hash, 32),
        _number(found.transaction_index),
        _bytes(found.address, 20),
        b"".join([_bytes(topic, 32) for topic in found.topics]),
        _bytes(found.data),
    )


def _number(text: str, largest: int = INT64_MAX) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number <= largest:
        raise TryAgain(f"The node gave {text[:80]!r} where a number is due.")
    return number


def _bytes(text: str, length: int | None = None) -> bytes:
    try:
        found = bytes.fromhex(text[2:] if text.startswith("0x") else text)
    except ValueError:
        raise TryAgain(f"The node gave {text[:80]!r} where hex is due.") from None
    if length is not None and len(found) != length:
        raise TryAgain(f"The node gave {len(found)} bytes where {length} are due: {text[:80]!r}.")
    return found


def check_chain_id(expected: int | None, found: int, url: str) -> None:
    """Raises Stop where the node is of another network than the settings or the database say."""
    if expected is not None and expected != found:
        raise Stop(f"{url} is a node of chain {found}, but chain {expected} is wanted. Set RPC_URLS or CHAIN_ID right.")
