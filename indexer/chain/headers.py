"""Block headers and the heads of the chain, checked against the request and against each other."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from indexer.chain.checked_calls import CheckedCalls
from indexer.chain.wire import Header, JsonHeader, WrongAnswer, to_header
from indexer.errors import TryAgain
from indexer.rpc import RpcError
from indexer.rpc.gather import gather
from indexer.rpc.providers import Answered

BY_NUMBER = "eth_getBlockByNumber"
KIND: Any = JsonHeader | None
NO_SUCH_TAG = re.compile(r"\btag\b|hex string|invalid (argument|params|block)|(un|not )supported|block not found")
"""Texts of nodes that do not know the tags `safe` and `finalized`."""
INVALID_PARAMS = -32602


class Heads(Struct, frozen=True):
    """The newest block, and the newest ones that the chain calls safe and finalized."""

    latest: Header
    safe_number: int
    finalized: Header


class Headers:
    """Reads headers. Without tags a block counts as finalized `finality_depth` blocks below the head."""

    def __init__(self, calls: CheckedCalls, finality_depth: int) -> None:
        self._calls = calls
        self._finality_depth = finality_depth
        self._knows_tags = False

    async def heads(self) -> Heads:
        """Returns the newest, safe and finalized blocks; by depth if the chain knows no such tags."""
        latest = await self._tagged("latest")
        if latest is None:
            raise TryAgain("The node has no latest block: it is starting or syncing.")
        try:
            safe, finalized = await gather(self._tagged("safe"), self._tagged("finalized"))
        except RpcError as error:
            if self._knows_tags or not _is_tag_unknown(error):
                raise
            finalized = None
        if finalized is not None:
            self._knows_tags = True
            finalized = min(finalized, latest, key=lambda header: header.number)
            safe_number = finalized.number if safe is None else min(safe.number, latest.number)
            return Heads(latest, max(safe_number, finalized.number), finalized)
        if self._knows_tags:
            raise TryAgain("The node has no finalized block, though it had one before.")
        number = max(latest.number - self._finality_depth, 0)
        return Heads(latest, number, await self.header(number))

    async def header(self, number: int) -> Header:
        """Returns the canonical block at this height. Raises TryAgain if the node does not have it yet."""

        def check(answer: Answered[JsonHeader | None]) -> Header:
            header = _header(answer, number)
            if header is None:
                raise WrongAnswer(f"The node has no block {number}: it lags behind the head that it reported before.")
            return header

        return await self._calls.checked(BY_NUMBER, [hex(number), False], KIND, check)

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Returns the canonical blocks at these heights, read in batches."""
        params = [[hex(number), False] for number in numbers]
        answers = await self._calls.providers.call_each(BY_NUMBER, params, KIND) if params else []
        return [
            _right_header(answer, number) or await self.header(number)
            for answer, number in zip(answers, numbers, strict=True)
        ]

    async def second_header(self, header: Header, wrong: WrongAnswer) -> Header:
        """Returns the same block as another provider returns it, and distrusts the provider of the first header.

        If no other provider returns a different header, raises `wrong` (the contradiction that was found).
        """
        avoid = () if header.host is None else (header.host,)
        answer = await self._calls.call(BY_NUMBER, [hex(header.number), False], KIND, avoid=avoid)
        second = _right_header(answer, header.number)
        if second is None or second.hash != header.hash or replace(second, host=header.host) == header:
            raise wrong
        self._distrust(header, wrong)
        return second

    def check_links(self, headers: Sequence[Header]) -> None:
        """Raises TryAgain if a block is not the child of the one before it, and distrusts the parent's provider."""
        for parent, child in pairwise(headers):
            if child.number == parent.number + 1 and child.parent_hash != parent.hash:
                broken = TryAgain(
                    f"Block {child.number} is not a child of block {parent.number}: the node switched branches."
                )
                self._distrust(parent, broken)
                raise broken

    async def _tagged(self, tag: str) -> Header | None:
        return await self._calls.checked(BY_NUMBER, [tag, False], KIND, _header)

    def _distrust(self, header: Header, reason: TryAgain) -> None:
        if header.host is not None:
            self._calls.providers.distrust(header.host, reason)


def _header(answer: Answered[JsonHeader | None], number: int | None = None) -> Header | None:
    """Returns the header, None if the node does not have it. Raises WrongAnswer, also for another number."""
    if answer.result is None:
        return None
    header = to_header(answer.result, answer.host)
    if number is not None and header.number != number:
        raise WrongAnswer(f"The node returned block {header.number} instead of block {number}.")
    return header


def _right_header(answer: Answered[JsonHeader | None], number: int) -> Header | None:
    """Returns the header, None if it is missing or wrong."""
    try:
        return _header(answer, number)
    except WrongAnswer:
        return None


def _is_tag_unknown(error: RpcError) -> bool:
    return error.code == INVALID_PARAMS or NO_SUCH_TAG.search(error.text) is not None
