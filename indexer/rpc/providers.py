"""The interface of providers for the rest of the indexer. `indexer.rpc.Pool` implements it."""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from indexer.errors import TryAgain
from indexer.rpc.host import Host

ResultT = TypeVar("ResultT")


class Answered(Struct, Generic[ResultT], frozen=True):
    """A result, and the provider that returned it."""

    host: Host
    result: ResultT


class Providers(Protocol):
    """One or more providers of the same chain."""

    async def call(
        self, method: str, params: list[Any], result: type[ResultT], *, avoid: Sequence[Host] = (), strict: bool = False
    ) -> Answered[ResultT]:
        """Returns the result decoded as `result`. Raises RpcError for a refusal, TryAgain without an answer.

        Providers at the sites of `avoid` are requested last; with `strict` never.
        """

    async def call_each(
        self, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[Answered[ResultT]]:
        """Returns the results of many requests, in order."""

    def distrust(self, host: Host, reason: TryAgain) -> None:
        """Sets aside a provider that returned something wrong, for a while, if there is another one."""
