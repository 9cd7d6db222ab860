"""A JSON-RPC provider that misbehaves on demand: an HTTP server in front of a real or a fake node.

async with FaultProxy(of_node(anvil.url)) as proxy:
    proxy.inject(faults.truncated_body, times=2)
    pool = Pool([proxy.url])

A fault is a function that spoils an exchange and returns whether it did. A fault that finds nothing to spoil does not
count. The faults are in faults.py.
"""

import asyncio
import copy
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from aiohttp import ClientSession, web

from indexer.rpc.errors import RpcError
from tests.support.chain.fakechain import FakeNode

Upstream = Callable[[str, list[Any]], Awaitable[dict[str, Any]]]
"""Returns {"result": ...} or {"error": ...} for a method and its params."""


@dataclass(slots=True)
class Exchange:
    """One request and its response. `body` replaces the whole response."""

    method: str
    params: list[Any]
    reply: dict[str, Any]
    upstream: Upstream
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    truncated: bool = False
    in_batch: bool = False
    left_out: bool = False
    spoilt_by: str = ""

    @property
    def result(self) -> Any:
        return self.reply.get("result")

    @result.setter
    def result(self, value: Any) -> None:
        self.reply = {"result": value}

    @property
    def query(self) -> dict[str, Any]:
        """The filter of an eth_getLogs."""
        query: dict[str, Any] = self.params[0]
        return query

    @property
    def asked_tag(self) -> str | None:
        tag = self.params[0] if self.method == "eth_getBlockByNumber" else None
        return tag if tag in ("latest", "safe", "finalized") else None

    @property
    def range(self) -> tuple[int, int] | None:
        """The first and the last block of an eth_getLogs by numbers."""
        if self.method != "eth_getLogs" or "fromBlock" not in self.query:
            return None
        return int(self.query["fromBlock"], 16), int(self.query["toBlock"], 16)

    def mend(self, reply: dict[str, Any]) -> None:
        """Undoes all that faults have changed."""
        self.reply, self.status, self.headers, self.body = reply, 200, {}, None
        self.delay, self.truncated, self.left_out, self.spoilt_by = 0.0, False, False, ""

    def refuse(self, message: str, *, code: int = -32000, status: int = 200, data: Any = None) -> None:
        self.reply = {"error": {"code": code, "message": message} | ({} if data is None else {"data": data})}
        self.status = status


Fault = Callable[[Exchange], Awaitable[bool] | bool]


@dataclass(slots=True)
class Injection:
    """A fault and how often it strikes: a `share` of exchanges, at most `times`, with `pause` good ones in between."""

    fault: Fault
    times: float
    share: float
    pause: int
    struck: int = 0
    resting: int = 0

    async def strike(self, exchange: Exchange, dice: random.Random) -> None:
        if self.struck >= self.times or dice.random() >= self.share:
            return
        untouched = exchange.reply
        if not await _strike(self.fault, exchange):
            return
        if self.resting:
            self.resting -= 1
            exchange.mend(untouched)
            return
        self.struck += 1
        self.resting = self.pause


class FaultProxy:
    """A server on the given port, or a free one. `url` has an API key in its path.

    `calls` lists the requested methods, `struck` counts the spoilt responses by the name of the fault.
    `batches` lists the sizes of the batches received. Batches larger than `largest_batch` are refused; 0 refuses all.
    `refuse_batch` returns the status and the body of a refusal for these sizes, the last one is the present one.
    """

    def __init__(self, upstream: Upstream, *, seed: int = 0, port: int = 0) -> None:
        self.upstream = upstream
        self.port = port
        self.injections: list[Injection] = []
        self.calls: list[str] = []
        self.struck: Counter[str] = Counter()
        self.batches: list[int] = []
        self.largest_batch = 1_000
        self.refuse_batch: Callable[[list[int]], tuple[int, bytes] | None] = lambda sizes: None
        self.url = ""
        self._random = random.Random(seed)
        self._runner: web.AppRunner | None = None

    def inject(self, fault: Fault, *, times: float = float("inf"), share: float = 1.0, pause: int = 0) -> Injection:
        """Lets a fault strike from now on. The returned object counts how often it does."""
        self.injections.append(Injection(fault, times, share, pause))
        return self.injections[-1]

    def inject_one_of(self, faults: Collection[Fault], *, share: float) -> Injection:
        """Spoils a share of all responses, each by one of these faults."""

        async def any_of_them(exchange: Exchange) -> bool:
            for fault in self._random.sample(list(faults), len(faults)):
                if await _strike(fault, exchange):
                    return True
            return False

        return self.inject(any_of_them, share=share)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{key:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v2/a-secret-key"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        await self._runner.cleanup()
        # a client that tries again and again may have been accepted meanwhile; the loop needs some turns to know of it
        for _turn in range(3):
            await asyncio.sleep(0.01)
            await server.shutdown(0)

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        request = json.loads(await http.read())
        if isinstance(request, list):
            return await self._serve_batch(request)
        exchange = await self._exchange(request)
        if exchange.delay:
            await asyncio.sleep(exchange.delay)
        body = exchange.body
        if body is None:
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"]} | exchange.reply).encode()
        if exchange.truncated:
            return await _cut_off(http, body)
        headers = {"Content-Type": "application/json"} | exchange.headers
        return web.Response(status=exchange.status, body=body, headers=headers)

    async def _serve_batch(self, requests: list[dict[str, Any]]) -> web.StreamResponse:
        """Answers a batch. A fault may spoil the response as a whole, or single answers in it."""
        self.batches.append(len(requests))
        if len(requests) > self.largest_batch:
            refusal = {"code": -32600, "message": f"batch of {len(requests)} is too large"}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": refusal})
        if (refusal_of_batch := self.refuse_batch(self.batches)) is not None:
            return web.Response(status=refusal_of_batch[0], body=refusal_of_batch[1])
        replies = []
        for request in requests:
            exchange = await self._exchange(request, in_batch=True)
            if exchange.body is not None or exchange.truncated or exchange.status != 200:
                return web.Response(status=exchange.status, body=exchange.body or b"{}")
            if exchange.left_out:
                continue
            replies.append({"jsonrpc": "2.0", "id": request["id"]} | exchange.reply)
        return web.json_response(replies[::-1])  # providers promise no order

    async def _exchange(self, request: dict[str, Any], *, in_batch: bool = False) -> Exchange:
        exchange = Exchange(request["method"], request["params"], {}, self.upstream, in_batch=in_batch)
        self.calls.append(exchange.method)
        exchange.reply = await self.upstream(exchange.method, exchange.params)
        for injection in self.injections:
            await injection.strike(exchange, self._random)
        if exchange.spoilt_by:
            self.struck[exchange.spoilt_by] += 1
        return exchange


async def _strike(fault: Fault, exchange: Exchange) -> bool:
    result = fault(exchange)
    struck = result if isinstance(result, bool) else await result
    if struck and not exchange.spoilt_by:
        exchange.spoilt_by = fault.__name__
    return struck


async def _cut_off(http: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(http)
    await response.write(body[: len(body) // 2])
    assert http.transport is not None
    http.transport.close()
    return response


def of_node(url: str) -> Upstream:
    """Returns an upstream that forwards to a node whose chain does not change: equal requests are sent once."""
    cache: dict[str, dict[str, Any]] = {}

    async def answer(method: str, params: list[Any]) -> dict[str, Any]:
        request = json.dumps([method, params])
        if request not in cache:
            cache[request] = await _forward(url, method, params)
        return copy.deepcopy(cache[request])

    return answer


def of_living_node(url: str) -> Upstream:
    """Returns an upstream that forwards every request to a node."""
    return partial(_forward, url)


async def _forward(url: str, method: str, params: list[Any]) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with ClientSession() as session, session.post(url, json=request) as response:
        reply = await response.json()
    return {key: reply[key] for key in ("result", "error") if key in reply}


def of_fake(node: FakeNode) -> Upstream:
    """Returns an upstream that is a fake node."""

    async def answer(method: str, params: list[Any]) -> dict[str, Any]:
        node.before_call(method)
        try:
            return {"result": node.answer(method, params)}
        except RpcError as error:
            return {"error": {"code": error.code, "message": error.text}}

    return answer
