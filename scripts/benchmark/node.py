"""A node that serves a recorded chain over HTTP: python -m scripts.benchmark.node FOLDER --events 200000.

Responses are slices of files, so that the node does not limit the indexer; its own maximum is measured too. Besides
Ethereum's methods it has `bench_set`, `bench_reorg`, `bench_counts` and `bench_announced`, which the benchmark calls.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from hashlib import sha3_256
from pathlib import Path
from typing import Any

import msgspec

from scripts.benchmark.recording import CHAIN_ID, Recording, Shape, record

HOST = "127.0.0.1"
BLOCK_CAP_TEXT = "You can make eth_getLogs requests with up to a {cap:,} block range. Based on your parameters, this block range should work: [{first}, {last}]"  # noqa: E501  # as Alchemy writes it
RESULT_CAP_TEXT = "query returned more than {cap} results. Try with this block range [{first}, {last}]."
INVALID_PARAMS, LIMIT_EXCEEDED, METHOD_NOT_FOUND = -32602, -32005, -32601


class Refusal(Exception):
    """A JSON-RPC error: its code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Request(msgspec.Struct):
    id: Any
    method: str
    params: list[Any] = []


class Conditions(msgspec.Struct):
    """How the provider behaves: `latency` in seconds, caps in blocks and logs a request; 0 means no cap."""

    head: int
    finality: int = 64
    latency: float = 0.0
    block_cap: int = 0
    result_cap: int = 0


class Block(msgspec.Struct):
    """A block of another branch than the recorded one."""

    hash: str
    header: bytes
    logs: bytes


class Node:
    """Answers requests from a recording; the blocks of a fork replace recorded ones."""

    def __init__(self, chain: Recording, conditions: Conditions) -> None:
        self.chain = chain
        self.conditions = conditions
        self.fork: dict[int, Block] = {}
        self.forks = 0
        self.counts: dict[str, int] = {}
        self.bytes = 0
        self.announced: dict[int, float] = {}
        """When each block was first returned as the latest one, by the system's clock."""

    def answer(self, body: bytes) -> bytes:
        """Returns the answer to one request, or to a batch."""
        if body.lstrip().startswith(b"["):
            requests = msgspec.json.decode(body, type=list[Request])
            answers = b"[" + b",".join(map(self._one, requests)) + b"]"
        else:
            answers = self._one(msgspec.json.decode(body, type=Request))
        self.bytes += len(answers)
        return answers

    def _one(self, request: Request) -> bytes:
        id = msgspec.json.encode(request.id)
        self.counts[request.method] = self.counts.get(request.method, 0) + 1
        method: Callable[..., bytes] | None = METHODS.get(request.method)
        try:
            if method is None:
                raise Refusal(METHOD_NOT_FOUND, f"the method {request.method} does not exist/is not available")
            return b'{"jsonrpc":"2.0","id":' + id + b',"result":' + method(self, *request.params) + b"}"
        except Refusal as refusal:
            error = msgspec.json.encode({"code": refusal.code, "message": str(refusal)})
            return b'{"jsonrpc":"2.0","id":' + id + b',"error":' + error + b"}"

    # Ethereum

    def chain_id(self) -> bytes:
        return b'"%s"' % hex(CHAIN_ID).encode()

    def block_number(self) -> bytes:
        return b'"%s"' % hex(self.conditions.head).encode()

    def code(self, address: str, block: str) -> bytes:
        return b'"0x00"'

    def block(self, tag: str, full: bool = False) -> bytes:
        number = self._number(tag)
        if tag == "latest":
            self.announced.setdefault(number, time.time())
        return self._header(number) if number <= self.conditions.head else b"null"

    def block_by_hash(self, hash: str, full: bool = False) -> bytes:
        return self._header(self._number_of(hash))

    def logs(self, query: dict[str, Any]) -> bytes:
        if "blockHash" in query:
            number = self._number_of(query["blockHash"])
            return self._slice(number, number)
        first, last = self._number(query.get("fromBlock", "latest")), self._number(query.get("toBlock", "latest"))
        self._check_caps(first, last)
        return self._slice(first, min(last, self.conditions.head))

    def receipts(self, block: str) -> bytes:
        """Returns the receipts of a block, with the fields that logs need."""
        number = self._number(block) if len(block) < 60 else self._number_of(block)
        receipts: dict[str, dict[str, Any]] = {}
        for log in json.loads(self._slice(number, number)):
            receipt = {key: log[key] for key in ("transactionHash", "transactionIndex", "blockHash", "blockNumber")}
            receipts.setdefault(log["transactionHash"], receipt | {"logs": []})["logs"].append(log)
        return msgspec.json.encode(list(receipts.values()))

    def _number(self, tag: str) -> int:
        head, finality = self.conditions.head, self.conditions.finality
        named = {"earliest": 0, "latest": head, "pending": head, "safe": max(head - finality // 2, 0)}
        named["finalized"] = max(head - finality, 0)
        return named[tag] if tag in named else int(tag, 16)

    def _number_of(self, hash: str) -> int:
        plain = hash.removeprefix("0x")
        for number, block in self.fork.items():
            if block.hash == plain:
                return number
        number = self.chain.number_of.get(plain, -1)
        if number < 0 or number in self.fork or number > self.conditions.head:
            raise Refusal(-32000, "unknown block")
        return number

    def _header(self, number: int) -> bytes:
        return self.fork[number].header if number in self.fork else self.chain.header(number)

    def _slice(self, first: int, last: int) -> bytes:
        if self.fork and last >= min(self.fork):
            parts = [
                self.fork[number].logs if number in self.fork else self.chain.logs(number, number)
                for number in range(first, last + 1)
            ]
            return b"[" + b"".join(parts)[:-1] + b"]"
        return b"[" + self.chain.logs(first, last)[:-1] + b"]" if first <= last else b"[]"

    def _check_caps(self, first: int, last: int) -> None:
        cap = self.conditions.block_cap
        if cap and last - first + 1 > cap:
            message = BLOCK_CAP_TEXT.format(cap=cap, first=hex(first), last=hex(first + cap - 1))
            raise Refusal(INVALID_PARAMS, message)
        cap = self.conditions.result_cap
        places = self.chain.index.logs
        a_log = max(places[-1] // max(self.chain.index.events, 1), 1)
        if cap and last > first and (places[min(last, self.chain.head) + 1] - places[first]) // a_log > cap:
            middle = (first + last) // 2
            message = RESULT_CAP_TEXT.format(cap=cap, first=hex(first), last=hex(middle))
            raise Refusal(LIMIT_EXCEEDED, message)

    # For the benchmark

    def set(self, changes: dict[str, Any]) -> bytes:
        """Changes the conditions, the head among them."""
        now = msgspec.structs.asdict(self.conditions)
        self.conditions = msgspec.convert(now | changes, Conditions)
        return b"true"

    def reorg(self, depth: int) -> bytes:
        """Replaces the last `depth` blocks by others with the same transactions, and adds one; returns its hash."""
        head = self.conditions.head
        parent = self._hash(head - depth)
        blocks: dict[int, Block] = {}
        self.forks += 1
        for number in range(head - depth + 1, head + 2):
            old, old_parent = self.chain.hash(number), self.chain.hash(number - 1)
            new = sha3_256(f"{old} fork {self.forks}".encode()).hexdigest()
            header = self.chain.header(number).replace(old_parent.encode(), parent.encode())
            blocks[number] = Block(
                new,
                header.replace(old.encode(), new.encode()),
                self.chain.logs(number, number).replace(old.encode(), new.encode()),
            )
            parent = new
        self.fork |= blocks
        self.conditions.head = head + 1
        self.announced.clear()
        return b'"0x%s"' % parent.encode()

    def take_counts(self) -> bytes:
        """Returns the requests by method and the bytes sent since the last call."""
        counts = {method: count for method, count in self.counts.items() if method in ETHEREUM}
        counted = msgspec.json.encode({"requests": counts, "bytes": self.bytes})
        self.counts, self.bytes = {}, 0
        return counted

    def announced_at(self, number: int) -> bytes:
        """Returns when the block was first returned as the latest one; null if that has not happened yet."""
        return msgspec.json.encode(self.announced.get(number))

    def _hash(self, number: int) -> str:
        return self.fork[number].hash if number in self.fork else self.chain.hash(number)


ETHEREUM: dict[str, Callable[..., bytes]] = {
    "eth_chainId": Node.chain_id,
    "eth_blockNumber": Node.block_number,
    "eth_getCode": Node.code,
    "eth_getBlockByNumber": Node.block,
    "eth_getBlockByHash": Node.block_by_hash,
    "eth_getLogs": Node.logs,
    "eth_getBlockReceipts": Node.receipts,
}
METHODS = ETHEREUM | {
    "bench_set": Node.set,
    "bench_reorg": Node.reorg,
    "bench_counts": Node.take_counts,
    "bench_announced": Node.announced_at,
}


class Connection(asyncio.Protocol):
    """The part of HTTP/1.1 with keep-alive that JSON-RPC clients need."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._received) < end + 4 + length:
                return
            body = bytes(self._received[end + 4 : end + 4 + length])
            del self._received[: end + 4 + length]
            self._send(self.node.answer(body), 0.0 if b'"bench_' in body else self.node.conditions.latency)

    def _send(self, answer: bytes, latency: float) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
        if latency:
            asyncio.get_running_loop().call_later(latency, self._transport.write, head + answer)
        else:
            self._transport.write(head + answer)


async def serve(node: Node) -> None:
    """Serves until the process ends; prints the URL when the node accepts requests."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(node), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    print(f"serving http://{HOST}:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark.node", description=__doc__)
    parser.add_argument("folder", type=Path, help="where recorded chains are kept")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--blocks", type=int, default=20_000)
    parser.add_argument("--shape", type=Shape, choices=list(Shape), default=Shape.DENSE)
    options = parser.parse_args()
    chain = record(options.folder, events=options.events, blocks=options.blocks, shape=options.shape)
    try:
        asyncio.run(serve(Node(chain, Conditions(head=chain.head))))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
