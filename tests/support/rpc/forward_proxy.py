"""An HTTP proxy, as companies have one: it forwards requests, and tunnels for CONNECT. It may want a password."""

import asyncio
import re
from base64 import b64encode
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """A server on a free port. `requests` lists method and target of what came, for instance "CONNECT node:8545".

    With `credentials`, "user:password", it refuses requests without them by HTTP 407.
    """

    def __init__(self, credentials: str | None = None) -> None:
        self.credentials = credentials
        self.requests: list[str] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0.01)  # those that were just accepted begin
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, version = line.split(" ")
        self.requests.append(f"{method} {target}")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if self.credentials is not None and headers.get("proxy-authorization") != basic(self.credentials):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n")
            writer.write(b"Connection: close\r\n\r\n")
            await writer.drain()
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        upstream_reader, upstream = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_copy(reader, upstream), _copy(upstream_reader, writer))
                return
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            kept = {name: value for name, value in headers.items() if not name.startswith("proxy-")}
            kept["connection"] = "close"
            lines = [f"{method} {parts.path or '/'} {version}", *(f"{name}: {value}" for name, value in kept.items())]
            upstream.write("\r\n".join([*lines, "", ""]).encode() + body)
            status, _, rest = (await upstream_reader.read(-1)).partition(b"\r\n")
            rest = re.sub(rb"(?i)(^|\r\n)connection: [^\r]*(?=\r\n)", b"", rest, count=1)
            writer.write(b"\r\n".join([status, b"Connection: close", rest.removeprefix(b"\r\n")]))
            await writer.drain()
        finally:
            upstream.close()


def basic(credentials: str) -> str:
    """Returns the header's value for "user:password"."""
    return f"Basic {b64encode(credentials.encode()).decode()}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
