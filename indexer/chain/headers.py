"""Block headers and the heads of the chain, checked against the request and against each other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from indexer.chain.checked_calls import CheckedCalls
from indexer.chain.wire import Header, JsonHeader, WrongAnswer, to_header
from indexer.errors import TryAgain
from indexer.rpc.block_tags import is_tag_unknown
from indexer.rpc.errors import RpcError
from indexer.rpc.gather import gather
from indexer.rpc.host import Host
from indexer.rpc.providers import Answered
from indexer.rpc.refusals import NoSuchTag

BY_NUMBER = "eth_getBlockByNumber"
KIND: Any = JsonHeader | None


class Heads(Struct, frozen=True):
    """The newest block, and the newest ones that the chain calls safe and finalized."""

    latest: Header
    safe_number: int
    finalized: Header


class Headers:
    """Reads headers. If no provider knows the tag, a block is finalized `finality_depth` blocks below the head.

    With `by_depth` the tags are never requested. Without `trust_bloom` the headers are read without their blooms.
    """

    def __init__(
        self, calls: CheckedCalls, finality_depth: int, *, by_depth: bool = False, trust_bloom: bool = True
    ) -> None:
        self._calls = calls
        self._trust_bloom = trust_bloom
        self._finality_depth = finality_depth
        self._by_depth = by_depth
        self._tagged: dict[str, Header] = {}

    async def heads(self) -> Heads:
        """Returns the newest, safe and finalized blocks."""
        latest = await self._calls.checked(BY_NUMBER, ["latest", False], KIND, self._read)
        if latest is None:
            raise TryAgain("The node has no latest block: it is starting or syncing.")
        safe, finalized = (
            (None, None) if self._by_depth else await gather(self._newest("safe"), self._newest("finalized"))
        )
        if finalized is None:
            finalized = await self.header(max(latest.number - self._finality_depth, 0))
        finalized = min(finalized, latest, key=lambda header: header.number)
        safe_number = finalized.number if safe is None else min(safe.number, latest.number)
        return Heads(latest, max(safe_number, finalized.number), finalized)

    async def header(self, number: int) -> Header:
        """Returns the canonical block at this height. Raises TryAgain if the node does not have it yet."""

        def check(answer: Answered[JsonHeader | None]) -> Header:
            header = self._read(answer, number)
            if header is None:
                raise WrongAnswer(f"The node has no block {number}: it lags behind the head that it reported before.")
            return header

        return await self._calls.checked(BY_NUMBER, [hex(number), False], KIND, check)

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Returns the canonical blocks at these heights, read in batches."""
        params = [[hex(number), False] for number in numbers]
        answers = await self._calls.providers.call_each(BY_NUMBER, params, KIND) if params else []
        return [
            self._read_right(answer, number) or await self.header(number)
            for answer, number in zip(answers, numbers, strict=True)
        ]

    async def second_header(self, header: Header, wrong: WrongAnswer) -> Header | None:
        """Returns the same block as another provider returns it, and distrusts the provider of the first header.

        Returns None if no other provider answers now. If one returns no different header, raises `wrong` (the
        contradiction that was found).
        """
        avoid = () if header.host is None else (header.host,)
        answer = await self._calls.call(BY_NUMBER, [hex(header.number), False], KIND, avoid=avoid)
        if any(answer.host.site == host.site for host in avoid):
            return None
        second = self._read_right(answer, header.number)
        if second is None or second.hash != header.hash or replace(second, host=header.host) == header:
            raise wrong
        self._distrust(header, wrong)
        return second

    async def check_no_other_has(self, header: Header, hash: bytes) -> None:
        """Raises TryAgain, and distrusts the provider of the header, if another has a block with this hash there."""
        avoid = () if header.host is None else (header.host,)
        answer = await self._calls.call(BY_NUMBER, [hex(header.number), False], KIND, avoid=avoid)
        other = self._read_right(answer, header.number)
        if other is not None and other.hash == hash:
            wrong = TryAgain(
                f"The node has another block {header.number} than a second provider, which has the indexed one."
            )
            self._distrust(header, wrong)
            raise wrong

    async def settled_header(self, header: Header, host: Host | None, wrong: WrongAnswer) -> Header:
        """Returns the header that an answer of `host` contradicts, as another provider returns it.

        Distrusts the provider of the header if the other one is different, `host` if it is the same. If no other
        provider answers now, either may be wrong: returns the header, and distrusts none.
        """
        try:
            return await self.second_header(header, wrong) or header
        except WrongAnswer:
            if host is not None:
                self._calls.providers.distrust(host, wrong)
            return header

    def check_links(self, headers: Sequence[Header]) -> None:
        """Raises WrongAnswer if a block is not the child of the one before it, and distrusts the parent's provider."""
        for parent, child in pairwise(headers):
            if child.number == parent.number + 1 and child.parent_hash != parent.hash:
                broken = WrongAnswer(
                    f"Block {child.number} is not a child of block {parent.number}: the node switched branches."
                )
                self._distrust(parent, broken)
                raise broken

    async def _newest(self, tag: str) -> Header | None:
        """Returns the newest block that the chain calls `tag`; None if no provider has ever returned one.

        If only providers without this tag answer, returns the block that another provider returned before.
        """
        before = self._tagged.get(tag)

        def check(answer: Answered[JsonHeader | None]) -> Header | None:
            if answer.result is None and before is not None and answer.host is before.host:
                raise TryAgain(f"The node has no {tag} block, though it had one before.")
            return self._read(answer)

        try:
            header = await self._calls.checked(BY_NUMBER, [tag, False], KIND, check)
        except RpcError as error:
            if isinstance(error.refusal, NoSuchTag) or (before is None and is_tag_unknown(error)):
                return before
            raise
        if header is None:
            return before
        self._tagged[tag] = header
        return header

    def _read(self, answer: Answered[JsonHeader | None], number: int | None = None) -> Header | None:
        """Returns the header, None if the node does not have it. Raises WrongAnswer, also for another number."""
        if answer.result is None:
            return None
        header = to_header(answer.result, answer.host, trust_bloom=self._trust_bloom)
        if number is not None and header.number != number:
            raise WrongAnswer(f"The node returned block {header.number} instead of block {number}.")
        return header

    def _read_right(self, answer: Answered[JsonHeader | None], number: int) -> Header | None:
        """Returns the header, None if it is missing or wrong."""
        try:
            return self._read(answer, number)
        except WrongAnswer:
            return None

    def _distrust(self, header: Header, reason: TryAgain) -> None:
        if header.host is not None:
            self._calls.providers.distrust(header.host, reason)
