"""Queries for logs, and how a refused query is split. The parts cover the query exactly, so that no log is lost."""

from collections.abc import Sequence
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    LimitExceeded,
    NoSuchTag,
    Refusal,
    Reverted,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)

SIDE_BY_SIDE = 8
"""Parts of a query that are read at once: those after them are cut anew, since what the host takes may have grown."""


class LogQuery(Struct, frozen=True):
    """Blocks first to last, both included, and 0x addresses."""

    first: int
    last: int
    addresses: Sequence[str]

    @property
    def blocks(self) -> int:
        return self.last - self.first + 1

    def to_json(self) -> dict[str, Any]:
        return {"fromBlock": hex(self.first), "toBlock": hex(self.last), "address": self.addresses}


def divide(query: LogQuery, refusal: Refusal) -> list[list[LogQuery]]:
    """Returns smaller queries that together cover this one, in order; none if splitting does not help.

    The queries of one list may be read side by side, the lists one after another: if it is unclear whether a smaller
    query helps, the first part shows it, so that a node that is down does not get a request for every block.
    """
    match refusal:
        case ShrinkTo(blocks):
            return _pieces(query, blocks) if blocks < query.blocks else _together(_halves(query))
        case UseRange(first, last):
            return _together(_around(query, first, last) or _halves(query))
        case HalveQuery():
            return _together(_halves(query))
        case SplitAddresses():
            return _together(_fewer_addresses(query) or _halves(query))
        case LimitExceeded() | Unknown() | SmallerBatch():
            return [[part] for part in _halves(query) or _fewer_addresses(query)]
        case BackOff() | GiveUp() | Reverted() | WaitForHead() | HistoryGone() | NoSuchTag():
            return []
        case _ as never:
            assert_never(never)


def _together(parts: list[LogQuery]) -> list[list[LogQuery]]:
    return [parts] if parts else []


def _pieces(query: LogQuery, blocks: int) -> list[list[LogQuery]]:
    rest = min(query.first + SIDE_BY_SIDE * blocks, query.last + 1)
    starts = range(query.first, rest, blocks)
    pieces = [replace(query, first=start, last=min(start + blocks - 1, query.last)) for start in starts]
    return [pieces, [replace(query, first=rest)]] if rest <= query.last else [pieces]


def _halves(query: LogQuery) -> list[LogQuery]:
    if query.blocks < 2:
        return []
    middle = (query.first + query.last) // 2
    return [replace(query, last=middle), replace(query, first=middle + 1)]


def _around(query: LogQuery, first: int, last: int) -> list[LogQuery]:
    """Returns the suggested range and the blocks before and after it; none if it is no proper part of the query."""
    if not query.first <= first <= last <= query.last or last - first + 1 == query.blocks:
        return []
    parts = [(query.first, first - 1), (first, last), (last + 1, query.last)]
    return [replace(query, first=start, last=end) for start, end in parts if start <= end]


def _fewer_addresses(query: LogQuery) -> list[LogQuery]:
    if len(query.addresses) < 2:
        return []
    middle = len(query.addresses) // 2
    return [replace(query, addresses=part) for part in (query.addresses[:middle], query.addresses[middle:])]
