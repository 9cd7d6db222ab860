"""HTTP, with two bounds that uvicorn lacks: on what a request holds beside its body, and on the time of its head.

Without them an endless header is kept whole and searched again with every packet: one client would stop all others.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of request line, headers, trailers and what frames chunks. A query by GET must fit in."""

HEAD_SECONDS = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Who sends more, or nothing for too long, is told so and cut off."""

    _beside_body = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        self._beside_body += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # a WebSocket now
        if self._beside_body > MAX_HEAD_BYTES:
            message = f"The request has more than {MAX_HEAD_BYTES} bytes beside its body."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
        elif self._patience is None and self.cycle is not None and self.cycle.response_complete:
            # bytes that begin no request end the wait for the next one, which uvicorn bounds
            self._await_head()

    def on_message_begin(self) -> None:
        self._beside_body = 0
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside_body -= len(body)
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request's head took more than {HEAD_SECONDS:g} s.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        self.transport.write(f"{head}content-length: {len(message)}\r\nconnection: close\r\n\r\n{message}".encode())
        self.transport.close()
