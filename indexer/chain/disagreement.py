"""Disagreements: two hosts returned different logs of the same blocks; both lists, cut to the blocks that differ."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from indexer.chain.wire import RawLog
from schema.abi.keccak import keccak256
from schema.tables.values import INT64_MAX

MOST_LOGS = 1_000
"""The most logs that are kept of one host. The first block that differs is always kept whole."""


class HostLogs(msgspec.Struct, frozen=True):
    """The logs that a host (and port) returned, in order."""

    host: str
    logs: Sequence[RawLog]

    def of(self, first: int, last: int) -> "HostLogs":
        return HostLogs(self.host, [log for log in self.logs if first <= log.block_number <= last])

    def to_json(self) -> bytes:
        """Returns the logs in the JSON of eth_getLogs."""
        return msgspec.json.encode(list(map(_json_log, self.logs)))


class Disagreement(msgspec.Struct, frozen=True):
    """Two different lists of logs of the blocks first to last, both included; they differ in the first block."""

    first: int
    last: int
    answer: HostLogs
    other: HostLogs


def disagreement(answer: HostLogs, other: HostLogs) -> Disagreement:
    """Returns the disagreement between two answers to one query: from the first block that differs to the last answer.

    If that would be more than MOST_LOGS logs of a host, it ends earlier.
    """
    answer, other = sorted((answer, other), key=lambda host_logs: host_logs.host)
    differing = [number for number, (first, second) in sorted(_by_block(answer, other).items()) if first != second]
    first = differing[0]
    end = max(first, min(_end(host_logs, first) for host_logs in (answer, other)))
    last = max(number for number in differing if number <= end)
    return Disagreement(first, last, answer.of(first, last), other.of(first, last))


def difference(answer: HostLogs, other: HostLogs) -> tuple[int, int]:
    """Returns block and index of the first log that differs."""
    first, second = ({(log.block_number, log.log_index): log for log in each.logs} for each in (answer, other))
    return min(place for place in first.keys() | second.keys() if first.get(place) != second.get(place))


def difference_text(query: dict[str, Any], answer: HostLogs, other: HostLogs) -> str:
    """Returns the message for two answers to one query that differ."""
    block, index = difference(answer, other)
    where = query.get("blockHash") or f"{int(query['fromBlock'], 16)}..{int(query['toBlock'], 16)}"
    return (
        f"Two answers differ on the logs of blocks {where}: {len(answer.logs)} logs from {answer.host} and "
        f"{len(other.logs)} from {other.host}; the first difference is log {index} of block {block}. "
        "Nothing was stored."
    )


def digest(logs: bytes) -> bytes:
    """Returns the keccak-256 of the logs as JSON, by which disagreements are compared."""
    return keccak256(logs)


def _by_block(answer: HostLogs, other: HostLogs) -> dict[int, tuple[list[RawLog], list[RawLog]]]:
    first, second = ({number: list(logs) for number, logs in groupby(each.logs, _number)} for each in (answer, other))
    return {number: (first.get(number, []), second.get(number, [])) for number in first.keys() | second.keys()}


def _end(host_logs: HostLogs, first: int) -> int:
    """Returns the last block up to which the logs are kept."""
    beyond = [log.block_number for log in host_logs.logs if log.block_number >= first][MOST_LOGS:]
    return beyond[0] - 1 if beyond else INT64_MAX


def _number(log: RawLog) -> int:
    return log.block_number


def _json_log(log: RawLog) -> dict[str, Any]:
    topics = [log.topics[start : start + 32] for start in range(0, len(log.topics), 32)]
    return {
        "address": _hex(log.address),
        "topics": list(map(_hex, topics)),
        "data": _hex(log.data),
        "blockNumber": hex(log.block_number),
        "blockHash": _hex(log.block_hash),
        "transactionHash": _hex(log.transaction_hash),
        "transactionIndex": hex(log.transaction_index),
        "logIndex": hex(log.log_index),
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
