"""The synthetic chain on disk: its headers and logs, encoded as in JSON-RPC responses.

A chain is written once into `.bench/` and then only read. The logs of consecutive blocks are adjacent, so that any
range of blocks is one slice of the file.
"""

import mmap
import shutil
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import chain as joined
from pathlib import Path

import msgspec

from scripts.benchmark.encoding import bloom_bits, encode
from scripts.benchmark.events import BEGAN, Transaction, digest, generate

CONTRACT = "5fbdb2315678afecb367f032d93f642f64180aa3"
CHAIN_ID = 424_242
EDITION = 1
"""Raise this number when the events or their encoding change: chains of earlier editions are not used any more."""
SPARSE_STRIDE = 20


class Shape(StrEnum):
    """DENSE has events in every block, SPARSE in one block of twenty."""

    DENSE = "dense"
    SPARSE = "sparse"


class Index(msgspec.Struct):
    """Offsets of each block's header and logs in their files, then the end of each file; and the block hashes."""

    headers: list[int]
    logs: list[int]
    hashes: list[str]
    events: int


class Recording:
    """A recorded chain: blocks 0 to `head`."""

    def __init__(self, folder: Path) -> None:
        self.index = msgspec.msgpack.decode((folder / "index").read_bytes(), type=Index)
        self._headers = _mapped(folder / "headers")
        self._logs = _mapped(folder / "logs")
        self.number_of = {hash: number for number, hash in enumerate(self.index.hashes)}

    @property
    def head(self) -> int:
        return len(self.index.hashes) - 1

    def hash(self, number: int) -> str:
        return self.index.hashes[number]

    def header(self, number: int) -> bytes:
        return self._headers[self.index.headers[number] : self.index.headers[number + 1]]

    def logs(self, first: int, last: int) -> bytes:
        """Returns the logs of blocks `first` to `last`, inclusive, each followed by a comma."""
        return self._logs[self.index.logs[first] : self.index.logs[last + 1]]


def record(folder: Path, *, events: int, blocks: int, shape: Shape = Shape.DENSE, seed: int = 1) -> Recording:
    """Returns the chain with this many events in this many blocks after block 0, and writes it if it is missing."""
    target = folder / f"{events}-events-{blocks}-blocks-{shape}-{seed}-edition-{EDITION}"
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write(unfinished, _blocks(generate(events, seed), events, blocks, shape))
        unfinished.rename(target)
    return Recording(target)


def _blocks(
    source: Iterator[Transaction], events: int, blocks: int, shape: Shape
) -> Iterator[tuple[int, list[Transaction]]]:
    """Yields each block's time and transactions. Events are spread evenly over the blocks that may hold any."""
    yield BEGAN, []
    time, emitted = BEGAN, 0
    for number in range(1, blocks + 1):
        transactions: list[Transaction] = []
        holds_events = shape is Shape.DENSE or number % SPARSE_STRIDE == 0 or number == blocks
        while holds_events and emitted < events * number // blocks:
            transactions.append(next(source))
            emitted += len(transactions[-1].events)
        time = max(time + 1, *(transaction.time for transaction in transactions)) if transactions else time + 1
        yield time, transactions


def _write(folder: Path, blocks: Iterator[tuple[int, list[Transaction]]]) -> None:
    index = Index([0], [0], [], 0)
    parent = "00" * 32
    with (folder / "headers").open("wb") as headers, (folder / "logs").open("wb") as logs:
        for number, (time, transactions) in enumerate(blocks):
            hash = _digest(f"{parent} {number} {time}")
            hashes = [_digest(f"{hash} {place}") for place in range(len(transactions))]
            bits, text = _encoded(number, hash, time, transactions, hashes)
            index.headers.append(index.headers[-1] + headers.write(_header(number, hash, parent, time, bits, hashes)))
            index.logs.append(index.logs[-1] + logs.write(text))
            index.hashes.append(hash)
            index.events += sum(len(transaction.events) for transaction in transactions)
            parent = hash
    (folder / "index").write_bytes(msgspec.msgpack.encode(index))


def _encoded(
    number: int, block_hash: str, time: int, transactions: Sequence[Transaction], hashes: Sequence[str]
) -> tuple[int, bytes]:
    """Returns the bits of the block's bloom, and its logs."""
    bits = bloom_bits(CONTRACT) if transactions else 0
    logs: list[str] = []
    emitted = joined.from_iterable(
        ((place, event) for event in transaction.events) for place, transaction in enumerate(transactions)
    )
    for log_index, (place, event) in enumerate(emitted):
        topics, data = encode(event)
        for topic in topics:
            bits |= bloom_bits(topic)
        words = '","0x'.join(topics)
        logs.append(
            f'{{"address":"0x{CONTRACT}","topics":["0x{words}"],"data":"0x{data}",'
            f'"blockNumber":"{hex(number)}","blockHash":"0x{block_hash}","blockTimestamp":"{hex(time)}",'
            f'"transactionHash":"0x{hashes[place]}","transactionIndex":"{hex(place)}",'
            f'"logIndex":"{hex(log_index)}","removed":false}},'
        )
    return bits, "".join(logs).encode()


def _header(number: int, hash: str, parent: str, time: int, bits: int, transactions: Sequence[str]) -> bytes:
    header = {
        "number": hex(number),
        "hash": "0x" + hash,
        "parentHash": "0x" + parent,
        "timestamp": hex(time),
        "stateRoot": "0x" + _digest(f"state {hash}"),
        "transactionsRoot": "0x" + _digest(f"transactions {hash}"),
        "receiptsRoot": "0x" + _digest(f"receipts {hash}"),
        "logsBloom": f"0x{bits:0512x}",
        "sha3Uncles": "0x" + "1d" * 32,
        "miner": "0x" + "00" * 20,
        "difficulty": "0x0",
        "extraData": "0x",
        "gasLimit": "0x1c9c380",
        "gasUsed": hex(90_000 * len(transactions)),
        "mixHash": "0x" + _digest(f"mix {hash}"),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": "0x7",
        "size": "0x400",
        "uncles": [],
        "transactions": ["0x" + transaction for transaction in transactions],
    }
    return msgspec.json.encode(header)


def _digest(text: str) -> str:
    return digest(text).hex()


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
