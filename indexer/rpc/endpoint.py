"""One RPC URL: web3's HTTP provider, made robust against failing nodes.

web3's provider drops the body of an HTTP error, where providers put the reason, opens a connection for each request,
and retries by itself. Here the body is read for any status, connections are kept, and one failure is one error.
AsyncWeb3 accepts an Endpoint as its provider.
"""

import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, ConnectionTimeoutError
from web3 import AsyncHTTPProvider

from indexer.rpc.errors import BrokenOff, NoAnswer, NotConnected, RpcError, WrongShape
from indexer.rpc.proxy import proxy_of
from indexer.rpc.refusals import BackOff
from indexer.rpc.reply import UNREADABLE, Reply, result_of, results_of, start
from indexer.rpc.request import Request, is_wide
from indexer.urls import Headers, secrets_of, shown_url, without_keys
from schema.program.tracing import span

ResultT = TypeVar("ResultT")

DEEPEST_RECURSION = 1_000
# web3 loads py_ecc, which sets 100,000: JSON nested that deep, from a node or a client, would overflow the stack
sys.setrecursionlimit(min(sys.getrecursionlimit(), DEEPEST_RECURSION))

REQUEST_TIMEOUT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 10.0
PROBE_SECONDS = 2.0
QUICK_METHODS = ("eth_blockNumber", "eth_chainId", "eth_getBlockByNumber")
QUICK_TIMEOUT_SECONDS = 10.0
"""For requests that take a node no work: after an outage, nothing waits longer for the response to one."""
WIDE_TIMEOUT_SECONDS = 20.0
"""For logs of several blocks: if they take longer, a shorter range is quicker than to wait."""


class Endpoint(AsyncHTTPProvider):
    """Sends requests to one node, with `headers`, through the proxy that the environment names for its URL.

    Every failure is a TryAgain that names the node without its key, and its response.
    """

    def __init__(self, url: str, headers: Headers = (), *, timeout: float = REQUEST_TIMEOUT_SECONDS) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self.url = url
        self._host = urlsplit(url).hostname or ""
        self._headers = headers
        self._proxy = proxy_of(url)
        self._secrets = secrets_of(self._proxy, headers)
        self._timeout = _timeout(timeout)
        self._wide_timeout = _timeout(min(timeout, WIDE_TIMEOUT_SECONDS))
        self._quick_timeout = _timeout(min(timeout, QUICK_TIMEOUT_SECONDS))
        self._ids = itertools.count(1)
        self._session: ClientSession | None = None
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    async def call(self, method: str, params: list[Any], result: type[ResultT]) -> ResultT:
        """Returns the result decoded as `result`. Raises RpcError for a refusal, NoAnswer without a usable response."""
        request = Request(next(self._ids), method, params)
        reply = await self._post(method, msgspec.json.encode(request), self._patience(method, params))
        encoded = result_of(self.url, request, reply)
        try:
            # Raw is returned as it is, so that a long list of logs is not scanned a second time
            decoded: Any = encoded if result is msgspec.Raw else self._decoder(result).decode(encoded)
        except UNREADABLE as error:
            shown = start(self.url, reply)
            raise WrongShape(f"{shown_url(self.url)} answered {method} with {shown}: {error}") from None
        return decoded  # type: ignore[no-any-return]  # of the type that the decoder was made for

    async def call_batch(self, method: str, params: Sequence[list[Any]], result: type[ResultT]) -> list[ResultT | None]:
        """Returns the results of several requests sent as one; None for each that has no usable response.

        Raises RpcError if the node refused the batch, NoAnswer if it returned none.
        """
        requests = [Request(next(self._ids), method, each) for each in params]
        reply = await self._post(method, msgspec.json.encode(requests), self._timeout)
        decoder = self._decoder(result)
        try:
            results = results_of(self.url, requests, reply)
            return [None if encoded is None else decoder.decode(encoded) for encoded in results]
        except UNREADABLE as error:
            raise NoAnswer(f"{shown_url(self.url)} answered a batch of {method} with a wrong result: {error}") from None

    async def responds(self) -> bool:
        """Returns whether a node responds to eth_blockNumber within PROBE_SECONDS, over a new connection.

        The old connections may be dead without notice: if the node responds, they are closed.
        """
        probe = Endpoint(self.url, self._headers, timeout=PROBE_SECONDS)
        try:
            await probe.call("eth_blockNumber", [], msgspec.Raw)
        except RpcError as error:
            # an error without a code is of a proxy or a gateway in between
            if error.code is None or isinstance(error.refusal, BackOff):
                return False
        except NoAnswer:
            return False
        finally:
            await probe.close()
        await self.close()
        return True

    async def close(self) -> None:
        """Closes the connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _patience(self, method: str, params: list[Any]) -> ClientTimeout:
        if method in QUICK_METHODS:
            return self._quick_timeout
        return self._wide_timeout if is_wide(method, params) else self._timeout

    def _decoder(self, result: type[ResultT]) -> msgspec.json.Decoder[ResultT]:
        decoder = self._decoders.get(result)
        if decoder is None:
            decoder = self._decoders[result] = msgspec.json.Decoder(result)
        return decoder

    async def _make_request(self, method: Any, request_data: bytes) -> bytes:
        # AsyncWeb3 calls this, for requests off the hot path, and reads the response itself
        return (await self._post(method, request_data, self._timeout)).body

    async def _post(self, method: str, data: bytes, patience: ClientTimeout) -> Reply:
        with span(method, rpc_system="jsonrpc", rpc_method=method, server_address=self._host):
            return await self._send(method, data, patience)

    async def _send(self, method: str, data: bytes, patience: ClientTimeout) -> Reply:
        if self._session is None:
            self._session = ClientSession(headers=self.get_request_headers() | dict(self._headers))
        try:
            # a redirect would turn the POST into a GET of something else
            async with self._session.post(
                self.url, data=data, timeout=patience, allow_redirects=False, proxy=self._proxy
            ) as response:
                location = response.headers.get("Location") if response.status in REDIRECTS else None
                return Reply(
                    response.status, await response.read(), response.headers.get("Retry-After"), location, self._secrets
                )
        except (TimeoutError, ClientError, OSError) as error:
            reason = without_keys(self.url, _reason(error), self._secrets)
            if self._proxy is not None:
                reason = f"{reason} (through the proxy {shown_url(self._proxy)})"
            kind = NotConnected if isinstance(error, NOT_CONNECTED) else BrokenOff
            raise kind(f"{shown_url(self.url)} did not answer {method}: {reason}") from None


REDIRECTS = range(300, 400)
NOT_CONNECTED = (ClientConnectorError, ConnectionTimeoutError)


def _reason(error: Exception) -> str:
    """Returns why a request failed, without the host and aiohttp's own settings, which an error begins with."""
    text = str(error) or type(error).__name__
    match = CANNOT_CONNECT.fullmatch(text)
    return match[1] if match else text


CANNOT_CONNECT = re.compile(r"Cannot connect to host \S+ ssl:.*? \[(.*)\]", re.DOTALL)


def _timeout(seconds: float) -> ClientTimeout:
    return ClientTimeout(total=seconds, connect=min(seconds, CONNECT_TIMEOUT_SECONDS))
