"""GraphQL over WebSocket, by the protocol graphql-transport-ws: queries and subscriptions, many over one connection.

Each operation asks for its next batch when the one before is sent, so that a client that reads slowly slows down only
itself. One that takes no message for a while is cut off; with the cursor of its last message it goes on later.
"""

import asyncio
import logging
from contextlib import suppress
from enum import IntEnum
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected, WebSocketState

from api.answering.answers import Answer, refused
from api.answering.operations import Live, TooMany
from api.graphql.errors import Code
from api.graphql.request import GraphQLRequest
from api.http.rates import RateLimited
from api.http.requests import RequestError, graphql_request, parse_json
from api.http.sending import Outlet, TooSlow

log = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 3.0
FAREWELL_SECONDS = 2.0
"""How long a close may take: it waits behind what a slow client has not read."""

TOO_SLOW = "Too slow: a message was not taken in time. Resume with the last cursor."
MAX_REASON_BYTES = 123
MAX_ID = 256


class CloseCode(IntEnum):
    """Of the protocol, but for TRY_AGAIN_LATER and TOO_LARGE, which are those of WebSocket itself."""

    TOO_LARGE = 1009
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429


class Closed(Exception):
    """The connection ends, and the client is told why."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketEndpoint:
    """An ASGI application for WebSockets."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        with suppress(WebSocketDisconnect):
            try:
                with self._live.connection():
                    await self._serve(socket)
            except TooMany:
                await socket.accept()
                await _close(socket, Closed(CloseCode.TRY_AGAIN_LATER, "Too many connections: try again later."))

    async def _serve(self, socket: WebSocket) -> None:
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            reason = f"Subprotocol not acceptable: speak {PROTOCOL}"
            await _close(socket, Closed(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, reason))
            return
        await socket.accept(PROTOCOL)
        await Conversation(socket, self._live).run()


class Conversation:
    """One connection: what the client says, and the operations that it has started and not ended."""

    def __init__(self, socket: WebSocket, live: Live) -> None:
        self._socket = socket
        self._live = live
        self._client = live.rates.client(socket.scope)
        self._outlet = Outlet(live.settings.send_seconds)
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._is_acknowledged = False
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Returns when either side has ended the connection."""
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.wait({listening, self._end}, return_when=asyncio.FIRST_COMPLETED)
            await (self._end if self._end.done() else listening)
        except Closed as closed:
            await _close(self._socket, closed)
        finally:
            self._end.cancel()
            tasks = [listening, *self._operations.values(), *self._ended]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # What the client says

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                await self._hear()
        except TimeoutError:
            raise Closed(CloseCode.TIMEOUT, "Connection initialisation timeout") from None
        while True:
            await self._hear()

    async def _hear(self) -> None:
        message = await self._message()
        match message.get("type"):
            case "connection_init":
                await self._initialise()
            case "ping":
                await self._say({"type": "pong", **_payload_of(message)})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._complete(_id_of(message))
            case other:
                raise Closed(CloseCode.BAD_REQUEST, f"Invalid message type {str(other)[:40]!r}")

    async def _message(self) -> dict[str, Any]:
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1006))
        text = received.get("text")
        if text is None:
            raise Closed(CloseCode.BAD_REQUEST, "A message is text, not bytes")
        if len(text) > self._live.settings.max_body_bytes:
            raise Closed(CloseCode.TOO_LARGE, f"A message is larger than {self._live.settings.max_body_bytes} bytes")
        try:
            message = parse_json(text, "The message")
        except RequestError as error:
            raise Closed(CloseCode.BAD_REQUEST, str(error)) from None
        if not isinstance(message, dict):
            raise Closed(CloseCode.BAD_REQUEST, "A message is an object")
        return message

    async def _initialise(self) -> None:
        if self._is_acknowledged:
            raise Closed(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
        self._is_acknowledged = True
        await self._say({"type": "connection_ack"})

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._is_acknowledged:
            raise Closed(CloseCode.UNAUTHORIZED, "Unauthorized: send connection_init first")
        id = _id_of(message)
        if id in self._operations:
            raise Closed(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {id} already exists")
        try:
            asked = graphql_request(message.get("payload"), "The payload")
        except RequestError as error:
            raise Closed(CloseCode.BAD_REQUEST, str(error)) from None
        most = self._live.settings.max_subscriptions
        if len(self._operations) >= most:
            told = f"This connection has {most} operations under way, the most that it may have: end one first."
            extensions = {"code": Code.RATE_LIMITED.value}
            await self._say({"id": id, "type": "error", "payload": [{"message": told, "extensions": extensions}]})
            return
        try:
            self._client.take_request()
        except RateLimited as error:
            await self._say({"id": id, "type": "error", "payload": refused(error).errors})
            return
        self._operations[id] = asyncio.create_task(self._operate(id, asked))

    def _complete(self, id: str) -> None:
        task = self._operations.pop(id, None)
        if task is not None:
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
            task.cancel()

    # What the client is told

    async def _operate(self, id: str, asked: GraphQLRequest) -> None:
        try:
            async for batch in self._live.answers(asked, self._client):
                for answer in batch:
                    await self._tell(id, answer)
            if self._forget(id):
                await self._say({"id": id, "type": "complete"})
        except (TooSlow, WebSocketDisconnect) as error:
            self._cut_off(error)
        finally:
            self._forget(id)

    def _forget(self, id: str) -> bool:
        """Lets the client use the id again. Returns whether it still was this operation's."""
        is_ours = self._operations.get(id) is asyncio.current_task()
        if is_ours:
            del self._operations[id]
        return is_ours

    async def _tell(self, id: str, answer: Answer) -> None:
        if answer.errors is None:
            head = msgspec.json.encode({"id": id, "type": "next"})
            await self._send(head[:-1] + b',"payload":' + answer.body + b"}")
            return
        self._forget(id)
        await self._say({"id": id, "type": "error", "payload": answer.errors})

    async def _say(self, message: dict[str, Any]) -> None:
        try:
            await self._send(msgspec.json.encode(message))
        except TooSlow as error:
            self._cut_off(error)

    async def _send(self, message: bytes) -> None:
        try:
            await self._outlet.send(lambda: self._socket.send_text(message.decode()))
        except WebSocketDisconnected:  # another message has found it out
            raise WebSocketDisconnect(1006) from None

    def _cut_off(self, error: Exception) -> None:
        if self._end.done():
            return
        if isinstance(error, TooSlow):
            log.warning("a client of a WebSocket was too slow and was cut off")
            error = Closed(CloseCode.TIMEOUT, TOO_SLOW)
        self._end.set_exception(error)


def _id_of(message: dict[str, Any]) -> str:
    id = message.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        raise Closed(CloseCode.BAD_REQUEST, f"A message needs an id, a string of 1 to {MAX_ID} characters")
    return id


def _payload_of(message: dict[str, Any]) -> dict[str, Any]:
    return {"payload": message["payload"]} if "payload" in message else {}


async def _close(socket: WebSocket, closed: Closed) -> None:
    reason = closed.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await socket.close(closed.code, reason)
