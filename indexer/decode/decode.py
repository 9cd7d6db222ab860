"""From the logs of blocks to the facts that the profile finds in them."""

from collections.abc import Iterable

from indexer.chain.batch import BlockLogs
from indexer.chain.wire import RawLog
from indexer.errors import Stop
from indexer.fold.row_changes import Placed
from schema.events import Kind
from schema.profile.model import Mapped, Reader, Undecodable
from schema.tables import rows
from schema.tables.values import position


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
