"""`/mcp`: checks a request as every endpoint does, and passes it to the MCP server."""

import asyncio
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from api.answering.persisted import DocumentSource
from api.http.disconnects import while_connected
from api.http.graphql_client import GraphQLClient
from api.http.rates import RateLimited
from api.http.requests import RequestError, parse_json, read_body
from api.http.responses import NOT_STORED, as_request_error
from api.settings import Settings

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

INVALID_REQUEST = -32600
"""The code of JSON-RPC."""

EXTRA = 'MCP needs packages that are not installed here: pip install "certindex[mcp]"'


class McpEndpoint:
    """An ASGI application. `calls` counts the calls of tools, by tool and result."""

    def __init__(self, client: GraphQLClient, documents: DocumentSource, settings: Settings) -> None:
        self._client = client
        self._documents = documents
        self._settings = settings
        self._server: Server[Any] | None = None
        self.calls: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await self._answer(request, send)
        except (RequestError, RateLimited) as error:
            await _refusal(as_request_error(error))(scope, receive, send)
        except ClientDisconnect:
            pass

    async def _answer(self, request: Request, send: Send) -> None:
        if request.method != "POST":
            raise RequestError(405, "This is the address of an MCP server: send POST.", {"Allow": "POST"})
        check_origin(request.headers.get("origin"), self._settings.base_url)
        self._client.count(request.scope)
        if self._server is None:
            self._server = await asyncio.to_thread(self._build)
        body = await read_body(request, self._settings.max_body_bytes)
        # the library's own limits would let a body exhaust the stack, or hold text that no response can hold
        parse_json(body, "The body")
        from api.mcp.server import serve

        async with while_connected(request):
            await serve(self._server, request.scope, _replayed(body, request.receive), send)

    def _build(self) -> "Server[Any]":
        """Returns the server. Its library is imported at the first request: that takes most of a second."""
        try:
            from api.mcp.server import McpParts, mcp_server
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in ("mcp", "mcp_types"):
                raise
            raise RequestError(404, EXTRA) from None
        return mcp_server(McpParts(self._client, self._documents, self._settings.base_url, self.calls))


def check_origin(origin: str | None, base_url: str | None) -> None:
    """Raises RequestError for the page of another site: it may not use the service from its visitor's network.

    A browser names the page's site with each POST, also if that site's name has come to lead to this service (DNS
    rebinding). Other programs name none.
    """
    if origin is None or origin == base_url or _is_local(origin):
        return
    allowed = f"{base_url} (BASE_URL)" if base_url else "none, as BASE_URL is not set"
    raise RequestError(
        403,
        f"Origin is {origin[:200]}: pages of this machine may send requests here, and those of one site: {allowed}.",
    )


def _is_local(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Returns a `receive` that begins with a body that was read."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _refusal(error: RequestError) -> JSONResponse:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": error.message}}
    return JSONResponse(body, error.status, {**NOT_STORED, **error.headers})
