"""Headers, logs and receipts as JSON-RPC returns them, parsed strictly: invalid values are never passed on.

Where JSON-RPC has an empty list, some nodes return null: Go encodes a list that was never made like that.
"""

from binascii import unhexlify
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from msgspec import Raw, Struct
from msgspec.json import Decoder

from indexer.errors import TryAgain
from indexer.proof.bloom import WRONG_BLOOMS
from indexer.rpc.host import Host
from indexer.rpc.reply import UNREADABLE
from schema.tables.rows import EventLog
from schema.tables.values import INT64_MAX, LATEST_TIME, MAX_OFFSET, OFFSET_BITS

ANOTHER_NODE = "If this lasts, name another node in RPC_URLS."
BLOOM_WAY_OUT = f"{ANOTHER_NODE[:-1]}; {WRONG_BLOOMS}."


class WrongAnswer(TryAgain):
    """An answer contradicts the request, a header, or itself. Another provider may return a right one.

    `way_out` is what a person can do if no provider does.
    """

    def __init__(self, message: str, way_out: str = ANOTHER_NODE) -> None:
        super().__init__(f"{message} {way_out}".rstrip())


class Header(Struct, frozen=True):
    """A block without its transactions, and the provider that returned it.

    `timestamp` in unix seconds; `logs_bloom` is None if the provider returns none, or if the bloom is not trusted.
    """

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes | None
    host: Host | None = None


class RawLog(EventLog, frozen=True, gc=False):
    """A log as a node returned it: its stored columns, and its block.

    The position of a log with a wide index is known when all logs of the block are: see `LogFilter.check_range`.
    """

    block_number: int
    block_hash: bytes


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
    topics: list[str] | None
    data: str
    block_number: str
    block_hash: str
    log_index: str
    transaction_hash: str
    transaction_index: str
    removed: bool = False


class JsonReceipt(Struct, rename="camel", gc=False):
    transaction_hash: str
    transaction_index: str
    block_hash: str
    cumulative_gas_used: str
    logs: list[JsonLog] | None
    type: str = "0x0"
    status: str | None = None
    root: str | None = None
    deposit_nonce: str | None = None
    deposit_receipt_version: str | None = None


class JsonTransactions(Struct, rename="camel", gc=False):
    """The hashes of a block and its transactions."""

    hash: str
    transactions: list[str]


_logs = Decoder(list[JsonLog] | None)
WORD = len("0x") + 64
"""Characters of a hash or a topic."""


def to_header(header: JsonHeader, host: Host, *, trust_bloom: bool = True) -> Header:
    """Parses a header. A block time beyond LATEST_TIME becomes LATEST_TIME. Raises WrongAnswer."""
    bloom = header.logs_bloom if trust_bloom else None
    return Header(
        to_number(header.number),
        to_bytes(header.hash, 32),
        to_bytes(header.parent_hash, 32),
        min(to_number(header.timestamp, 2**64 - 1), LATEST_TIME),
        to_bytes(header.state_root, 32),
        to_bytes(header.transactions_root, 32),
        to_bytes(header.receipts_root, 32),
        None if bloom is None else to_bytes(bloom, 256),
        host,
    )


def to_log(log: JsonLog) -> RawLog:
    """Parses a log. Raises WrongAnswer, also for a log that a reorg removed."""
    if log.removed:
        raise WrongAnswer(f"The node returned a log that a reorg removed (block {to_number(log.block_number)}).")
    topics = b"".join([to_bytes(topic, 32) for topic in log.topics or ()])
    return _raw_log(log, topics, to_bytes(log.transaction_hash, 32))


def to_logs(logs: Sequence[JsonLog]) -> list[RawLog]:
    """Parses the logs of an answer. Raises WrongAnswer."""
    # one conversion for the topics and transaction hashes of all logs: a third of the time of one conversion each
    words = [word for log in logs for word in (log.transaction_hash, *(log.topics or ()))]
    text = "".join(words)
    if any(log.removed for log in logs) or set(map(len, words)) != {WORD} or text[1::WORD] != "x" * len(words):
        return list(map(to_log, logs))
    try:
        data = unhexlify(text.replace("0x", ""))
    except ValueError:
        data = b""
    if len(data) != 32 * len(words):
        return list(map(to_log, logs))
    raw_logs = []
    start = 0
    for log in logs:
        topics = start + 32
        end = topics + 32 * len(log.topics or ())
        raw_logs.append(_raw_log(log, data[topics:end], data[start:topics]))
        start = end
    return raw_logs


def _raw_log(log: JsonLog, topics: bytes, transaction_hash: bytes) -> RawLog:
    block_number, log_index = _cached_number(log.block_number), _cached_number(log.log_index)
    wide = log_index > MAX_OFFSET
    return RawLog(
        (block_number << OFFSET_BITS) + (MAX_OFFSET if wide else log_index),
        _cached_address(log.address),
        topics,
        to_bytes(log.data),
        transaction_hash,
        _cached_number(log.transaction_index),
        log_index if wide else None,
        block_number,
        _cached_hash(log.block_hash),
    )


class LogReader:
    """Parses the logs of several answers to one query.

    An answer that equals the one before, byte for byte, is not parsed again: nearly every second answer does. `check`
    returns the checked logs in order. Raises WrongAnswer.
    """

    def __init__(self, check: Callable[[Iterable[RawLog]], list[RawLog]]) -> None:
        self._check = check
        self._answer = Raw()
        self._logs: list[RawLog] = []

    def __call__(self, encoded: Raw) -> list[RawLog]:
        if encoded != self._answer:
            try:
                logs = _logs.decode(encoded) or []
            except UNREADABLE as error:
                raise WrongAnswer(f"The node returned {bytes(encoded)[:80]!r} instead of logs: {error}.") from None
            self._logs, self._answer = self._check(to_logs(logs)), encoded
        return self._logs


def to_number(text: str, largest: int = INT64_MAX) -> int:
    """Parses a number in hex, with or without leading zeros. Raises WrongAnswer."""
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number <= largest:
        raise WrongAnswer(f"The node returned {text[:80]!r} instead of a number in hex.")
    return number


def to_bytes(text: str, length: int | None = None) -> bytes:
    """Parses bytes in hex. Raises WrongAnswer, also for another length than `length`."""
    try:
        data = unhexlify(text[2:] if text[:2] == "0x" else text)  # three times as fast as bytes.fromhex
    except ValueError:
        raise WrongAnswer(f"The node returned {text[:80]!r} instead of bytes in hex.") from None
    if length is not None and len(data) != length:
        raise WrongAnswer(f"The node returned {len(data)} bytes instead of {length}: {text[:80]!r}.")
    return data


@lru_cache(1024)
def _cached_number(text: str) -> int:
    return to_number(text)


@lru_cache(1024)
def _cached_hash(text: str) -> bytes:
    return to_bytes(text, 32)


@lru_cache(1024)
def _cached_address(text: str) -> bytes:
    return to_bytes(text, 20)
