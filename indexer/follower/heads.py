"""New heads: WebSocket announces them if WS_URL is set, and polling finds them in any case."""

import asyncio
import logging
from contextlib import suppress
from logging import INFO, WARNING

from sqlalchemy.exc import DBAPIError

from indexer.observe.counters import Counters
from indexer.rpc.head_socket import HeadSocket
from indexer.store import Store
from indexer.urls import SiteHeaders, headers_for
from schema.program.logs import log_event

log = logging.getLogger("certindex")

FIRST_EARLY_SECONDS = 0.1
MOST_EARLY_LOOKS = 8
"""An announced head that the polled provider does not have yet is looked for at 0.2, 0.4, 0.8 ... s, up to 8 times."""

FALLBACK_SECONDS = 2.0
"""How often heads are polled while WS_URL is set and does not work, if POLL_INTERVAL is longer."""


class HeadListener:
    """Wakes the step loop when a head is announced. `wake` is also set by the poll interval."""

    def __init__(
        self,
        ws_url: str | None,
        chain_id: int,
        store: Store,
        counters: Counters,
        wake: asyncio.Event,
        headers: SiteHeaders = (),
    ) -> None:
        self.ws_url = ws_url
        self.headers = headers
        self.chain_id = chain_id
        self.store = store
        self.counters = counters
        self.wake = wake
        self._socket: HeadSocket | None = None
        self._source: str | None = None
        self._announced = -1
        self._early_looks = 0

    async def listen(self) -> None:
        """Listens to the WebSocket, if there is one, and notes in the database where heads come from."""
        await self._note_source(None)
        if self.ws_url is not None:
            self._socket = HeadSocket(
                self.ws_url,
                self.chain_id,
                headers_for(self.ws_url, self.headers),
                head_announced=self._announce,
                status_changed=self._report,
            )
            await self._socket.listen()

    def expect(self, number: int) -> None:
        """Notes a head that polling found: a socket that works announces it too."""
        if self._socket is not None:
            self._socket.expect(number)

    async def next_head(self, indexed: int) -> None:
        """Waits for `wake`, but not for long while the polled provider does not have an announced head yet."""
        longest = FALLBACK_SECONDS if self.ws_url is not None and not self.counters.socket_connected else None
        if self._announced > indexed and self._early_looks < MOST_EARLY_LOOKS:
            self._early_looks += 1
            longest = FIRST_EARLY_SECONDS * 2**self._early_looks
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self.wake.wait()

    def _announce(self, number: int) -> None:
        if number >= 0:
            self.counters.announced_heads += 1
            self._announced, self._early_looks = number, 0
        self.wake.set()

    async def _report(self, connected: bool, message: str) -> None:
        """Logs and notes that the socket connected, to the node in `message`, or failed, with `message` as reason."""
        self.counters.socket_connected = connected
        self.counters.socket_drops += not connected
        if not connected:
            self.wake.set()
        source = f"from {message}" if connected else f"by polling; {message}"
        if source == self._source:
            return  # a socket that is down for a day is logged once
        if connected:
            log_event(log, INFO, "new heads come over WebSocket", " from {source}", message)
        else:
            log_event(log, WARNING, "no heads over WebSocket", ", polling continues: {error}", message)
        await self._note_source(source)

    async def _note_source(self, source: str | None) -> None:
        with suppress(DBAPIError):
            await asyncio.to_thread(self.store.note_head_source, source)
            self._source = source
