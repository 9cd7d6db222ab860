"""Clients that disconnect before their response is ready: the work for them is ended, with its SQL."""

import asyncio
from abc import ABC, abstractmethod

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

SOON_SECONDS = 0.02
"""Work that is over sooner is not watched: to watch costs as much as to answer from the cache."""

CLIENT_LEFT = 499
"""The status under which a request is counted whose client disconnected first."""


class Endpoint(ABC):
    """The base of the ASGI applications that answer each request by one response, unless the client disconnects."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self.respond(Request(scope, receive))
        except ClientDisconnect:
            response = unread_response()
        await response(scope, receive, send)

    @abstractmethod
    async def respond(self, request: Request) -> ASGIApp:
        """Returns the response to a request. Raises ClientDisconnect."""


class while_connected:
    """Cancels the block when the client disconnects, and raises ClientDisconnect. The request's body must be read."""

    __slots__ = ("_has_left", "_later", "_receive", "_task", "_watching")

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self._watching: asyncio.Task[None] | None = None
        self._has_left = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._later = asyncio.get_running_loop().call_later(SOON_SECONDS, self._watch)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._later.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._has_left and kind is asyncio.CancelledError and self._task is not None and not self._task.uncancel():
            raise ClientDisconnect from None

    def _watch(self) -> None:
        self._watching = asyncio.create_task(self._cancel_when_left())

    async def _cancel_when_left(self) -> None:
        await disconnected(self._receive)
        self._has_left = True
        if self._task is not None:
            self._task.cancel()


async def disconnected(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def unread_response() -> Response:
    """Returns a placeholder for the response to a client that has disconnected."""
    return Response(status_code=CLIENT_LEFT)
