"""One RPC URL: web3's HTTP provider, with the parts that a limping node breaks done with care.

web3's provider drops the body of an HTTP error, where providers put the reason, opens a connection a request, and
retries by itself. Here the body is read on any status, connections are kept, and one failure is one error.
Any AsyncWeb3 may be given one.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from web3 import AsyncHTTPProvider

from indexer.rpc.errors import NoAnswer, shown_url, without_keys
from indexer.rpc.reply import UNREADABLE, Reply, result_of, results_of, start
from indexer.rpc.request import Request

ResultT = TypeVar("ResultT")

DEEPEST_RECURSION = 1_000
# web3 loads py_ecc, which allows 100,000: JSON that deep, a node's or a client's, ends the process at the stack's end
sys.setrecursionlimit(min(sys.getrecursionlimit(), DEEPEST_RECURSION))

REQUEST_TIMEOUT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 10.0


class Endpoint(AsyncHTTPProvider):
    """Asks one node. Every failure is a TryAgain that names the node, without its key, and what it said."""

    def __init__(self, url: str, *, timeout: float = REQUEST_TIMEOUT_SECONDS) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self.url = url
        self._timeout = ClientTimeout(total=timeout, connect=min(timeout, CONNECT_TIMEOUT_SECONDS))
        self._ids = itertools.count(1)
        self._session: ClientSession | None = None
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    async def call(self, method: str, params: list[Any], result: type[ResultT]) -> ResultT:
        """Returns the result decoded as `result`. Raises RpcError for a refusal, NoAnswer for no usable answer."""
        request = Request(next(self._ids), method, params)
        reply = await self._post(method, msgspec.json.encode(request))
        found = result_of(self.url, request, reply)
        try:
            # who wants JSON is given it as it was found: a whole answer of logs is not scanned a second time
            decoded: Any = found if result is msgspec.Raw else self._decoder(result).decode(found)
        except UNREADABLE as error:
            said = start(self.url, reply)
            raise NoAnswer(f"{shown_url(self.url)} answered {method} with {said}: {error}") from None
        return decoded  # type: ignore[no-any-return]  # of the kind that the decoder was made for

    async def call_batch(self, method: str, params: Sequence[list[Any]], result: type[ResultT]) -> list[ResultT | None]:
        """Returns the results of several requests that go out as one; None for each that was not answered well.

        Raises NoAnswer where the node gave no batch.
        """
        requests = [Request(next(self._ids), method, one) for one in params]
        reply = await self._post(method, msgspec.json.encode(requests))
        decoder = self._decoder(result)
        try:
            return [None if found is None else decoder.decode(found) for found in results_of(self.url, requests, reply)]
        except UNREADABLE as error:
            raise NoAnswer(f"{shown_url(self.url)} answered a batch of {method} oddly: {error}") from None

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _decoder(self, result: type[ResultT]) -> msgspec.json.Decoder[ResultT]:
        decoder = self._decoders.get(result)
        if decoder is None:
            decoder = self._decoders[result] = msgspec.json.Decoder(result)
        return decoder

    async def _make_request(self, method: Any, request_data: bytes) -> bytes:
        # what AsyncWeb3 calls, for requests off the hot path; it reads the answer itself
        return (await self._post(method, request_data)).body

    async def _post(self, method: str, data: bytes) -> Reply:
        if self._session is None:
            self._session = ClientSession(timeout=self._timeout, headers=self.get_request_headers())
        try:
            # a redirected POST would come back as a GET of something else
            async with self._session.post(self.url, data=data, allow_redirects=False) as response:
                return Reply(response.status, await response.read(), response.headers.get("Retry-After"))
        except (TimeoutError, ClientError, OSError) as error:
            reason = without_keys(self.url, str(error) or type(error).__name__)
            raise NoAnswer(f"{shown_url(self.url)} did not answer {method}: {reason}") from None
