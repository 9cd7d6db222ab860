"""Reads stored blocks with events by range, with their logs and digests."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from indexer.proof.evidence import StoredBlock, StoredLog
from indexer.store.watch_set import digest_of, read_watch_set
from schema.tables.database import read_only_engine
from schema.tables.values import MAX_OFFSET, block_of, end_of_block, position

BLOCKS_A_READ = 256


class Range(Struct, frozen=True):
    """Blocks with events, in order, and their digests by number. `stray`: a block of which only events are stored."""

    blocks: Sequence[StoredBlock]
    digests: Mapping[int, bytes]
    stray: int | None


class EventRanges:
    """Reads one chain by ranges, each in a transaction of its own."""

    def __init__(self, engine: Engine, chain_id: int) -> None:
        self.engine = engine
        self.chain_id = chain_id

    def read(self, first: int, last: int) -> Range:
        """Returns all blocks with events from first to last, few enough to be held."""
        with read_only_engine(self.engine).begin() as connection:
            return read_range(connection, self.chain_id, first, last, last - first + 1)

    def next_blocks(self, first: int, last: int) -> Range:
        """Returns the next blocks with events from first to last; none when there are no more."""
        with read_only_engine(self.engine).begin() as connection:
            return read_range(connection, self.chain_id, first, last, BLOCKS_A_READ)

    def digest_before(self, number: int) -> bytes:
        """Returns the digest of all events before a block; without any, that of the watch set."""
        with read_only_engine(self.engine).begin() as connection:
            digest = connection.execute(
                text(
                    """SELECT digest FROM block WHERE chain_id = :chain_id AND number < :number AND digest IS NOT NULL
                    ORDER BY number DESC LIMIT 1"""
                ),
                {"chain_id": self.chain_id, "number": number},
            ).scalar_one_or_none()
            return (
                digest_of(self.chain_id, read_watch_set(connection, self.chain_id)) if digest is None else bytes(digest)
            )

    def hash_at_or_after(self, number: int, last: int) -> tuple[int, bytes] | None:
        """Returns the number and hash of the first stored block from `number` to `last`."""
        with read_only_engine(self.engine).begin() as connection:
            row = connection.execute(
                text(
                    """SELECT number, hash FROM block
                    WHERE chain_id = :chain_id AND number >= :number AND number <= :last ORDER BY number LIMIT 1"""
                ),
                {"chain_id": self.chain_id, "number": number, "last": last},
            ).one_or_none()
        return None if row is None else (row.number, bytes(row.hash))


def read_range(connection: Connection, chain_id: int, first: int, last: int, limit: int) -> Range:
    """Returns the blocks with events from first to last, at most `limit`."""
    rows = connection.execute(
        text(
            """SELECT number, hash, parent_hash, timestamp, state_root, transactions_root, receipts_root, digest
            FROM block WHERE chain_id = :chain_id AND digest IS NOT NULL AND number >= :first AND number <= :last
            ORDER BY number LIMIT :limit"""
        ),
        {"chain_id": chain_id, "first": first, "last": last, "limit": limit},
    ).all()
    logs = _logs(connection, chain_id, first, rows[-1].number if len(rows) == limit else last)
    blocks = [
        StoredBlock(
            row.number,
            bytes(row.hash),
            bytes(row.parent_hash),
            row.timestamp,
            bytes(row.state_root),
            bytes(row.transactions_root),
            bytes(row.receipts_root),
            logs.get(row.number, ()),
        )
        for row in rows
    ]
    digests = {row.number: bytes(row.digest) for row in rows}
    return Range(blocks, digests, min(logs.keys() - digests.keys(), default=None))


def _logs(connection: Connection, chain_id: int, first: int, last: int) -> dict[int, Sequence[StoredLog]]:
    rows = connection.execute(
        text(
            """SELECT position, coalesce(wide_log_index, position & :offset) AS log_index,
                transaction_index, transaction_hash, address, topics, data FROM event
            WHERE chain_id = :chain_id AND position >= :first AND position <= :last AND item = 0 ORDER BY position"""
        ),
        {"chain_id": chain_id, "first": position(first, 0), "last": end_of_block(last), "offset": MAX_OFFSET},
    )
    return {
        number: [
            StoredLog(log_index, index, bytes(hash), bytes(address), bytes(topics), bytes(data))
            for _, log_index, index, hash, address, topics, data in group
        ]
        for number, group in groupby(rows, key=lambda row: block_of(row.position))
    }
