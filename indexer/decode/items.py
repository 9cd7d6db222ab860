"""Logs that are several facts: each of their items is an event of its own."""

from collections.abc import Iterable, Sequence

from indexer.errors import Stop
from schema.profile.reader import DecodedEvent, DecodedLog, events_of
from schema.tables.rows import EventLog, positioned


def spread_out(
    block_number: int, logs: Sequence[EventLog], readings: Sequence[DecodedLog]
) -> tuple[Sequence[EventLog], Sequence[DecodedEvent], Iterable[int]]:
    """Returns the events of a block with their readings and items, given its logs and their readings. Raises Stop.

    The first item keeps the bytes of its log.
    """
    events = [
        (log if item == 0 else _further(log), event, item)
        for log, reading in zip(logs, readings, strict=True)
        for item, event in enumerate(events_of(reading))
    ]
    try:
        rows = positioned(block_number, [row for row, _, _ in events])
    except OverflowError:
        raise Stop(
            f"The logs of block {block_number} are {len(events)} facts: this release cannot order as many."
        ) from None
    return rows, [event for _, event, _ in events], [item for _, _, item in events]


def _further(log: EventLog) -> EventLog:
    return EventLog(
        log.position, log.address, b"", b"", log.transaction_hash, log.transaction_index, log.wide_log_index
    )
