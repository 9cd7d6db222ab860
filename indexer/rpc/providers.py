"""Who can be asked: one node, or several of which each may be doubted."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from indexer.errors import TryAgain
from indexer.rpc.gather import together

ResultT = TypeVar("ResultT")


class Rpc(Protocol):
    async def call(self, method: str, params: list[Any], result: type[ResultT]) -> ResultT: ...


@runtime_checkable
class Providers(Rpc, Protocol):
    """Several nodes; see `indexer.rpc.Pool`."""

    async def call_each(self, method: str, params: Sequence[list[Any]], result: type[ResultT]) -> list[ResultT]: ...

    async def call_other(
        self, method: str, params: list[Any], result: type[ResultT], *, strict: bool = False
    ) -> ResultT: ...

    def distrust(self, method: str, params: list[Any], site: str, reason: TryAgain) -> None: ...

    def answerers(self, method: str, params: list[Any]) -> Sequence[str]: ...


class OneNode:
    """A node by itself, asked as several are."""

    def __init__(self, rpc: Rpc) -> None:
        self.call = rpc.call

    async def call_each(self, method: str, params: Sequence[list[Any]], result: type[ResultT]) -> list[ResultT]:
        """Asks it side by side."""
        return await together(*(self.call(method, one, result) for one in params))

    async def call_other(
        self, method: str, params: list[Any], result: type[ResultT], *, strict: bool = False
    ) -> ResultT:
        """Asks it again."""
        return await self.call(method, params, result)

    def distrust(self, method: str, params: list[Any], site: str, reason: TryAgain) -> None:
        """Does nothing: there is no other."""

    def answerers(self, method: str, params: list[Any]) -> Sequence[str]:
        """Returns one name, of no meaning."""
        return ("The node",)
