"""The events that an answer about a device rests on: rows of `select_events`, read by the loaders.

Only the keys differ from device to device, so fifty devices need as many statements as one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from api.queries.events import HISTORY
from api.queries.recorded import recorded_event
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.pages import BY_POSITION, Listing, Window
from api.reading.batching import QueryRunner
from api.reading.loaders import Loaders, PageQuery
from api.reading.profile_readers import read_event
from schema.events import DeviceAddressReset, DeviceAttributeSet, DeviceMinted, Fact, FactoryReset, Kind
from schema.profile.reader import Mapped

Fits = Callable[[Fact], bool]

MAX_EVENTS = 10
"""The number of events that an answer shows."""

SETTER_BATCH = 50
"""The number of events that one statement reads in search of the last one that sets a value."""


class DeviceEvidence:
    """Reads events of devices as of a pin."""

    def __init__(self, runner: QueryRunner, loaders: Loaders, pin: Pin) -> None:
        self._runner = runner
        self._loaders = loaders
        self._pin = pin

    async def at(self, *positions: int | None) -> list[Any]:
        """Returns the events at these positions. A position of None stands for no event."""
        keys = [key_of(self._pin, position) for position in positions if position is not None]
        rows = await self._runner.gather(*map(self._loaders.event.load, keys))
        return [row for row in rows if row is not None]

    async def first(self, listing: Listing, device_id: int, *, filter: Filter = (), count: int = 1) -> Sequence[Any]:
        """Returns the first events of a list of the device."""
        page = await self._loaders.page(
            PageQuery(listing, BY_POSITION, Window(count), filter), key_of(self._pin, device_id)
        )
        return page.rows

    async def last(
        self, listing: Listing, device_id: int, *, filter: Filter = (), count: int = 1, before: int | None = None
    ) -> Sequence[Any]:
        """Returns the last events of a list of the device, before a position if one is given."""
        key = key_of(self._pin, device_id)
        if before is not None:
            key = key._replace(position=min(before - 1, key.position))
        page = await self._loaders.page(PageQuery(listing, BY_POSITION, Window(count, backward=True), filter), key)
        return page.rows

    async def setter(self, device_id: int, kinds: tuple[Kind, ...], fits: Fits) -> list[Any]:
        """Returns the last event of these kinds whose fact fits: the event that set the present value."""
        before = None
        while rows := await self.last(HISTORY, device_id, filter=of_kinds(*kinds), count=SETTER_BATCH, before=before):
            for row in reversed(rows):
                fact = self.fact(row)
                if fact is not None and fits(fact):
                    return [row]
            before = rows[0].position
        return []

    async def addresses(self, device_id: int) -> list[bytes]:
        """Returns the addresses that a device has or had, newest first."""
        return [row.address for row in await self._loaders.addresses.load(key_of(self._pin, device_id))]

    async def license_at_mint(self, device: Any, *, hardware: bool) -> list[Any]:
        """Returns the grant and the revocation that applied just before the mint of the device, and the mint."""
        loader = self._loaders.hardware_license if hardware else self._loaders.manufacturer
        holder = device.hardware_license_id if hardware else device.manufacturer_id
        if device.mint_position is None or holder is None:
            return await self.at(device.mint_position)
        license = await loader.load(Key(device.chain_id, holder, device.mint_position - 1, device.minted_at))
        if license is None:
            return await self.at(device.mint_position)
        return await self.at(license.grant_position, license.revocation_position, device.mint_position)

    def fact(self, row: Any) -> Fact | None:
        """Returns the fact of an event, None if it has no fact."""
        reading = read_event(self._runner.snapshot.readers, recorded_event(row))
        return reading.fact if isinstance(reading, Mapped) else None


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
