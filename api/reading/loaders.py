"""One loader a relation: what the objects of an answer ask of the database, asked once for all of them."""

from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Row

from api.queries.authorizations import authorizations
from api.queries.blocks import blocks
from api.queries.devices import addresses, attributes, devices, successors
from api.queries.duplicates import address_twins, imei_twins, serial_number_twins
from api.queries.events import events
from api.queries.licenses import hardware_licenses, manufacturers
from api.queries.proofs import Proof, proofs, verification_notes
from api.queries.sql import tables
from api.queries.sql.as_of import (
    BlockPoint,
    Pin,
    are_canonical,
    blocks_at_times,
    blocks_with_hashes,
    pin_at,
    were_orphaned,
)
from api.queries.sql.keys import Key
from api.queries.sql.pages import Listing, Order, Page, Window, counts, pages
from api.queries.statistics import Grouping, device_groups
from api.queries.tokens import Token, ids_of_numbers, token_ids
from api.queries.vehicles import vehicles
from api.reading.batching import Loader, Reading, Rows

KeyT = TypeVar("KeyT", bound=Hashable)
RowT = TypeVar("RowT")


class PageOf(NamedTuple):
    """A page that many parents are asked for alike. Listings and orders are told apart by identity."""

    listing: Listing
    order: Order
    window: Window
    filter: Any


class CountOf(NamedTuple):
    listing: Listing
    filter: Any


class Relation(Generic[KeyT, RowT]):
    """A loader of a request, made when it is asked for first."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loaders: "Loaders", owner: type) -> Loader[KeyT, RowT]:
        loader: Loader[KeyT, RowT] = loaders.loader(self._rows)
        loaders.__dict__[self._name] = loader
        return loader


class Loaders:
    """The loaders of one request, over its snapshot."""

    device = Relation[Key, Row[Any] | None](devices)
    manufacturer = Relation[Key, Row[Any] | None](manufacturers)
    hardware_license = Relation[Key, Row[Any] | None](hardware_licenses)
    successor = Relation[Key, Row[Any] | None](successors)
    vehicle = Relation[Key, Row[Any] | None](vehicles)
    authorization = Relation[Key, Row[Any] | None](authorizations)
    event = Relation[Key, Row[Any] | None](events)
    block = Relation[tuple[int, int], BlockPoint | None](blocks)
    proof = Relation[tuple[int, int, int], Proof | None](proofs)
    verification_note = Relation[tuple[int, int], str | None](verification_notes)
    addresses = Relation[Key, Sequence[Row[Any]]](addresses)
    attributes = Relation[Key, Sequence[Row[Any]]](attributes)
    imei_twins = Relation[Key, Sequence[Row[Any]]](imei_twins)
    serial_number_twins = Relation[Key, Sequence[Row[Any]]](serial_number_twins)
    address_twins = Relation[Key, Sequence[Row[Any]]](address_twins)
    block_with_hash = Relation[tuple[int, bytes], BlockPoint | None](blocks_with_hashes)
    was_orphaned = Relation[tuple[int, bytes], bool](were_orphaned)
    device_id = Relation[Token, int | None](partial(token_ids, table=tables.device))
    device_ids = Relation[tuple[int, int], Sequence[int]](partial(ids_of_numbers, table=tables.device))
    manufacturer_id = Relation[Token, int | None](partial(token_ids, table=tables.manufacturer))
    hardware_license_id = Relation[Token, int | None](partial(token_ids, table=tables.hardware_license))
    vehicle_id = Relation[Token, int | None](partial(token_ids, table=tables.vehicle))
    _instants = Relation[tuple[int, int], BlockPoint | None](blocks_at_times)

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._tally = _Tally()
        self._of_lists: dict[Hashable, Loader[Key, Any]] = {}

    @cached_property
    def is_canonical(self) -> Loader[BlockPoint, bool]:
        final_numbers = self._reading.snapshot.final_numbers
        return self.loader(lambda connection, blocks: are_canonical(connection, final_numbers, blocks))

    def page(self, asked: PageOf, key: Key) -> Awaitable[Page]:
        """Returns a page of the key's list."""
        listing, order, window, filter = asked
        return self._of_list(
            asked, lambda connection, keys: pages(connection, listing, order, keys, window, filter)
        ).load(key)

    def count(self, asked: CountOf, key: Key) -> Awaitable[int]:
        """Returns the length of the key's list."""
        return self._of_list(
            asked, lambda connection, keys: counts(connection, asked.listing, keys, asked.filter)
        ).load(key)

    def groups(self, grouping: Grouping, limit: int, key: Key) -> Awaitable[list[Row[Any]]]:
        """Returns the groups of the key's devices, at most `limit`."""
        return self._of_list(
            (grouping, limit), lambda connection, keys: device_groups(connection, grouping, keys, limit)
        ).load(key)

    async def pin_by(self, pin: Pin, seconds: int) -> Pin:
        """Returns the point of an instant: what was recorded by then, and no later than the pin, by its clock."""
        if seconds >= pin.clock and pin.block is not None and seconds >= pin.block.time:
            return pin._replace(clock=seconds)
        block = await self._instants.load((pin.chain_id, seconds))
        if block is None:
            return pin._replace(position=-1, clock=seconds)
        then = pin_at(block, seconds)
        return pin._replace(position=min(pin.position, then.position), clock=seconds)

    def _of_list(self, asked: Hashable, rows: Rows) -> Loader[Key, Any]:
        found = self._of_lists.get(asked)
        if found is None:
            found = self._of_lists[asked] = self.loader(rows)
        return found

    def loader(self, rows: Rows) -> Loader[Any, Any]:
        """Returns a loader whose rows are counted."""
        tally = self._tally  # not these loaders: in a cycle with them all that was read would lie until it is collected

        def counted(connection: Connection, keys: Sequence[Any]) -> Sequence[Any]:
            found = rows(connection, keys)
            tally.rows += sum(map(_rows_in, found))
            return found

        return self._reading.loader(counted)

    @property
    def rows(self) -> int:
        """How many have been read for the answer."""
        return self._tally.rows


@dataclass
class _Tally:
    rows: int = 0


def _rows_in(found: Any) -> int:
    """Returns how many rows one key was answered with: a page's, a list's, one, or none; a count is one."""
    if isinstance(found, Page):
        return len(found.rows)
    return len(found) if isinstance(found, list) else int(found is not None)
