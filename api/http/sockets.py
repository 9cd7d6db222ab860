"""GraphQL over WebSocket: the protocol graphql-transport-ws, with many operations on one connection.

Each operation reads its next batch only when the batch before is sent, so that a client that reads slowly slows down
only itself. A client that receives no message for `SEND_SECONDS` is cut off. It may resume with its last cursor.
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
from api.answering.operations import Operations, ResumePoint, TooManyConnections
from api.graphql.errors import BadUserInput, Code
from api.graphql.request import GraphQLRequest
from api.http.draining import Drain
from api.http.rates import Client, RateLimited, Rates
from api.http.requests import RequestError, graphql_request, parse_json
from api.http.sending import ClientTooSlow, Sender
from api.settings import Settings

log = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 3.0
CLOSE_SECONDS = 2.0
"""How long closing may take: the close frame waits behind what a slow client has not read."""

TOO_SLOW = "Too slow: a message was not received in time. Resume with the last cursor."
GOING_AWAY = "The server stops. Connect again, and resume with the last cursor."
MAX_REASON_BYTES = 123
"""Of a close frame, by RFC 6455."""

MAX_ID = 256
"""Characters of an operation's id."""


class CloseCode(IntEnum):
    """Codes of graphql-transport-ws. Those below 4000 are those of WebSocket itself."""

    GOING_AWAY = 1001
    TOO_LARGE = 1009
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429


class ConnectionClosed(Exception):
    """The server closes the connection, for a reason that the client receives."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketEndpoint:
    """An ASGI application for WebSockets."""

    def __init__(self, operations: Operations, rates: Rates, settings: Settings, drain: Drain) -> None:
        self._operations = operations
        self._rates = rates
        self._settings = settings
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        with suppress(WebSocketDisconnect):
            try:
                with self._operations.connection():
                    await self._serve(socket)
            except TooManyConnections as error:
                await socket.accept()
                await _close(socket, ConnectionClosed(CloseCode.TRY_AGAIN_LATER, str(error)))

    async def _serve(self, socket: WebSocket) -> None:
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            reason = f"Subprotocol not acceptable: speak {PROTOCOL}"
            await _close(socket, ConnectionClosed(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, reason))
            return
        await socket.accept(PROTOCOL)
        client = self._rates.client(socket.scope)
        await SocketConnection(socket, self._operations, client, self._settings, self._drain).run()


class SocketConnection:
    """One connection: it reads the messages of the client, and runs the operations that the client has started."""

    def __init__(
        self, socket: WebSocket, operations: Operations, client: Client, settings: Settings, drain: Drain
    ) -> None:
        self._socket = socket
        self._operations = operations
        self._client = client
        self._settings = settings
        self._drain = drain
        self._sender = Sender(settings.send_seconds)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._resume: dict[str, ResumePoint] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._is_acknowledged = False
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Returns when either side has ended the connection."""
        reading, leaving = asyncio.create_task(self._read_messages()), asyncio.create_task(self._leave())
        try:
            await asyncio.wait({reading, leaving, self._end}, return_when=asyncio.FIRST_COMPLETED)
            await (self._end if self._end.done() else reading if reading.done() else leaving)
        except ConnectionClosed as closed:
            await _close(self._socket, closed)
        finally:
            self._end.cancel()
            tasks = [reading, leaving, *self._running.values(), *self._ended]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _leave(self) -> None:
        """Closes the connection when the server stops. Before that it sends the cursors from which to resume."""
        await self._drain.streams_end()
        cursors = {id: point.cursor for id, point in self._resume.items() if point.cursor is not None}
        if cursors:
            await self._send({"type": "ping", "payload": {"resume": cursors}})
        raise ConnectionClosed(CloseCode.GOING_AWAY, GOING_AWAY)

    # Messages of the client

    async def _read_messages(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                await self._read_message()
        except TimeoutError:
            raise ConnectionClosed(CloseCode.TIMEOUT, "Connection initialisation timeout") from None
        while True:
            await self._read_message()

    async def _read_message(self) -> None:
        message = await self._receive()
        match message.get("type"):
            case "connection_init":
                await self._acknowledge()
            case "ping":
                await self._send({"type": "pong", **_payload_of(message)})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._complete(_id_of(message))
            case other:
                raise ConnectionClosed(CloseCode.BAD_REQUEST, f"Invalid message type {str(other)[:40]!r}")

    async def _receive(self) -> dict[str, Any]:
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1006))
        text = frame.get("text")
        if text is None:
            raise ConnectionClosed(CloseCode.BAD_REQUEST, "A message is text, not bytes")
        if len(text) > self._settings.max_body_bytes:
            raise ConnectionClosed(
                CloseCode.TOO_LARGE, f"A message is larger than {self._settings.max_body_bytes} bytes"
            )
        try:
            message = parse_json(text, "The message")
        except RequestError as error:
            raise ConnectionClosed(CloseCode.BAD_REQUEST, str(error)) from None
        if not isinstance(message, dict):
            raise ConnectionClosed(CloseCode.BAD_REQUEST, "A message is an object")
        return message

    async def _acknowledge(self) -> None:
        if self._is_acknowledged:
            raise ConnectionClosed(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
        self._is_acknowledged = True
        await self._send({"type": "connection_ack"})

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._is_acknowledged:
            raise ConnectionClosed(CloseCode.UNAUTHORIZED, "Unauthorized: send connection_init first")
        id = _id_of(message)
        if id in self._running:
            raise ConnectionClosed(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {id} already exists")
        try:
            request = graphql_request(message.get("payload"), "The payload")
        except RequestError as error:
            raise ConnectionClosed(CloseCode.BAD_REQUEST, str(error)) from None
        except BadUserInput as error:
            await self._send({"id": id, "type": "error", "payload": refused(error).errors})
            return
        most = self._settings.max_subscriptions
        if len(self._running) >= most:
            text = f"This connection runs {most} operations, the most that it may: complete one first."
            errors = [{"message": text, "extensions": {"code": Code.RATE_LIMITED.value}}]
            await self._send({"id": id, "type": "error", "payload": errors})
            return
        try:
            self._client.take_request()
        except RateLimited as error:
            await self._send({"id": id, "type": "error", "payload": refused(error).errors})
            return
        self._running[id] = asyncio.create_task(self._run(id, request))

    def _complete(self, id: str) -> None:
        task = self._running.pop(id, None)
        self._resume.pop(id, None)
        if task is not None:
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
            task.cancel()

    # Messages to the client

    async def _run(self, id: str, request: GraphQLRequest) -> None:
        point = self._resume[id] = ResumePoint()
        try:
            async for batch in self._operations.execute(request, self._client.take_cost, point):
                for answer in batch:
                    await self._send_answer(id, answer)
            if self._forget(id):
                await self._send({"id": id, "type": "complete"})
        except (ClientTooSlow, WebSocketDisconnect) as error:
            self._cut_off(error)
        finally:
            self._forget(id)

    def _forget(self, id: str) -> bool:
        """Lets the client use the id again. Returns whether the id was still this operation's."""
        is_ours = self._running.get(id) is asyncio.current_task()
        if is_ours:
            del self._running[id]
            del self._resume[id]
        return is_ours

    async def _send_answer(self, id: str, answer: Answer) -> None:
        if answer.errors is None:
            head = msgspec.json.encode({"id": id, "type": "next"})
            await self._send_text(head[:-1] + b',"payload":' + answer.body + b"}")
            return
        self._forget(id)
        await self._send({"id": id, "type": "error", "payload": answer.errors})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._send_text(msgspec.json.encode(message))
        except ClientTooSlow as error:
            self._cut_off(error)

    async def _send_text(self, message: bytes) -> None:
        try:
            await self._sender.send(lambda: self._socket.send_text(message.decode()))
        except WebSocketDisconnected:  # another message has found the disconnect
            raise WebSocketDisconnect(1006) from None

    def _cut_off(self, error: Exception) -> None:
        if self._end.done():
            return
        if isinstance(error, ClientTooSlow):
            log.warning("a client of a WebSocket was too slow and was cut off")
            error = ConnectionClosed(CloseCode.TIMEOUT, TOO_SLOW)
        self._end.set_exception(error)


def _id_of(message: dict[str, Any]) -> str:
    id = message.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        raise ConnectionClosed(CloseCode.BAD_REQUEST, f"A message needs an id, a string of 1 to {MAX_ID} characters")
    return id


def _payload_of(message: dict[str, Any]) -> dict[str, Any]:
    return {"payload": message["payload"]} if "payload" in message else {}


async def _close(socket: WebSocket, closed: ConnectionClosed) -> None:
    reason = closed.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.close(closed.code, reason)
