"""A batch: consecutive blocks with their logs, and what the profile reads in them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from indexer.chain.chain import Header, RawLog
from indexer.errors import Stop
from indexer.fold import rows
from indexer.fold.row_changes import Placed
from schema.abi.keccak import keccak256
from schema.events import Kind
from schema.profile.model import Mapped, Reader, Undecodable
from schema.tables.values import position


class BlockLogs(Struct, frozen=True):
    """A block and the watched contracts' logs in it, in order. `level` is a VerificationLevel."""

    header: Header
    logs: Sequence[RawLog]
    level: int


class Batch(Struct, frozen=True):
    """What one step adds: blocks in order, and the header of the last block that the batch covers."""

    blocks: Sequence[BlockLogs]
    last: Header


def read(reader: Reader, blocks: Iterable[BlockLogs]) -> tuple[list[rows.Event], list[Placed]]:
    """Returns the events of all logs, and the facts that the profile finds in them, both in order of position."""
    events: list[rows.Event] = []
    facts: list[Placed] = []
    for block in blocks:
        for log in block.logs:
            event = rows.Event(
                _position(log),
                log.address,
                log.topics,
                log.data,
                log.transaction_hash,
                log.transaction_index,
                Kind.UNMAPPED.value,
            )
            fact = read_event(reader, event, block.header.number, block.header.timestamp)
            events.append(event)
            if fact is not None:
                facts.append(fact)
    return events, facts


def _position(log: RawLog) -> int:
    try:
        return position(log.block_number, log.log_index)
    except OverflowError as error:
        raise Stop(f"{str(error).capitalize()}. This release cannot index such a chain.") from None


def read_event(reader: Reader, event: rows.Event, block_number: int, block_time: int) -> Placed | None:
    """Returns the fact in a log; where there is none, marks the event UNMAPPED or UNDECODABLE."""
    reading = reader.read(event.address, event.topics, event.data, block_number)
    if isinstance(reading, Mapped):
        return Placed(
            event.position,
            block_time,
            event.transaction_index,
            reading.fact,
            reading.token_contract,
            reading.manufacturer_contract,
            reading.hardware_license_contract,
            reading.vehicle_contract,
            reading.license_contract,
        )
    event.kind = Kind.UNDECODABLE.value if isinstance(reading, Undecodable) else Kind.UNMAPPED.value
    return None


def watch_set_digest(chain_id: int, contracts: Iterable[tuple[bytes, int]]) -> bytes:
    """Returns what the digests of a watch set begin with; contracts as (address, start block)."""
    parts = [address + start.to_bytes(8, "big") for address, start in sorted(contracts)]
    return keccak256(chain_id.to_bytes(32, "big") + b"".join(parts))


class CommittedLog(Protocol):
    """What a digest commits to of a log."""

    @property
    def address(self) -> bytes: ...
    @property
    def topics(self) -> bytes: ...
    @property
    def data(self) -> bytes: ...


def block_digest(previous: bytes, block_hash: bytes, logs: Sequence[CommittedLog]) -> bytes:
    """Returns the digest after a block with events: it commits to every log stored so far, in order."""
    return keccak256(previous + block_hash + keccak256(b"".join(map(_committed, logs))))


def _committed(log: CommittedLog) -> bytes:
    """Returns address, topics and data with the lengths that keep them apart: 20 bytes, 1 + 32n, 8 + m."""
    count, length = len(log.topics) // 32, len(log.data)
    return log.address + count.to_bytes(1, "big") + log.topics + length.to_bytes(8, "big") + log.data
