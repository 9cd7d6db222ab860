"""From logs to the facts that the profile finds in them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from indexer.errors import Stop
from indexer.fold.located_fact import LocatedFact
from schema.events import Kind
from schema.profile.reader import Mapped, Reader, Undecodable
from schema.tables.rows import EventLog, EventReading
from schema.tables.values import position

UNDECODABLE = EventReading(Kind.UNDECODABLE.value)
UNMAPPED = EventReading(Kind.UNMAPPED.value)


class LogsOfBlock(Protocol):
    """The logs of a block, in order. `timestamp` in unix seconds."""

    @property
    def number(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def logs(self) -> Sequence[EventLog]: ...


class Decoded(Struct, frozen=True):
    """The facts of a batch in order of position, and the readings, by position, of the logs that are no facts."""

    facts: list[LocatedFact]
    readings: dict[int, EventReading]


def decode(blocks: Iterable[LogsOfBlock], reader: Reader) -> Decoded:
    """Returns the facts in the logs; a log without a fact is UNMAPPED or UNDECODABLE. Raises Stop.

    The stop is for a block whose number is larger than a position can hold.
    """
    facts: list[LocatedFact] = []
    readings: dict[int, EventReading] = {}
    for block in blocks:
        number, timestamp = block.number, block.timestamp
        _check_position(number)
        for log, reading in zip(block.logs, reader.read_block(block.logs, number), strict=True):
            if isinstance(reading, Mapped):
                facts.append(
                    LocatedFact(log.position, timestamp, log.transaction_index, reading.fact, reading.contracts)
                )
            else:
                readings[log.position] = UNDECODABLE if isinstance(reading, Undecodable) else UNMAPPED
    return Decoded(facts, readings)


def _check_position(block_number: int) -> None:
    try:
        position(block_number, 0)
    except OverflowError as error:
        raise Stop(f"{str(error).capitalize()}. This release cannot index such a chain.") from None
