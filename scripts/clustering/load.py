"""The load on a cluster: queries whose answers are checked, and copies of the feed that must become whole."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support.api.live import EVENTS, PROTOCOL

QUERY = "{ _meta { chains { indexed { number hash } } } devices { totalCount } }"
PAUSE_SECONDS = 0.02
AGAIN_SECONDS = 0.2
PASSING = ("NOT_READY", "TIMEOUT")


class Readers:
    """Clients that query in threads. Every second one sends the newest block that it has seen, and gets no older one.

    `answered` has the moments of right answers, `counts` the answers by kind, `wrong` what must not be.
    """

    def __init__(self, address: str, devices: Mapping[bytes, int], count: int) -> None:
        self.answered: list[float] = []
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.failed: list[tuple[float, str]] = []
        self._address = f"{address}/graphql"
        self._devices = devices
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, args=(number % 2 == 1,), daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _read(self, is_session: bool) -> None:
        newest = 0
        with httpx.Client(timeout=20) as client:
            while not self._is_over.wait(PAUSE_SECONDS):
                try:
                    response = client.post(
                        self._address, json={"query": QUERY}, headers={"X-Min-Block": str(newest)} if newest else {}
                    )
                    seen = self._check(response, newest)
                    newest = seen if is_session else 0
                except httpx.HTTPError as error:
                    self._fail(repr(error))

    def _check(self, response: httpx.Response, newest: int) -> int:
        try:
            body = response.json()
        except ValueError:
            self._fail(f"{response.status_code}: {response.text[:80]!r}")
            return newest
        if "errors" in body:
            codes = {error["extensions"]["code"] for error in body["errors"]}
            self.counts["refused for now" if codes <= set(PASSING) else "errors"] += 1
            if not codes <= set(PASSING):
                self.wrong.append(f"{response.status_code}: {body['errors']}")
            self.failed.append((time.monotonic(), str(codes)))
            return newest
        [chain], total = body["data"]["_meta"]["chains"], body["data"]["devices"]["totalCount"]
        number, hash = int(chain["indexed"]["number"]), bytes.fromhex(chain["indexed"]["hash"][2:])
        if self._devices.get(hash) != total:
            self.wrong.append(f"block {number} has {self._devices.get(hash)} devices, the answer {total}")
        if number < newest:
            self.wrong.append(f"block {number} was answered after block {newest}")
        self.counts["right answers"] += 1
        self.answered.append(time.monotonic())
        return max(number, newest)

    def _fail(self, reason: str) -> None:
        self.counts["failed requests"] += 1
        self.failed.append((time.monotonic(), reason))


class Copies:
    """Clients that keep a copy of all events by a subscription, and resume wherever the proxy leads them."""

    def __init__(self, address: str, count: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.events: list[dict[str, str]] = [{} for _ in range(count)]
        self._url = address.replace("http", "ws", 1) + "/graphql"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for copy in self.events:
            asyncio.run_coroutine_threadsafe(self._keep(copy), self._loop)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _keep(self, copy: dict[str, str]) -> None:
        cursors: list[str] = []
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._follow(copy, cursors)
            self.counts["resumed subscriptions"] += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, copy: dict[str, str], cursors: list[str]) -> None:
        """Applies messages until the connection ends. `cursors` has the last one, if there is one."""
        async with connect(self._url, subprotocols=[PROTOCOL], compression=None) as socket:
            await socket.send(json.dumps({"type": "connection_init"}))
            variables = {"after": cursors[0]} if cursors else {"after": await self._start()}
            async for text in socket:
                message = json.loads(text)
                match message["type"]:
                    case "connection_ack":
                        payload = {"query": EVENTS, "variables": variables}
                        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    case "next":
                        self._apply(copy, message["payload"], cursors)
                    case "ping":
                        cursors[:] = [message["payload"]["resume"]["1"]]
                        self.counts["cursors of a server that stopped"] += 1
                    case "error":
                        if message["payload"][0]["extensions"]["code"] not in PASSING:
                            self.wrong.append(f"a subscription ended: {message['payload']}")
                        return

    async def _start(self) -> str:
        """Returns the cursor before the first event."""
        address = self._url.replace("ws", "http", 1)
        async with httpx.AsyncClient(timeout=20) as client:
            while True:
                with suppress(httpx.HTTPError, KeyError, TypeError, ValueError):
                    answer = await client.post(address, json={"query": "{ changes(first: 0) { endCursor } }"})
                    return str(answer.json()["data"]["changes"]["endCursor"])
                await asyncio.sleep(AGAIN_SECONDS)

    def _apply(self, copy: dict[str, str], payload: Any, cursors: list[str]) -> None:
        if "errors" in payload:
            return  # the event is sent again: the cursor stays
        data = payload["data"]["lifecycleEvents"]
        id, is_new = data["event"]["id"], data["event"]["id"] not in copy
        if data["retracted"] is is_new:
            self.wrong.append(f"event {id} came {'retracted' if data['retracted'] else 'twice'}")
        if data["retracted"]:
            copy.pop(id, None)
        else:
            copy[id] = data["event"]["kind"]
        cursors[:] = [data["cursor"]]
        self.counts["messages"] += 1
