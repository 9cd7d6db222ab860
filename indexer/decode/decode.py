"""From logs to the facts that the profile finds in them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Protocol

from msgspec import Struct

from indexer.decode.items import spread_out
from indexer.errors import Stop
from indexer.fold.located_fact import LocatedFact
from schema.events import Kind
from schema.profile.reader import DecodedLog, Mapped, MappedItems, Reader, Undecodable
from schema.tables.rows import EventLog, EventReading
from schema.tables.values import position

UNDECODABLE = EventReading(Kind.UNDECODABLE.value)
UNMAPPED = EventReading(Kind.UNMAPPED.value)
ONE_EACH: Iterable[int] = repeat(0)
"""The items of logs that are one event each."""


class LogsOfBlock(Protocol):
    """The logs of a block, in order. `timestamp` in unix seconds."""

    @property
    def number(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def logs(self) -> Sequence[EventLog]: ...


class Decoded(Struct, frozen=True):
    """The facts of a batch in order of position, and the readings, by position, of the logs that are no facts.

    `spread` has, by number, the events of the blocks in which a log is several; elsewhere the logs are the events.
    """

    facts: list[LocatedFact]
    readings: dict[int, EventReading]
    spread: Mapping[int, Sequence[EventLog]]


def decode(blocks: Iterable[LogsOfBlock], reader: Reader) -> Decoded:
    """Returns the facts in the logs; a log without a fact is UNMAPPED or UNDECODABLE. Raises Stop.

    The stop is for a block whose number, or the number of whose events, is larger than a position can hold.
    """
    facts: list[LocatedFact] = []
    readings: dict[int, EventReading] = {}
    spread: dict[int, Sequence[EventLog]] = {}
    for block in blocks:
        number, timestamp = block.number, block.timestamp
        _check_position(number)
        logs, items = block.logs, ONE_EACH
        decoded: Sequence[DecodedLog] = reader.read_block(logs, number)
        if reader.fans_out and any(isinstance(reading, MappedItems) for reading in decoded):
            logs, decoded, items = spread_out(number, logs, decoded)
            spread[number] = logs
        for log, reading, item in zip(logs, decoded, items, strict=False):
            if isinstance(reading, Mapped):
                facts.append(
                    LocatedFact(log.position, timestamp, log.transaction_index, reading.fact, reading.contracts, item)
                )
            else:
                readings[log.position] = UNDECODABLE if isinstance(reading, Undecodable) else UNMAPPED
    return Decoded(facts, readings, spread)


def _check_position(block_number: int) -> None:
    try:
        position(block_number, 0)
    except OverflowError as error:
        raise Stop(f"{str(error).capitalize()}. This release cannot index such a chain.") from None
