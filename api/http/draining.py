"""The stop of a server: first it is not ready and goes on answering, then it ends what would never end by itself."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CLOSE_SECONDS = 2.0
"""How long a client may take to confirm the close of its WebSocket when the server stops."""


class Drain:
    """How far the stop of a server is. Belongs to one event loop."""

    def __init__(self) -> None:
        self.has_begun = False
        self._streams_end = asyncio.Event()

    def begin(self) -> None:
        """Makes `/readyz` refuse, and each connection close after its response, so that proxies leave."""
        self.has_begun = True

    def end_streams(self) -> None:
        """Ends WebSockets and event streams. What is being answered is finished."""
        self.begin()
        self._streams_end.set()

    async def streams_end(self) -> None:
        """Returns when WebSockets and event streams must end."""
        await self._streams_end.wait()


class DrainedWebSocket(WebSocketsSansIOProtocol):
    """A connection that the application closes when the server stops. uvicorn would cut it off, with code 1012."""

    def shutdown(self) -> None:
        self.close_timeout = CLOSE_SECONDS
        if self.handshake_complete and not self.close_sent:
            self.app_state["drain"].end_streams()
        else:
            super().shutdown()
