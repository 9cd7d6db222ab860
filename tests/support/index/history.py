"""A chain written log by log through the real store: any history in a few lines of a test."""

from typing import Any

from sqlalchemy import Engine

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.headers import Heads
from indexer.chain.wire import Header, RawLog
from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, register
from indexer.sync.interpretation import interpret
from schema.profile.model import load_profile
from schema.tables.database import connect, migrate
from schema.tables.values import position
from scripts.benchmark.fleets import index_batch
from tests.support.chain.abi_log import abi_log

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
BEGAN = 1_700_000_000
"""Time of block 0. Each block is one minute after its parent."""

Log = tuple[bytes, bytes]

PROFILE = load_profile("device_certificate")
SIGNATURES = {rule.event.name: rule.event for rule in PROFILE.rules}


def log(name: str, *values: Any) -> Log:
    """Returns topics and data of an event of the reference contract."""
    event = SIGNATURES[name]
    arguments = ", ".join(f"{part.type}{' indexed' if part.indexed else ''} {part.name}" for part in event.inputs)
    return abi_log(f"{name}({arguments})", *values)


class History:
    """Blocks from number 1 on, each indexed at once."""

    def __init__(self, url: str, *, chain_id: int = CHAIN_ID, whole: bool = True) -> None:
        self.engine: Engine = connect(url)
        migrate(self.engine)
        contracts = [WatchedContract("certificate", CONTRACT, 0, whole)]
        with self.engine.begin() as connection:
            register(connection, chain_id, PROFILE, contracts)
        lease = Lease(self.engine, chain_id)
        if lease.try_acquire() is not None:
            raise RuntimeError("a new database has no writer")
        self.store = Store(self.engine, chain_id, lease.epoch)
        self.interpretation = interpret(PROFILE, contracts)
        self.number = 0

    def block(self, *logs: Log, finalized: int = 0, level: int = 0) -> int:
        """Adds a block with these logs, one transaction each, and returns its number."""
        self.number += 1
        header = _header(self.number)
        raw_logs = [
            RawLog(
                position(self.number, index),
                CONTRACT,
                topics,
                data,
                _hash(self.number, index + 1),
                index,
                None,
                self.number,
                header.hash,
            )
            for index, (topics, data) in enumerate(logs)
        ]
        blocks = [BlockLogs(header, raw_logs, level)] if raw_logs else []
        heads = Heads(header, finalized, _header(finalized))
        index_batch(self.store, self.interpretation, Batch(blocks, header), heads)
        return self.number

    def close(self) -> None:
        """Builds the secondary indexes, ends the backfill, and closes the database."""
        self.store.finish_backfill(self.store.checkpoint())
        self.engine.dispose()


def block_time(number: int) -> int:
    """Returns a block's time in unix seconds."""
    return BEGAN + 60 * number


def _header(number: int) -> Header:
    return Header(
        number,
        _hash(number),
        _hash(number - 1) if number else bytes(32),
        block_time(number),
        _hash(number, 2**16),
        _hash(number, 2**16 + 1),
        _hash(number, 2**16 + 2),
        None,
    )


def _hash(number: int, part: int = 0) -> bytes:
    return (number << 32 | part).to_bytes(32, "big")
