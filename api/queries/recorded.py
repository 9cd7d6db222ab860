"""A recorded event: a raw log, the block it is in, and how final that block is."""

from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Row

from api.queries.sql.as_of import BlockPoint
from schema.tables.values import block_of, offset_of


class Finality(Enum):
    """How certain it is that no reorg removes a block."""

    UNSAFE = "UNSAFE"
    SAFE = "SAFE"
    FINALIZED = "FINALIZED"
    ORPHANED = "ORPHANED"


class RecordedEvent(NamedTuple):
    """A log and its block. `topics` are joined, 32 bytes each; times are in unix seconds.

    `wide_log_index` is the log's index in the block, None if it is the offset of the position.

    `orphaned`: a reorg removed the log. Its ids are then those of the canonical rows with the same tokens, if any.
    """

    chain_id: int
    position: int
    address: bytes
    topics: bytes
    data: bytes
    transaction_hash: bytes
    transaction_index: int
    kind: int
    device_id: int | None
    manufacturer_id: int | None
    hardware_license_id: int | None
    vehicle_id: int | None
    flags: int
    block_hash: bytes
    block_time: int
    level: int
    wide_log_index: int | None = None
    orphaned: bool = False

    @property
    def block_number(self) -> int:
        return block_of(self.position)

    @property
    def block(self) -> BlockPoint:
        return BlockPoint(self.chain_id, self.block_number, self.block_hash, self.block_time)

    @property
    def log_index(self) -> int:
        return self.offset if self.wide_log_index is None else self.wide_log_index

    @property
    def offset(self) -> int:
        return offset_of(self.position)

    @property
    def topic_list(self) -> list[bytes]:
        return [self.topics[start : start + 32] for start in range(0, len(self.topics), 32)]


RECORDED_COLUMNS = RecordedEvent._fields[:-1]
"""The columns with which a row of events begins: all fields but `orphaned`."""


def recorded_event(row: Row[Any]) -> RecordedEvent:
    """Returns the event of a row that begins with `RECORDED_COLUMNS`."""
    return RecordedEvent(*row[: len(RECORDED_COLUMNS)])


def finality_of(block_number: int, safe: int | None, finalized: int | None) -> Finality:
    """Returns the finality of a canonical block, from the chain's safe and finalized block numbers."""
    if finalized is not None and block_number <= finalized:
        return Finality.FINALIZED
    return Finality.SAFE if safe is not None and block_number <= safe else Finality.UNSAFE
