"""A JSON-RPC provider that misbehaves on demand: real HTTP in front of a real node, or of a fake one.

async with FaultProxy(of_node(anvil.url)) as proxy:
    proxy.inject(truncated_body, times=2)
    pool = Pool([proxy.url])

A fault is a function that spoils an exchange and tells whether it did; one that finds nothing to spoil does not count.
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

from indexer.rpc import RpcError
from tests.support.chain.fakechain import FakeNode

Upstream = Callable[[str, list[Any]], Awaitable[dict[str, Any]]]
"""Answers (method, params) with {"result": ...} or {"error": ...}."""

LOGS = ("eth_getLogs",)
BLOCKS = ("eth_getBlockByNumber",)


@dataclass(slots=True)
class Exchange:
    """One request and its answer on the way back. `body` replaces the whole answer."""

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
        """The blocks that an eth_getLogs asks for by number."""
        if self.method != "eth_getLogs" or "fromBlock" not in self.query:
            return None
        return int(self.query["fromBlock"], 16), int(self.query["toBlock"], 16)

    def mend(self, reply: dict[str, Any]) -> None:
        """Take back all that was spoilt."""
        self.reply, self.status, self.headers, self.body = reply, 200, {}, None
        self.delay, self.truncated, self.left_out, self.spoilt_by = 0.0, False, False, ""

    def refuse(self, message: str, *, code: int = -32000, status: int = 200, data: Any = None) -> None:
        self.reply = {"error": {"code": code, "message": message} | ({} if data is None else {"data": data})}
        self.status = status


Fault = Callable[[Exchange], Awaitable[bool] | bool]


@dataclass(slots=True)
class Injection:
    """A fault and how often it strikes: a `share` of all exchanges, at most `times`, with `pause` good ones between."""

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
    """A server on the given port, or a free one. `calls` are the methods that were asked, `url` has a key in its path.

    `struck` counts the answers that were spoilt, by the name of the fault.
    `batches` are the sizes of the batches that came, `largest_batch` what is taken of them: 0 is none.
    """

    def __init__(self, upstream: Upstream, *, seed: int = 0, port: int = 0) -> None:
        self.upstream = upstream
        self.port = port
        self.injections: list[Injection] = []
        self.calls: list[str] = []
        self.struck: Counter[str] = Counter()
        self.batches: list[int] = []
        self.largest_batch = 1_000
        self.url = ""
        self._random = random.Random(seed)
        self._runner: web.AppRunner | None = None

    def inject(self, fault: Fault, *, times: float = float("inf"), share: float = 1.0, pause: int = 0) -> Injection:
        """Let a fault strike from now on, and return the record of it."""
        self.injections.append(Injection(fault, times, share, pause))
        return self.injections[-1]

    def inject_one_of(self, faults: Collection[Fault], *, share: float) -> Injection:
        """Let a share of all answers be spoilt, each by one of these faults."""

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
        await self._runner.cleanup()

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
        """Answer a batch as one exchange that is spoilt as a whole, or as many that are spoilt each."""
        self.batches.append(len(requests))
        if len(requests) > self.largest_batch:
            refusal = {"code": -32600, "message": f"batch of {len(requests)} is too large"}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": refusal})
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
    found = fault(exchange)
    struck = found if isinstance(found, bool) else await found
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
    """Return the upstream that is a node of this URL, on a chain that stands still: each question is asked once."""
    known: dict[str, dict[str, Any]] = {}

    async def answer(method: str, params: list[Any]) -> dict[str, Any]:
        question = json.dumps([method, params])
        if question not in known:
            known[question] = await _ask(url, method, params)
        return copy.deepcopy(known[question])

    return answer


def of_living_node(url: str) -> Upstream:
    """Return the upstream that is a node of this URL, asked anew each time."""
    return partial(_ask, url)


async def _ask(url: str, method: str, params: list[Any]) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with ClientSession() as session, session.post(url, json=request) as response:
        reply = await response.json()
    return {key: reply[key] for key in ("result", "error") if key in reply}


def of_fake(node: FakeNode) -> Upstream:
    """Return the upstream that is a fake node."""

    async def answer(method: str, params: list[Any]) -> dict[str, Any]:
        node.before_call(method)
        try:
            return {"result": node.answer(method, params)}
        except RpcError as error:
            return {"error": {"code": error.code, "message": error.text}}

    return answer


# Logs that are not what was asked for


def short_log_list(exchange: Exchange) -> bool:
    """The last log is missing."""
    return _edit_logs(exchange, lambda logs: logs[:-1])


def empty_log_list(exchange: Exchange) -> bool:
    """There are logs, the answer is []."""
    return _edit_logs(exchange, lambda logs: [])


def logs_of_another_block_hash(exchange: Exchange) -> bool:
    """All logs are of another branch."""
    return _edit_logs(exchange, lambda logs: [log | {"blockHash": "0x" + "cd" * 32} for log in logs])


def logs_of_two_hashes(exchange: Exchange) -> bool:
    """One height has logs of two blocks."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"logIndex": "0xff", "blockHash": "0x" + "cd" * 32}])


def duplicated_log_index(exchange: Exchange) -> bool:
    """One log comes twice."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[0]])


def log_outside_the_range(exchange: Exchange) -> bool:
    """A log of a block that was not asked for."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"blockNumber": "0xfffff"}])


def log_outside_the_filter(exchange: Exchange) -> bool:
    """A log of a contract that was not asked for."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"address": "0x" + "ab" * 20, "logIndex": "0xff"}])


def removed_log(exchange: Exchange) -> bool:
    """A log that a reorg has removed."""
    return _edit_logs(exchange, lambda logs: [*logs[:-1], logs[-1] | {"removed": True}])


def _edit_logs(exchange: Exchange, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> bool:
    if exchange.method not in LOGS or not exchange.result:
        return False
    exchange.result = edit(exchange.result)
    return True


# Blocks that are not what was asked for


def header_of_another_backend(exchange: Exchange) -> bool:
    """A block of the right height and another hash."""
    return _edit_header(exchange, hash="0x" + "ab" * 32)


def null_block(exchange: Exchange) -> bool:
    """The block is not there."""
    if exchange.method not in BLOCKS:
        return False
    exchange.result = None
    return True


def missing_logs_bloom(exchange: Exchange) -> bool:
    """The header has no bloom."""
    if exchange.method not in BLOCKS or not exchange.result:
        return False
    exchange.result = {key: value for key, value in exchange.result.items() if key != "logsBloom"}
    return True


def missing_field(exchange: Exchange) -> bool:
    """The header has no receipts root."""
    if exchange.method not in BLOCKS or not exchange.result:
        return False
    exchange.result = {key: value for key, value in exchange.result.items() if key != "receiptsRoot"}
    return True


def foreign_bloom(exchange: Exchange) -> bool:
    """The header's bloom excludes our logs."""
    return _edit_header(exchange, logsBloom="0x" + "00" * 255 + "01")


async def head_going_backwards(exchange: Exchange) -> bool:
    """The newest block is five blocks older than it was."""
    if exchange.asked_tag != "latest":
        return False
    older = max(int(exchange.result["number"], 16) - 5, 0)
    exchange.reply = await exchange.upstream("eth_getBlockByNumber", [hex(older), False])
    return True


def _edit_header(exchange: Exchange, **changes: str) -> bool:
    if exchange.method not in BLOCKS or not exchange.result or exchange.asked_tag:
        return False
    exchange.result = exchange.result | changes
    return True


# Blocks that are not there yet, or not any more


def lagging_logs_answered_empty(exchange: Exchange) -> bool:
    """The backend for logs has not seen the block, and says so with []."""
    if exchange.method not in LOGS or "blockHash" not in exchange.query or not exchange.result:
        return False
    exchange.result = []
    return True


def lagging_logs_answered_by_an_error(exchange: Exchange) -> bool:
    """The backend for logs has not seen the block, and says so."""
    if exchange.method not in LOGS:
        return False
    text = "unknown block" if "blockHash" in exchange.query else "block range extends beyond current head block"
    exchange.refuse(text)
    return True


def pruned_history_answered_empty(exchange: Exchange) -> bool:
    """The provider keeps no old logs, and says so with []."""
    return _edit_logs(exchange, lambda logs: [])


def pruned_history_answered_by_an_error(exchange: Exchange) -> bool:
    """The provider keeps no old logs, and says so."""
    if exchange.range is None:
        return False
    exchange.refuse("pruned history unavailable", code=4444)
    return True


# Refusals


def error_with_status_200(exchange: Exchange) -> bool:
    """An error that says nothing."""
    exchange.refuse("Internal error", code=-32603)
    return True


def too_many_results(exchange: Exchange) -> bool:
    """More than one log is too many."""
    if exchange.method not in LOGS or len(exchange.result or ()) < 2:
        return False
    exchange.refuse("query returned more than 1 results", code=-32005)
    return True


def range_hint_with_status_400(exchange: Exchange) -> bool:
    """Ten blocks at once, said as Alchemy says it."""
    return _refuse_range(exchange, 10, "You can make eth_getLogs requests with up to a 10 block range.", status=400)


def range_hint_with_status_429(exchange: Exchange) -> bool:
    """Ten blocks at once, with a status that means something else."""
    return _refuse_range(exchange, 10, "Max range: 10", status=429)


def range_suggested(exchange: Exchange) -> bool:
    """A range of seven blocks is said to work, both ends in the wrong order."""
    if exchange.range is None or exchange.range[1] - exchange.range[0] < 7:
        return False
    first = exchange.range[0]
    exchange.refuse(f"Log response size exceeded. this block range should work: [{hex(first + 6)}, {hex(first)}]")
    return True


def unknown_text_for_long_ranges(exchange: Exchange) -> bool:
    """Something about the range is not liked, in words that nobody knows."""
    return _refuse_range(exchange, 12, "the moon is in the wrong house", status=200)


def rate_limited(exchange: Exchange) -> bool:
    """429, and nothing else."""
    exchange.status, exchange.body = 429, b"slow down"
    return True


def rate_limited_with_retry_after(exchange: Exchange) -> bool:
    """429, and when to come back."""
    exchange.headers["Retry-After"] = "0.05"
    return rate_limited(exchange)


def unavailable(exchange: Exchange) -> bool:
    """503 of a proxy in between."""
    exchange.status, exchange.body = 503, b"<html><title>503 Service Temporarily Unavailable</title></html>"
    return True


def _refuse_range(exchange: Exchange, blocks: int, text: str, *, status: int) -> bool:
    if exchange.range is None or exchange.range[1] - exchange.range[0] + 1 <= blocks:
        return False
    exchange.refuse(text, code=-32600, status=status)
    return True


# What is no answer


def html_with_status_200(exchange: Exchange) -> bool:
    """A page instead of an answer."""
    exchange.body = b"<html><body>Welcome to nginx!</body></html>"
    return True


def batch_reply(exchange: Exchange) -> bool:
    """A list of answers to one request."""
    exchange.body = json.dumps([{"jsonrpc": "2.0", "id": 1} | exchange.reply]).encode()
    return True


def left_out_of_a_batch(exchange: Exchange) -> bool:
    """An answer of a batch is missing; the others come in another order than they were asked for."""
    exchange.left_out = exchange.in_batch
    return exchange.in_batch


def batch_answered_by_one(exchange: Exchange) -> bool:
    """One answer to a batch of requests."""
    if exchange.in_batch:
        exchange.body = json.dumps({"jsonrpc": "2.0", "id": 1} | exchange.reply).encode()
    return exchange.in_batch


def answer_to_another_request(exchange: Exchange) -> bool:
    """The id is not the request's."""
    exchange.body = json.dumps({"jsonrpc": "2.0", "id": 987654321} | exchange.reply).encode()
    return True


def invalid_utf8(exchange: Exchange) -> bool:
    """Bytes that are no text."""
    exchange.body = b'{"jsonrpc":"2.0","id":"\xff","result":"\xff"}'
    return True


def truncated_body(exchange: Exchange) -> bool:
    """The connection breaks in the middle of the answer."""
    exchange.truncated = True
    return True


def truncated_json(exchange: Exchange) -> bool:
    """The answer ends too early, and the length says it is whole."""
    whole = json.dumps({"jsonrpc": "2.0", "id": 1} | exchange.reply).encode()
    exchange.body = whole[: len(whole) // 2]
    return True


def slow_body(exchange: Exchange) -> bool:
    """The answer comes after everybody has lost patience."""
    exchange.delay = 0.6
    return True


# Answers that are odd, and right


def hex_with_leading_zeros(exchange: Exchange) -> bool:
    """Numbers as 0x01."""
    numbers = ("number", "timestamp", "blockNumber", "logIndex", "transactionIndex")
    found = exchange.result
    if not isinstance(found, dict | list) or not found:
        return False
    items = found if isinstance(found, list) else [found]
    padded = [
        item | {key: "0x00" + item[key][2:] for key in numbers if key in item}
        for item in items
        if isinstance(item, dict)
    ]
    exchange.result = padded if isinstance(found, list) else padded[0]
    return True


def upper_case_hex(exchange: Exchange) -> bool:
    """Addresses with a checksum."""
    return _edit_logs(exchange, lambda logs: [log | {"address": "0x" + log["address"][2:].upper()} for log in logs])


# What cannot be worked with


def wrong_chain_id(exchange: Exchange) -> bool:
    """A node of another network."""
    if exchange.method != "eth_chainId":
        return False
    exchange.result = "0x5"
    return True


def invalid_key(exchange: Exchange) -> bool:
    """The URL's key is not known any more, and is quoted."""
    exchange.refuse("invalid api key: a-secret-key", status=401)
    return True


def no_block_receipts(exchange: Exchange) -> bool:
    """The method is not offered."""
    if exchange.method != "eth_getBlockReceipts":
        return False
    exchange.refuse("the method eth_getBlockReceipts does not exist/is not available", code=-32601)
    return True


def short_receipts(exchange: Exchange) -> bool:
    """The last receipt is missing."""
    if exchange.method != "eth_getBlockReceipts" or not exchange.result:
        return False
    exchange.result = exchange.result[:-1]
    return True
