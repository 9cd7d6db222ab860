"""GraphQL over server-sent events, by the protocol graphql-sse in its mode of distinct connections.

One request is one operation: its answers are `next` events, its end is `complete`. What is wrong with a query is told
in a `next` too, as a browser's EventSource would not show another status.
"""

import asyncio
import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.answering.operations import Live, TooMany
from api.graphql.errors import Code
from api.graphql.request import GraphQLRequest
from api.http.rates import Client, RateLimited
from api.http.requests import EVENT_STREAM, RequestError, read_request, response_type
from api.http.sending import Outlet, TooSlow

log = logging.getLogger(__name__)

SILENCE_SECONDS = 12.0
"""After so long a comment is sent: proxies end connections on which nothing moves."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Accept"),
)
COMMENT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


class StreamEndpoint:
    """An ASGI application that answers nothing but streams."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> "Response | EventStream":
        # the endpoint imports this module
        from api.http.endpoint import refusal, too_many

        try:
            if request.method not in ("GET", "POST"):
                raise RequestError(405, f"{request.method} is not answered: send GET or POST.", {"Allow": "GET, POST"})
            if request.headers.get("accept"):
                response_type(request, [EVENT_STREAM])
            client = self._live.rates.client(request.scope)
            client.take_request()
            return EventStream(self._live, await read_request(request, self._live.settings.max_body_bytes), client)
        except RequestError as error:
            return refusal(error)
        except RateLimited as error:
            return refusal(too_many(error))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it


class EventStream:
    """The response to one operation. Ends without `complete` when the client is too slow: it may resume."""

    def __init__(self, live: Live, asked: GraphQLRequest, client: Client) -> None:
        self._live = live
        self._asked = asked
        self._client = client
        self._outlet = Outlet(live.settings.send_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from api.http.endpoint import refusal

        try:
            with self._live.connection():
                await self._stream(receive, send)
        except TooMany:
            busy = RequestError(503, "Too many connections: try again later.", {"Retry-After": "5"}, Code.NOT_READY)
            await refusal(busy)(scope, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        telling = asyncio.create_task(self._tell(send))
        tasks = {telling, asyncio.create_task(_gone(receive)), asyncio.create_task(self._break_silence(send))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except TooSlow:
            log.warning("a client of an event stream was too slow and was cut off")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if telling.done() and not telling.cancelled() and telling.exception() is None:
            await self._send(send, b"", more=False)

    async def _tell(self, send: Send) -> None:
        await self._send(send, COMMENT)
        async for batch in self._live.answers(self._asked, self._client):
            for answer in batch:
                await self._send(send, b"event: next\ndata: " + answer.body + b"\n\n")
        await self._send(send, COMPLETE)

    async def _break_silence(self, send: Send) -> None:
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            await self._send(send, COMMENT)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        await self._outlet.send(lambda: _send(send, body, more))


async def _send(send: Send, body: bytes, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
