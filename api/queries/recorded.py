"""A recorded event: a raw log, the block it is in, and how final that block is."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from schema.tables.values import block_of, offset_of


class Finality(Enum):
    """How certain it is that no reorg removes a block."""

    UNSAFE = "UNSAFE"
    SAFE = "SAFE"
    FINALIZED = "FINALIZED"
    ORPHANED = "ORPHANED"


class RecordedEvent(NamedTuple):
    """A log, what the profile and the fold made of it, and its block.

    `topics` are joined, 32 bytes each; times are in unix seconds. `wide_log_index`: the log's index in its block, None
    if it is the offset of the position. `item`: which of the events of its log it is. `orphaned`: a reorg removed the
    log. Its ids are then those of the canonical rows with the same tokens, if any.
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
    synthetic_device_id: int | None
    account_id: int | None
    event_time: int | None
    biz_step: int | None
    disposition: int | None
    flags: int
    block_hash: bytes
    block_time: int
    level: int
    wide_log_index: int | None
    item: int
    orphaned: bool

    @property
    def block_number(self) -> int:
        return block_of(self.position)

    @property
    def offset(self) -> int:
        return offset_of(self.position)


def log_index_of(position: int, wide: int | None) -> int:
    """Returns the index in its block of the log at a position; `wide` if it is larger than an offset."""
    return offset_of(position) if wide is None else wide


RECORDED_COLUMNS = RecordedEvent._fields
"""The columns with which a row of events begins."""


def recorded_event(row: Sequence[Any]) -> RecordedEvent:
    """Returns the event of a row that begins with `RECORDED_COLUMNS`."""
    return RecordedEvent._make(row[: len(RECORDED_COLUMNS)])


def finality_of(block_number: int, safe: int | None, finalized: int | None) -> Finality:
    """Returns the finality of a canonical block, from the chain's safe and finalized block numbers."""
    if finalized is not None and block_number <= finalized:
        return Finality.FINALIZED
    return Finality.SAFE if safe is not None and block_number <= safe else Finality.UNSAFE
