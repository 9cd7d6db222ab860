"""One loader a relation: what the objects of an answer ask of the database, asked once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Row, Table
from strawberry.dataloader import DataLoader

from api.queries import tables
from api.queries.authorizations import authorizations
from api.queries.blocks import blocks
from api.queries.devices import addresses, attributes, devices, successors
from api.queries.events import events
from api.queries.keys import Key
from api.queries.licenses import hardware_licenses, manufacturers
from api.queries.pages import Listing, Order, Page, Window, counts, pages
from api.queries.pins import BlockPoint, Pin, are_canonical, block_at_time, blocks_with_hashes, pin_at, were_orphaned
from api.queries.proofs import Proof, proofs, verification_notes
from api.queries.statistics import Grouping, device_groups
from api.queries.tokens import Token, token_ids
from api.queries.twins import address_twins, imei_twins, serial_number_twins
from api.queries.vehicles import vehicles
from api.snapshot import Snapshot

KeyT = TypeVar("KeyT")
RowT = TypeVar("RowT")
Rows = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Loader(Generic[KeyT, RowT]):
    """Collects what is asked for at about the same time, and reads each thing once."""

    def __init__(self, read: Callable[[list[KeyT]], Awaitable[Sequence[RowT]]]) -> None:
        self._loader: DataLoader[KeyT, RowT] = DataLoader(read)

    def load(self, key: KeyT) -> Awaitable[RowT]:
        """Returns what the key names."""
        # several fields wait for one future: one that is cancelled must not cancel it for the others
        return asyncio.shield(self._loader.load(key))


class PageOf(NamedTuple):
    """A page that many parents are asked for alike. Listings and orders are told apart by identity."""

    listing: Listing
    order: Order
    window: Window
    filter: Any


class CountOf(NamedTuple):
    listing: Listing
    filter: Any


class Loaders:
    """The loaders of one request, over its snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.rows = 0
        """How many rows have been read for the answer."""
        self._of_lists: dict[Hashable, Loader[Key, Any]] = {}
        self.device: Loader[Key, Row[Any] | None] = self._loader(devices)
        self.manufacturer: Loader[Key, Row[Any] | None] = self._loader(manufacturers)
        self.hardware_license: Loader[Key, Row[Any] | None] = self._loader(hardware_licenses)
        self.successor: Loader[Key, Row[Any] | None] = self._loader(successors)
        self.vehicle: Loader[Key, Row[Any] | None] = self._loader(vehicles)
        self.authorization: Loader[Key, Row[Any] | None] = self._loader(authorizations)
        self.event: Loader[Key, Row[Any] | None] = self._loader(events)
        self.block: Loader[tuple[int, int], BlockPoint | None] = self._loader(blocks)
        self.proof: Loader[tuple[int, int, int], Proof | None] = self._loader(proofs)
        self.verification_note: Loader[tuple[int, int], str | None] = self._loader(verification_notes)
        self.addresses: Loader[Key, Sequence[Row[Any]]] = self._loader(addresses)
        self.attributes: Loader[Key, Sequence[Row[Any]]] = self._loader(attributes)
        self.imei_twins: Loader[Key, Sequence[Row[Any]]] = self._loader(imei_twins)
        self.serial_number_twins: Loader[Key, Sequence[Row[Any]]] = self._loader(serial_number_twins)
        self.address_twins: Loader[Key, Sequence[Row[Any]]] = self._loader(address_twins)
        self.block_with_hash: Loader[tuple[int, bytes], BlockPoint | None] = self._loader(blocks_with_hashes)
        self.was_orphaned: Loader[tuple[int, bytes], bool] = self._loader(were_orphaned)
        self.is_canonical: Loader[BlockPoint, bool] = self._loader(self._are_canonical)
        self.device_id = self._tokens(tables.device)
        self.manufacturer_id = self._tokens(tables.manufacturer)
        self.hardware_license_id = self._tokens(tables.hardware_license)
        self.vehicle_id = self._tokens(tables.vehicle)
        self._instants: Loader[tuple[int, int], BlockPoint | None] = self._loader(_blocks_at_times)

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
        if asked not in self._of_lists:
            self._of_lists[asked] = self._loader(rows)
        return self._of_lists[asked]

    def _tokens(self, table: Table) -> Loader[Token, int | None]:
        return self._loader(lambda connection, names: token_ids(connection, table, names))

    def _are_canonical(self, connection: Connection, blocks: Sequence[BlockPoint]) -> list[bool]:
        return are_canonical(connection, self._snapshot.final_numbers, blocks)

    def _loader(self, rows: Rows) -> Loader[Any, Any]:
        return Loader(partial(self._load, rows))

    async def _load(self, rows: Rows, keys: list[Any]) -> Sequence[Any]:
        found = await self._snapshot.read(rows, keys)
        self.rows += sum(map(_rows_in, found))
        return found


def _rows_in(found: Any) -> int:
    """Returns how many rows one key was answered with: a page's, a list's, one, or none; a count is one."""
    if isinstance(found, Page):
        return len(found.rows)
    return len(found) if isinstance(found, list) else int(found is not None)


def _blocks_at_times(connection: Connection, keys: Sequence[tuple[int, int]]) -> list[BlockPoint | None]:
    return [block_at_time(connection, chain_id, seconds) for chain_id, seconds in keys]
