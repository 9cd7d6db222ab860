"""Clients that disconnect before their response is ready: the work for them is ended, with its SQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

SOON_SECONDS = 0.02
"""Work that is over sooner is not watched: to watch costs as much as to answer from the cache."""

CLIENT_LEFT = 499
"""The status under which a request is counted whose client disconnected first."""


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancels the block when the client disconnects, and raises ClientDisconnect. The request's body must be read."""
    watching: set[asyncio.Task[None]] = set()

    async def watch() -> None:
        await disconnected(request.receive)
        connection.reschedule(asyncio.get_running_loop().time())

    later = asyncio.get_running_loop().call_later(SOON_SECONDS, lambda: watching.add(asyncio.create_task(watch())))
    try:
        async with asyncio.timeout(None) as connection:
            yield
    except TimeoutError:
        if connection.expired():
            raise ClientDisconnect from None
        raise
    finally:
        later.cancel()
        for task in watching:
            task.cancel()


async def disconnected(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def unread_response() -> Response:
    """Returns the response to a client that has left: nobody reads it."""
    return Response(status_code=CLIENT_LEFT)
