"""GraphQL over server-sent events: the protocol graphql-sse in its mode of distinct connections.

One request executes one operation: each of its responses is a `next` event, and `complete` is the last event. An error
in the query is sent in a `next` event too, because the EventSource of a browser does not show another status.

The response starts when the subscription has its place: it streams all that is indexed after its status was sent.
"""

import asyncio
import logging

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.answering.operations import Operations, TooManyConnections
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.http.disconnects import Endpoint, disconnected
from api.http.draining import Drain
from api.http.rates import Client, Rates
from api.http.requests import EVENT_STREAM, RequestError, read_request, response_type
from api.http.responses import refusal_response
from api.http.sending import ClientTooSlow, Sender
from api.settings import Settings

log = logging.getLogger(__name__)

SILENCE_SECONDS = 12.0
"""After so long without a message a comment is sent: proxies close connections that are idle."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Accept"),
)
COMMENT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


class StreamEndpoint(Endpoint):
    """An ASGI application that answers with event streams only."""

    def __init__(self, operations: Operations, rates: Rates, settings: Settings, drain: Drain) -> None:
        self._operations = operations
        self._rates = rates
        self._settings = settings
        self._drain = drain

    async def respond(self, request: Request) -> ASGIApp:
        try:
            if request.method not in ("GET", "POST"):
                raise RequestError(405, f"{request.method} is not answered: send GET or POST.", {"Allow": "GET, POST"})
            response_type(request, (EVENT_STREAM,))
            client = self._rates.client(request.scope)
            client.take_request()
            graphql_request = await read_request(request, self._settings.max_body_bytes)
        except (Refusal, RequestError) as error:
            return refusal_response(error, EVENT_STREAM)
        return EventStream(self._operations, graphql_request, client, self._settings.send_seconds, self._drain)


class EventStream:
    """The response to one operation.

    A client that is too slow gets no `complete` event, nor does one whose server stops: it may resume.
    """

    def __init__(
        self,
        operations: Operations,
        request: GraphQLRequest,
        client: Client,
        send_seconds: float,
        drain: Drain,
    ) -> None:
        self._operations = operations
        self._request = request
        self._client = client
        self._sender = Sender(send_seconds)
        self._drain = drain
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._operations.connection():
                await self._stream(receive, send)
        except TooManyConnections as error:
            await refusal_response(error, EVENT_STREAM)(scope, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send_events(send))
        stopping = asyncio.create_task(self._drain.streams_end())
        leaving = asyncio.create_task(disconnected(receive))
        tasks = {sending, stopping, leaving, asyncio.create_task(self._break_silence(send))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except ClientTooSlow:
            log.warning("a client of an event stream was too slow and was cut off")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if any(task.done() and not task.cancelled() and task.exception() is None for task in (sending, stopping)):
            await self._send(send, b"", more=False)

    async def _send_events(self, send: Send) -> None:
        async for batch in self._operations.execute(self._request, self._client.take_cost):
            if not self._has_started:
                await self._send(send, COMMENT)
            for answer in batch:
                await self._send(send, b"event: next\ndata: " + answer.body + b"\n\n")
        await self._send(send, COMPLETE)

    async def _break_silence(self, send: Send) -> None:
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            if self._has_started:
                await self._send(send, COMMENT)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async def message() -> None:
            if not self._has_started:
                self._has_started = True
                await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await self._sender.send(message)
