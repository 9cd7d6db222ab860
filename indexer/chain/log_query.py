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

MOST_BLIND_SPLITS = 3
"""Halvings for unknown refusals: without a limit, a node that is down would get a request for every block."""


class LogQuery(Struct, frozen=True):
    """Blocks first to last, both included, and 0x addresses. `blind_splits`: halvings for unknown refusals so far."""

    first: int
    last: int
    addresses: Sequence[str]
    blind_splits: int = 0

    @property
    def blocks(self) -> int:
        return self.last - self.first + 1

    def to_json(self) -> dict[str, Any]:
        return {"fromBlock": hex(self.first), "toBlock": hex(self.last), "address": self.addresses}


def divide(query: LogQuery, refusal: Refusal) -> list[LogQuery]:
    """Returns smaller queries that together cover this one, in order; none if splitting does not help."""
    match refusal:
        case ShrinkTo(blocks):
            return _pieces(query, blocks) if blocks < query.blocks else _halves(query)
        case UseRange(first, last):
            return _around(query, first, last) or _halves(query)
        case HalveQuery():
            return _halves(query)
        case SplitAddresses():
            return _fewer_addresses(query) or _halves(query)
        case Unknown() | SmallerBatch() if query.blind_splits < MOST_BLIND_SPLITS:
            return [replace(part, blind_splits=query.blind_splits + 1) for part in _halves(query)]
        case Unknown() | SmallerBatch() | BackOff() | GiveUp() | Reverted():
            return []
        case WaitForHead() | HistoryGone() | NoSuchTag():
            return []
        case _ as never:
            assert_never(never)


def _pieces(query: LogQuery, blocks: int) -> list[LogQuery]:
    starts = range(query.first, query.last + 1, blocks)
    return [replace(query, first=start, last=min(start + blocks - 1, query.last)) for start in starts]


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
