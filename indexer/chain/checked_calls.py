"""Requests whose responses are checked. After a wrong response, its provider is distrusted and another one is used."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from indexer.chain.wire import WrongAnswer
from indexer.rpc.host import Host
from indexer.rpc.providers import Answered, Providers

ResultT = TypeVar("ResultT")

TRIES = 3
"""Requests of the same thing while its answers contradict a header, each other or themselves."""


class CheckedCalls:
    """Sends requests to providers, at most `concurrency` at once."""

    def __init__(self, providers: Providers, concurrency: int) -> None:
        self.providers = providers
        self._semaphore = asyncio.Semaphore(concurrency)

    async def call(
        self, method: str, params: list[Any], kind: Any, *, avoid: Sequence[Host] = (), strict: bool = False
    ) -> Answered[Any]:
        """Returns an unchecked answer; see `Providers.call`."""
        async with self._semaphore:
            return await self.providers.call(method, params, kind, avoid=avoid, strict=strict)

    async def checked(
        self,
        method: str,
        params: list[Any],
        kind: Any,
        check: Callable[[Answered[Any]], ResultT],
        *,
        avoid: Sequence[Host] = (),
        strict: bool = False,
        tries: int = TRIES,
    ) -> ResultT:
        """Returns what `check` makes of an answer.

        If it raises WrongAnswer, distrusts the provider and repeats the request. Raises what the last try raised.
        """
        while True:
            answer = await self.call(method, params, kind, avoid=avoid, strict=strict)
            tries -= 1
            try:
                return check(answer)
            except WrongAnswer as error:
                if answer.result is not None:  # a block that is missing may only be late
                    self.providers.distrust(answer.host, error)
                if tries == 0:
                    raise
