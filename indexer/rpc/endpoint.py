"""One RPC URL: web3's HTTP provider, with the parts that a limping node breaks done with care.

web3's provider drops the body of an HTTP error, where providers put the reason, opens a connection a request, and
retries by itself. Here the body is read on any status, connections are kept, and one failure is one error.
"""

import itertools
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from web3 import AsyncHTTPProvider

from indexer.errors import TryAgain

ResultT = TypeVar("ResultT")

REQUEST_TIMEOUT = ClientTimeout(total=60, connect=10)
SHOWN_BODY = 200


class RpcError(TryAgain):
    """The node answered with an error. `text` holds all that it said, lower case, to be told apart by."""

    def __init__(self, url: str, method: str, said: str, *, code: int | None = None, status: int | None = None) -> None:
        where = f" (HTTP {status})" if status not in (None, 200) else ""
        super().__init__(f"{shown_url(url)} answered {method} with an error{where}: {said}")
        self.text = said.lower()
        self.code = code
        self.status = status


class Answer(msgspec.Struct):
    """A JSON-RPC answer whose parts are decoded when it is known which is there."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class Endpoint(AsyncHTTPProvider):
    """Asks one node. Every failure is a TryAgain that names the node, without its key, and what it said."""

    def __init__(self, url: str) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self.url = url
        self._ids = itertools.count(1)
        self._session: ClientSession | None = None
        self._answers = msgspec.json.Decoder(Answer)
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    async def call(self, method: str, params: list[Any], result: type[ResultT]) -> ResultT:
        """Returns the result decoded as `result`. Raises RpcError for an error answer, TryAgain for none."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        status, body = await self._post(method, msgspec.json.encode(request))
        answer = self._decode(method, status, body)
        decoder = self._decoders.get(result)
        if decoder is None:
            decoder = self._decoders[result] = msgspec.json.Decoder(result)
        try:
            decoded: ResultT = decoder.decode(answer.result)
        except msgspec.DecodeError as error:
            raise TryAgain(f"{shown_url(self.url)} answered {method} with {_start(body)}: {error}") from None
        return decoded

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _make_request(self, method: Any, request_data: bytes) -> bytes:
        # what AsyncWeb3 calls, for requests off the hot path
        status, body = await self._post(method, request_data)
        self._decode(method, status, body)
        return body

    async def _post(self, method: str, data: bytes) -> tuple[int, bytes]:
        if self._session is None:
            self._session = ClientSession(timeout=REQUEST_TIMEOUT, headers=self.get_request_headers())
        try:
            async with self._session.post(self.url, data=data) as response:
                return response.status, await response.read()
        except (TimeoutError, ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise TryAgain(f"{shown_url(self.url)} did not answer {method}: {reason}") from None

    def _decode(self, method: str, status: int, body: bytes) -> Answer:
        try:
            answer = self._answers.decode(body)
        except msgspec.DecodeError:
            raise RpcError(self.url, method, f"no JSON-RPC answer: {_start(body)}", status=status) from None
        if answer.error and answer.error != b"null":
            code, said = _said(bytes(answer.error))
            raise RpcError(self.url, method, said, code=code, status=status)
        if not answer.result or status != 200:
            raise RpcError(self.url, method, f"no result: {_start(body)}", status=status)
        return answer


def shown_url(url: str) -> str:
    """Returns the URL without what may be a key: only scheme, host and port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    hidden = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{hidden}"


def _start(body: bytes) -> str:
    text = body[:SHOWN_BODY].decode("utf-8", "replace").strip()
    return f"{text!r}{'...' if len(body) > SHOWN_BODY else ''}"


def _said(error: bytes) -> tuple[int | None, str]:
    decoded = msgspec.json.decode(error)
    if not isinstance(decoded, dict):
        return None, str(decoded)
    code = decoded.get("code")
    parts = [str(decoded[key]) for key in ("message", "data") if decoded.get(key)]
    return code if isinstance(code, int) else None, ", ".join(parts) or str(decoded)
