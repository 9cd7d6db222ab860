"""Loaders: each reads one relation for all objects of a response in one statement."""

from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Row

from api.queries.authorizations import authorizations
from api.queries.blocks import are_canonical, blocks, blocks_at_times, blocks_with_hashes, were_orphaned
from api.queries.devices import addresses, attributes, devices, successors
from api.queries.duplicates import address_duplicates, imei_duplicates, serial_number_duplicates
from api.queries.events import events
from api.queries.licenses import hardware_licenses, manufacturers
from api.queries.proofs import Proof, proofs, verification_notes
from api.queries.sql import tables
from api.queries.sql.as_of import BlockPoint, Pin, pin_at
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.pages import Listing, Order, Page, Place, Window, counts, pages
from api.queries.statistics import Grouping, device_groups
from api.queries.tokens import Token, ids_of_numbers, token_ids
from api.queries.vehicles import vehicles
from api.reading.batching import Loader, Query, QueryRunner
from schema.tables.damage import WAY_OUT, DamagedData

KeyT = TypeVar("KeyT", bound=Hashable)
RowT = TypeVar("RowT")


class PageQuery(NamedTuple):
    """A page that is read for many parents."""

    listing: Listing
    order: Order
    window: Window[Place]
    filter: Filter


class CountQuery(NamedTuple):
    """A count that is read for many parents."""

    listing: Listing
    filter: Filter


class Relation(Generic[KeyT, RowT]):
    """A loader of a request, which is made on its first use."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loaders: "Loaders", owner: type) -> Loader[KeyT, RowT]:
        loader: Loader[KeyT, RowT] = loaders.loader(self._query)
        loaders.__dict__[self._name] = loader
        return loader


class Loaders:
    """The loaders of one request, on its snapshot."""

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
    imei_duplicates = Relation[Key, Sequence[Row[Any]]](imei_duplicates)
    serial_number_duplicates = Relation[Key, Sequence[Row[Any]]](serial_number_duplicates)
    address_duplicates = Relation[Key, Sequence[Row[Any]]](address_duplicates)
    block_with_hash = Relation[tuple[int, bytes], BlockPoint | None](blocks_with_hashes)
    was_orphaned = Relation[tuple[int, bytes], bool](were_orphaned)
    device_id = Relation[Token, int | None](partial(token_ids, table=tables.device))
    device_ids = Relation[tuple[int, int], Sequence[int]](partial(ids_of_numbers, table=tables.device))
    manufacturer_id = Relation[Token, int | None](partial(token_ids, table=tables.manufacturer))
    hardware_license_id = Relation[Token, int | None](partial(token_ids, table=tables.hardware_license))
    vehicle_id = Relation[Token, int | None](partial(token_ids, table=tables.vehicle))
    _block_at_time = Relation[tuple[int, int], BlockPoint | None](blocks_at_times)

    def __init__(self, runner: QueryRunner) -> None:
        self._runner = runner
        self._rows_read = _RowsRead()
        self._list_loaders: dict[Hashable, Loader[Key, Any]] = {}

    @cached_property
    def is_canonical(self) -> Loader[BlockPoint, bool]:
        final_numbers = self._runner.snapshot.final_numbers
        return self.loader(lambda connection, blocks: are_canonical(connection, final_numbers, blocks))

    def page(self, query: PageQuery, key: Key) -> Awaitable[Page]:
        """Returns a page of the key's list."""
        listing, order, window, filter = query
        return self._list_loader(
            query, lambda connection, keys: pages(connection, listing, order, keys, window, filter)
        ).load(key)

    def count(self, query: CountQuery, key: Key) -> Awaitable[int]:
        """Returns the length of the key's list."""
        listing, filter = query
        return self._list_loader(query, lambda connection, keys: counts(connection, listing, keys, filter)).load(key)

    def groups(self, grouping: Grouping, limit: int, key: Key) -> Awaitable[list[Row[Any]]]:
        """Returns the largest `limit` groups of the devices of the key's chain."""
        return self._list_loader(
            (grouping, limit), lambda connection, keys: device_groups(connection, grouping, keys, limit)
        ).load(key)

    async def pin_by(self, pin: Pin, seconds: int) -> Pin:
        """Returns the pin at an instant in unix seconds, which includes nothing behind the position of `pin`."""
        if seconds >= pin.clock and pin.block is not None and seconds >= pin.block.time:
            return pin._replace(clock=seconds)
        block = await self._block_at_time.load((pin.chain_id, seconds))
        if block is None:
            return pin._replace(position=-1, clock=seconds)
        then = pin_at(block, seconds)
        return pin._replace(position=min(pin.position, then.position), clock=seconds)

    def _list_loader(self, name: Hashable, query: Query) -> Loader[Key, Any]:
        loader = self._list_loaders.get(name)
        if loader is None:
            loader = self._list_loaders[name] = self.loader(query)
        return loader

    def loader(self, query: Query) -> Loader[Any, Any]:
        """Returns a loader that counts the rows it reads."""
        # refers to the counter, not to these loaders: in a reference cycle all rows would stay until it is collected
        rows_read = self._rows_read

        def counted(connection: Connection, keys: Sequence[Any]) -> Sequence[Any]:
            results = query(connection, keys)
            rows_read.count += sum(map(_row_count, results))
            return results

        return self._runner.loader(counted)

    @property
    def rows(self) -> int:
        """The number of rows read for the response so far."""
        return self._rows_read.count


async def row_named(rows: Loader[Key, Row[Any] | None], kind: str, pin: Pin, id: int) -> Row[Any]:
    """Returns the row whose id another row contains. Raises DamagedData if it does not exist at the pin."""
    row = await rows.load(key_of(pin, id))
    if row is None:
        raise DamagedData(
            f"A row refers to {kind} {id} of chain {pin.chain_id}, which does not exist at {pin.position}. {WAY_OUT}"
        )
    return row


@dataclass
class _RowsRead:
    count: int = 0


def _row_count(result: Any) -> int:
    """Returns the number of rows in the result for one key: of a page, a list, one row, or none. A count is one row."""
    if isinstance(result, Page):
        return len(result.rows)
    return len(result) if isinstance(result, list) else int(result is not None)
