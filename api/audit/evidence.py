"""The events that answers about devices rest on: rows with all columns of an event.

Each function reads for many devices at once, so that fifty devices need as many statements as one.
"""

from collections.abc import Callable, Sequence

from api.queries.events import EVENT, HISTORY
from api.queries.recorded import RecordedEvent, recorded_event
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.listings import BY_POSITION, Listing
from api.queries.sql.pages import PageQuery, Window
from api.reading.read import Read
from schema.events import DeviceAddressReset, DeviceAttributeSet, DeviceMinted, Fact, FactoryReset, Kind
from schema.profile.reader import Mapped

Fits = Callable[[Fact], bool]
Device = tuple[Pin, int]
"""The pin that a device is read at, and its id."""

MAX_EVENTS = 10
"""The number of events that an answer shows."""

SETTER_BATCH = 50
"""The number of events that one statement reads in search of the last one that sets a value."""


def events_at(read: Read, places: Sequence[tuple[Pin, Sequence[int | None]]]) -> list[list[RecordedEvent]]:
    """Returns the events at some positions of each pin. A position of None stands for no event."""
    keys = [key_of(pin, position) for pin, positions in places for position in positions if position is not None]
    rows = dict(zip(keys, read.cells(EVENT, EVENT.columns, keys), strict=True))
    return [
        [
            recorded_event(row)
            for position in positions
            if position is not None and (row := rows[key_of(pin, position)]) is not None
        ]
        for pin, positions in places
    ]


def first_events(
    read: Read, listing: Listing, devices: Sequence[Device], *, filter: Filter = (), count: int = 1
) -> list[list[RecordedEvent]]:
    """Returns the first events of a list of each device."""
    return _pages(
        read, PageQuery(listing, BY_POSITION, Window(count), filter), [key_of(pin, id) for pin, id in devices]
    )


def last_events(
    read: Read,
    listing: Listing,
    devices: Sequence[Device],
    *,
    filter: Filter = (),
    count: int = 1,
    before: Sequence[int | None] | None = None,
) -> list[list[RecordedEvent]]:
    """Returns the last events of a list of each device, before the device's own position if `before` has one."""
    ends = [None] * len(devices) if before is None else before
    keys = [_before(key_of(pin, id), end) for (pin, id), end in zip(devices, ends, strict=True)]
    return _pages(read, PageQuery(listing, BY_POSITION, Window(count, backward=True), filter), keys)


def setters(
    read: Read, devices: Sequence[Device], kinds: tuple[Kind, ...], fits: Sequence[Fits]
) -> list[list[RecordedEvent]]:
    """Returns for each device the last event of these kinds whose fact fits: the one that set the present value."""
    evidence: list[list[RecordedEvent]] = [[] for _ in devices]
    before: dict[int, int | None] = dict.fromkeys(range(len(devices)))
    while before:
        pages = last_events(
            read,
            HISTORY,
            [devices[place] for place in before],
            filter=of_kinds(*kinds),
            count=SETTER_BATCH,
            before=list(before.values()),
        )
        further: dict[int, int | None] = {}
        for place, events in zip(before, pages, strict=True):
            setter = next((event for event in reversed(events) if _fits(read, event, fits[place])), None)
            if setter is not None:
                evidence[place] = [setter]
            elif events:
                further[place] = events[0].position
        before = further
    return evidence


def fact_of(read: Read, event: RecordedEvent) -> Fact | None:
    """Returns the fact of an event, None if it has no fact."""
    reading = read.decode(event)
    return reading.fact if isinstance(reading, Mapped) else None


def _fits(read: Read, event: RecordedEvent, fits: Fits) -> bool:
    fact = fact_of(read, event)
    return fact is not None and fits(fact)


def _before(key: Key, position: int | None) -> Key:
    return key if position is None else key._replace(position=min(position - 1, key.position))


def _pages(read: Read, query: PageQuery, keys: Sequence[Key]) -> list[list[RecordedEvent]]:
    return [list(map(recorded_event, page.rows)) for page in read.pages(query, keys, EVENT.columns)]


def of_kinds(*kinds: Kind) -> Filter:
    """Returns the filter for events of these kinds."""
    return (("kind", (("in", kinds),)),)


SETTERS = (Kind.DEVICE_MINTED, Kind.DEVICE_ATTRIBUTE_SET)
ADDRESS_SETTERS = (Kind.DEVICE_MINTED, Kind.DEVICE_ADDRESS_RESET, Kind.FACTORY_RESET)


def sets(attribute: str, field: str | None) -> Fits:
    """Returns the test for facts that set an attribute: a correction of that name, or a mint that has the field."""

    def fits(fact: Fact) -> bool:
        if isinstance(fact, DeviceAttributeSet):
            return fact.attribute == attribute
        return isinstance(fact, DeviceMinted) and field is not None and getattr(fact, field) is not None

    return fits


def sets_address_in(addresses: Sequence[bytes]) -> Fits:
    """Returns the test for facts that give a device one of the addresses."""
    return lambda fact: isinstance(fact, DeviceMinted | DeviceAddressReset | FactoryReset) and fact.address in addresses
