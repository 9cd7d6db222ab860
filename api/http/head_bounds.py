"""HTTP with two limits that uvicorn lacks: on the bytes of a request beside its body, and on the time of its head.

Without them the server keeps an endless header in memory and scans it again with every packet, so that one client could
stop the service for all others.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Request line, headers, trailers and chunk framing together. A query sent by GET must fit."""

HEAD_SECONDS = 10.0
"""From the first byte of a connection, or of a request, to the end of the headers."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A client that exceeds a limit gets a refusal, and the connection is closed."""

    _beside_body = 0
    _in_head = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        self._beside_body += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # a WebSocket now
        if self._beside_body > MAX_HEAD_BYTES:
            message = f"The request has more than {MAX_HEAD_BYTES} bytes beside its body."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
        elif self._head_timer is None and (self._in_head or (self.cycle is not None and self.cycle.response_complete)):
            # bytes that do not begin a request end the wait for the next one, which uvicorn limits
            self._start_head_timer()

    def on_message_begin(self) -> None:
        self._beside_body = 0
        self._in_head = True
        self._stop_head_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()
        if self.cycle is not None and self.app_state["drain"].has_begun:
            self.cycle.keep_alive = False  # the response announces it, so that a proxy sends its next request elsewhere

    def on_body(self, body: bytes) -> None:
        self._beside_body -= len(body)
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self.app_state["drain"].end_streams()
        super().shutdown()

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_slow_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow_head(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request's head took more than {HEAD_SECONDS:g} s.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        self.transport.write(f"{head}content-length: {len(message)}\r\nconnection: close\r\n\r\n{message}".encode())
        self.transport.close()
