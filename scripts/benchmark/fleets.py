"""Fills a database with many devices through the indexer's store, without a node."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from indexer.chain.batch import Batch, BlockLogs
from indexer.chain.headers import Heads
from indexer.chain.wire import Header, RawLog
from indexer.decode.decode import decode
from indexer.fold.fold import fold
from indexer.fold.located_fact import named_by
from indexer.store import Store, Written
from indexer.store.lease import Lease
from indexer.store.watch_set import register
from indexer.sync.backfill import MOST_EVENTS_A_STEP, events_a_step
from indexer.sync.interpretation import Interpretation, interpret
from schema.tables.database import connect, migrate
from schema.tables.values import position
from schema.vocabulary import VerificationLevel
from scripts.benchmark.encoding import encode
from scripts.benchmark.events import BEGAN, Transaction, digest, generate_fleet
from scripts.benchmark.naive import PROFILE, WATCHED
from scripts.benchmark.recording import CHAIN_ID

EVENTS_A_BLOCK = 100


def write_fleet(database_url: str, devices: int) -> int:
    """Fills an empty database with this many devices and builds the indexes. Returns the number of events."""
    with writer(database_url) as fleet:
        events = sum(map(fleet.write, batches(generate_fleet(devices))))
        fleet.finish()
    return events


class FleetWriter:
    """Writes batches of final blocks, as the indexer does with what it has fetched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._interpretation = interpret(PROFILE, [WATCHED])

    def write(self, batch: Batch) -> int:
        """Decodes, folds and commits a batch. Returns the number of events."""
        heads = Heads(batch.last, batch.last.number, batch.last)
        return index_batch(self._store, self._interpretation, batch, heads).events

    def finish(self) -> None:
        """Builds the indexes."""
        self._store.finish_backfill(self._store.checkpoint())


@contextmanager
def writer(database_url: str) -> Iterator[FleetWriter]:
    """Yields the writer of an empty database."""
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        register(connection, CHAIN_ID, PROFILE, [WATCHED])
    lease = Lease(engine, CHAIN_ID)
    lease.try_acquire()
    yield FleetWriter(Store(engine, CHAIN_ID, lease.epoch))
    lease.release()
    engine.dispose()


def batches(transactions: Iterator[Transaction], most_events: int = MOST_EVENTS_A_STEP) -> Iterator[Batch]:
    """Yields batches with as many events as a step of a backfill, but at most with so many."""
    blocks, events = _blocks(transactions), 0
    while batch := list(islice(blocks, max(min(events_a_step(events), most_events) // EVENTS_A_BLOCK, 1))):
        yield Batch(batch, batch[-1].header)
        events += sum(len(block.logs) for block in batch)


def index_batch(store: Store, interpretation: Interpretation, batch: Batch, heads: Heads) -> Written:
    """Decodes, folds and commits a batch on top of the checkpoint, as a step does with what it has fetched."""
    before = store.checkpoint()
    decoded = decode(batch.blocks, interpretation.reader)
    facts = decoded.facts
    changes = fold(store.open_rows(before, named_by(facts)), facts, interpretation.policy)
    return store.commit(before, batch, {**decoded.readings, **changes.readings}, changes, heads)


def _blocks(transactions: Iterator[Transaction]) -> Iterator[BlockLogs]:
    number, time, parent = 0, BEGAN, bytes(32)
    pending: list[Transaction] = []
    for transaction in transactions:
        pending.append(transaction)
        if sum(len(each.events) for each in pending) >= EVENTS_A_BLOCK:
            time = max(time + 1, pending[-1].time)
            yield (block := _block(number, time, parent, pending))
            number, parent, pending = number + 1, block.header.hash, []
    if pending:
        yield _block(number, max(time + 1, pending[-1].time), parent, pending)


def _block(number: int, time: int, parent: bytes, transactions: list[Transaction]) -> BlockLogs:
    hash = digest(f"{parent.hex()} {number}")
    header = Header(number, hash, parent, time, digest("state"), digest("transactions"), digest("receipts"), None)
    logs: list[RawLog] = []
    for place, transaction in enumerate(transactions):
        for event in transaction.events:
            topics, data = encode(event)
            logs.append(
                RawLog(
                    position(number, len(logs)),
                    WATCHED.address,
                    bytes.fromhex("".join(topics)),
                    bytes.fromhex(data),
                    digest(f"{hash.hex()} {place}"),
                    place,
                    None,
                    number,
                    hash,
                )
            )
    return BlockLogs(header, logs, VerificationLevel.RPC)
