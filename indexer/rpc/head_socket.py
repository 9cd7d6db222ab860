"""New heads over WebSocket (WS_URL): each wakes the poller. If the socket fails, polling continues without it.

It uses the `websockets` library, which uvicorn needs anyway. web3's WebSocket provider would add its own caches,
retries and error texts to two requests and one notification.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from indexer.rpc.backoff import wait_seconds
from indexer.rpc.errors import NoAnswer
from indexer.rpc.proxy import proxy_of
from indexer.rpc.reply import UNREADABLE
from indexer.rpc.request import Request
from indexer.urls import Headers, secrets_of, shown_location, shown_url, without_keys
from schema.tables.values import INT64_MAX, MAX_BLOCK_NUMBER

QUIET_INTERVALS = 3
SHORTEST_QUIET_SECONDS = 5.0
"""A socket is quiet if it has announced nothing for three of the chain's block intervals, and for 5 s at least."""
GRACE_SECONDS = 1.0
"""How much later than polling a quiet socket may announce a head. After that the connection is closed."""
LONGEST_INTERVAL_SECONDS = 20.0
"""Longer gaps are of a chain that makes blocks on demand, and predict nothing about the next."""
INTERVAL_WEIGHT = 0.2
"""Weight of the newest sample in the moving average of the block interval."""
ANSWER_SECONDS = 10.0
FIRST_WAIT_SECONDS = 0.5
SHOWN_MESSAGE = 80


class Head(msgspec.Struct):
    number: str


class Notification(msgspec.Struct):
    subscription: str
    result: Head


class Message(msgspec.Struct):
    """A reply to a request, or a notification of a subscription."""

    id: int | str | None = None
    result: str | None = None
    error: Any = None
    method: str | None = None
    params: Notification | None = None


class Connect(connect):
    """Does not follow redirects: headers with keys would go to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class HeadSocket:
    """Listens to one node, through the proxy that the environment names for its URL.

    Calls `head_announced` with each head's number; with -1 if heads may have been missed: after connecting, and while
    the socket is quiet.

    Awaits `status_changed` with whether it is connected, and the URL without its key or the reason.
    """

    def __init__(
        self,
        url: str,
        chain_id: int,
        headers: Headers = (),
        *,
        head_announced: Callable[[int], None],
        status_changed: Callable[[bool, str], Awaitable[None]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.url = url
        self.chain_id = chain_id
        self._headers = headers
        self._proxy = proxy_of(url)
        self._secrets = secrets_of(self._proxy, headers)
        self._head_announced = head_announced
        self._status_changed = status_changed
        self._jitter = jitter
        self._newest = -1
        self._missing: tuple[int, float] | None = None
        self._interval = 0.0
        self._heard_at = self._looked_at = 0.0
        self._failures = 0

    def expect(self, number: int) -> None:
        """Records a head that polling found: a socket that works announces it, too."""
        if self._newest < 0:  # the head may be older than the subscription
            self._newest = number
        elif number > self._newest and self._missing is None:
            self._missing = number, time.monotonic()

    async def listen(self) -> NoReturn:
        """Listens until cancelled. Connects again after each failure, with a longer pause each time."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # no failure here may end the indexer
                self._failures += 1
                pause = wait_seconds(self._failures, first=FIRST_WAIT_SECONDS, jitter=self._jitter)
                await self._status_changed(False, self._reason(error))
                await asyncio.sleep(pause)

    async def _listen(self) -> NoReturn:
        async with Connect(
            self.url,
            additional_headers=self._headers,
            proxy=self._proxy,
            open_timeout=ANSWER_SECONDS,
            close_timeout=1,
        ) as socket:
            async with asyncio.timeout(ANSWER_SECONDS):
                chain_id = self._number(await self._request(socket, 1, "eth_chainId"), INT64_MAX)
                if chain_id != self.chain_id:
                    raise NoAnswer(f"it is a node of chain {chain_id}, not of chain {self.chain_id}")
                subscription = await self._request(socket, 2, "eth_subscribe", "newHeads")
            self._newest, self._missing = -1, None
            self._heard_at = self._looked_at = time.monotonic()
            await self._status_changed(True, shown_url(self.url))
            self._head_announced(-1)  # heads before the subscription were not announced
            while True:
                await self._read_head(socket, subscription)

    async def _request(self, socket: ClientConnection, id: int, method: str, *params: str) -> str:
        await socket.send(msgspec.json.encode(Request(id, method, list(params))).decode())
        while str((reply := self._read(await socket.recv())).id) != str(id):
            pass
        if reply.result is None:
            raise NoAnswer(f"it refused {method}: {reply.error}")
        return reply.result

    async def _read_head(self, socket: ClientConnection, subscription: str) -> None:
        """Waits for one head. Raises NoAnswer if an expected head is overdue, or for any other message."""
        quiet = max(QUIET_INTERVALS * self._interval, SHORTEST_QUIET_SECONDS)
        left = self._heard_at + quiet - time.monotonic()
        try:
            async with asyncio.timeout(left if left > 0 else GRACE_SECONDS / 2):
                message = self._read(await socket.recv())
        except TimeoutError:
            self._check_quiet(quiet)
            return
        if message.params is None or message.params.subscription != subscription:
            raise NoAnswer("it sent a message that belongs to no subscription")
        number = self._number(message.params.result.number)
        now = time.monotonic()
        if 0 <= self._newest < number:
            sample = min((now - self._heard_at) / (number - self._newest), LONGEST_INTERVAL_SECONDS)
            self._interval += (sample - self._interval) * (INTERVAL_WEIGHT if self._interval else 1.0)
        self._newest, self._heard_at = number, now
        if self._missing is not None and number >= self._missing[0]:
            self._missing = None
        self._failures = 0
        self._head_announced(number)

    def _check_quiet(self, quiet: float) -> None:
        """Has heads looked for, every `quiet` seconds. Raises NoAnswer if one was found that is not announced."""
        now = time.monotonic()
        if self._missing is not None and now - self._missing[1] >= GRACE_SECONDS:
            raise NoAnswer(f"it did not announce block {self._missing[0]}")
        if now - max(self._heard_at, self._looked_at) >= quiet:
            self._looked_at = now
            self._head_announced(-1)

    def _read(self, data: str | bytes) -> Message:
        try:
            return msgspec.json.decode(data, type=Message)
        except UNREADABLE:
            text = self._hidden(data if isinstance(data, str) else data.decode("utf-8", "replace"))
            raise NoAnswer(f"it sent {text[:SHOWN_MESSAGE]!r}, which is not a JSON-RPC message") from None

    def _number(self, text: str, largest: int = MAX_BLOCK_NUMBER) -> int:
        try:
            number = int(text, 16)
        except ValueError:
            number = -1
        if not 0 <= number <= largest:
            raise NoAnswer(f"it sent {text[:SHOWN_MESSAGE]!r} instead of a block number")
        return number

    def _reason(self, error: Exception) -> str:
        reason = str(error) or ("it did not answer" if isinstance(error, TimeoutError) else type(error).__name__)
        if isinstance(error, InvalidStatus) and (location := error.response.headers.get("Location")) is not None:
            reason = f"{reason}: it redirects to {shown_location(location)}"
        return f"{shown_url(self.url)}: {self._hidden(reason)}"

    def _hidden(self, text: str) -> str:
        return without_keys(self.url, text, self._secrets)
