"""A receiver of webhooks that behaves as a test says, and the process that delivers, inside the test."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from api.delivery.sender import deliver
from api.delivery.settings import DeliverySettings

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
LOCAL = "127.0.0.0/8"
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request: its headers by their names in small letters, and its body."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent, once its signature is verified."""
        event: dict[str, Any] = Webhook(SECRET).verify(self.body, dict(self.headers))
        return event

    @property
    def token(self) -> str:
        """Names what happened to which device, with a minus if it is taken back."""
        data = self.event["data"]
        device = data["event"]["device"]
        return f"{'-' if data['retracted'] else ''}{data['event']['kind']} {device and device['tokenId']}"


Behavior = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, body: bytes = b"", **headers: str) -> Behavior:
    """Returns the behavior of a receiver that sends a response."""

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)
        await writer.drain()

    return answer


OK = answering(204)


@dataclass
class Receiver:
    """A receiver on a port of this machine. `behaviors` are those of the next requests, then it is `behavior`."""

    behavior: Behavior = OK
    behaviors: list[Behavior] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    url: str = ""
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tokens(self) -> list[str]:
        """What the receiver has taken, each message once."""
        return [message.token for message in {message.id: message for message in self.taken}.values()]

    async def has(self, count: int) -> None:
        """Waits until so many messages were taken."""
        await self._until(lambda: len(self.taken) >= count)

    async def was_asked(self, count: int) -> None:
        """Waits until so many requests have come."""
        await self._until(lambda: len(self.requests) >= count)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._arrived.clear()
                await self._arrived.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            while (received := await _read(reader)) is not None:
                behavior = self.behaviors.pop(0) if self.behaviors else self.behavior
                self.requests.append(received)
                if behavior is OK:
                    self.taken.append(received)
                self._arrived.set()
                await behavior(received, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.open.discard(writer)


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    lines = head.decode("latin-1").splitlines()[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Received(headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def receiving(behavior: Behavior = OK, *behaviors: Behavior) -> AsyncIterator[Receiver]:
    """Starts a receiver for the block."""
    receiver = Receiver(behavior, list(behaviors))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
        # a sender that was killed leaves its connection, perhaps just accepted: it ends before the event loop does
        for _ in range(3):
            await asyncio.sleep(0.01)
            for writer in list(receiver.open):
                writer.transport.abort()
        await asyncio.sleep(0)


def write_subscriptions(folder: Path, *subscriptions: Mapping[str, Any]) -> Path:
    """Writes the file of the subscriptions, and returns its path."""
    tables = []
    for number, subscription in enumerate(subscriptions):
        values = {"name": f"s{number}", "secrets": [SECRET], "start": "beginning", **subscription}
        if not str(values["url"]).startswith("http"):
            del values["secrets"]
        tables.append("[[subscription]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items()))
    path = folder / "subscriptions.toml"
    path.write_text("\n".join(tables))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def settings_of(url: str, path: Path, **values: Any) -> DeliverySettings:
    return DeliverySettings(
        **{
            "database_url": url,
            "subscriptions": str(path),
            "delivery_state": f"sqlite:///{path.parent / 'delivery.db'}",
            "allow_networks": LOCAL,
            **values,
        }
    )


@asynccontextmanager
async def delivering(settings: DeliverySettings) -> AsyncIterator[asyncio.Task[None]]:
    """Delivers for the block. An error of the process is raised at its end."""
    stopping = asyncio.Event()
    task = asyncio.create_task(deliver(settings, stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait_for(task, PATIENCE)
