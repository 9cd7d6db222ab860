"""Loading the open rows of what a batch names: recently written devices from memory, the rest from the database."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from indexer.changes import DeviceAddress, Names, OpenRows, TokenKey
from indexer.errors import Stop
from indexer.store.open_row_cache import OpenRowCache
from schema.tables.database import wrapped_error
from schema.tables.indexes import ADDRESS_INDEX
from schema.tables.kinds import SPANS, SpanTable
from schema.tables.rows import DeviceVersion, LicenseTerms
from schema.tables.values import OPEN, block_of, uint256_bytes

CHUNK = 1000
"""Keys a statement looks up."""


def load_open_rows(connection: Connection, chain_id: int, names: Names, cache: OpenRowCache | None = None) -> OpenRows:
    """Returns ids and open rows of all that is named, and of what depends on it.

    Raises Stop if the tables contradict each other.
    """
    holders = _holders(connection, chain_id, names.addresses) if names.addresses else {}
    held = set(holders.values())
    devices = names.tokens["device"] | held
    open_rows, uncached = (OpenRows(), devices) if cache is None else cache.recall(devices)
    for identity, tokens in names.tokens.items():
        loaded = _ids(connection, chain_id, identity, uncached if identity == "device" else tokens)
        open_rows.ids[identity].update(loaded)
        for table in SPANS.values():
            if identity not in table.owners or table.repeats:
                continue
            ids: Collection[int] = loaded.values()
            if table.key_columns:
                keyed = names.keyed.get((table.name, identity), set()) | (held if identity == "device" else set())
                ids = [open_rows.ids[identity][token] for token in keyed & open_rows.ids[identity].keys()]
            rows = _open_rows(connection, chain_id, table, table.owners[identity], ids)
            _check_count(table, ids, rows)
            _add(open_rows, table, rows)
    # what a license is worth to a manufacturer depends on all that the owner holds
    owners = names.accounts | {row.holder for row in open_rows.license_version.values() if row.holder is not None}
    for name, column in (("manufacturer_version", "account"), ("license_version", "holder")):
        _add(open_rows, SPANS[name], _open_rows(connection, chain_id, SPANS[name], column, owners))
    if len(holders) > 1:
        open_rows.address_blocks = _address_blocks(connection, chain_id, open_rows.device_version, holders)
    return open_rows


def _holders(connection: Connection, chain_id: int, addresses: Collection[DeviceAddress]) -> dict[int, TokenKey]:
    """Returns the devices that have these addresses, by their ids."""
    open_there = {"chain_id": chain_id, "valid_to": OPEN}
    held = {address for _, address in addresses}
    address_of = dict(_select(connection, "device_id, address FROM device_key", open_there, "address", held))
    tokens = _select(connection, "contract, token_id, id FROM device", {"chain_id": chain_id}, "id", address_of)
    return {
        id: (bytes(contract), int.from_bytes(token_id, "big"))
        for contract, token_id, id in tokens
        if (contract, address_of[id]) in addresses
    }


def _address_blocks(
    connection: Connection, chain_id: int, versions: Mapping[int, DeviceVersion], holders: Mapping[int, TokenKey]
) -> dict[int, int]:
    """Returns the block since which a device has its address, of the devices that share one."""
    shared = Counter((contract, versions[id].address) for id, (contract, _) in holders.items())
    sharing = [id for id, (contract, _) in holders.items() if shared[contract, versions[id].address] > 1]
    columns = "device_id, valid_from, address FROM device_key"
    rows = sorted(_select(connection, columns, {"chain_id": chain_id}, "device_id", sharing), key=itemgetter(0, 1))
    blocks: dict[int, int] = {}
    for id, valid_from, address in rows:
        if address != versions[id].address:
            blocks.pop(id, None)
        else:
            blocks.setdefault(id, block_of(valid_from))
    return blocks


def index_addresses(connection: Connection) -> None:
    """Builds the index of the devices' addresses: a backfill and a rebuild build indexes at their end."""
    connection.exec_driver_sql(ADDRESS_INDEX.ddl)


def _add(open_rows: OpenRows, table: SpanTable, rows: Iterable[Struct]) -> None:
    key = table.key()
    getattr(open_rows, table.name).update((key(row), row) for row in rows)


def _check_count(table: SpanTable, ids: Collection[int], rows: Collection[Struct]) -> None:
    if not table.key_columns and len(rows) != len(ids):
        raise Stop(
            f"The tables contradict each other: {len(ids)} open rows of {table.name} were to be read, {len(rows)} "
            "are there. Rewrite them from the stored events: certindex rebuild"
        )


def _ids(connection: Connection, chain_id: int, identity: str, tokens: Iterable[TokenKey]) -> dict[TokenKey, int]:
    by_contract: dict[bytes, list[bytes]] = {}
    for contract, token_id in tokens:
        by_contract.setdefault(contract, []).append(uint256_bytes(token_id))
    return {
        (contract, int.from_bytes(token_id, "big")): id
        for contract, token_ids in by_contract.items()
        for token_id, id in _select(
            connection,
            f"token_id, id FROM {identity}",
            {"chain_id": chain_id, "contract": contract},
            "token_id",
            token_ids,
        )
    }


def _open_rows(
    connection: Connection, chain_id: int, table: SpanTable, column: str, values: Collection[Any]
) -> list[Struct]:
    """Returns the open rows that have one of these values in a column."""
    columns = f'{", ".join(table.row.__struct_fields__)} FROM "{table.name}"'
    rows = _select(connection, columns, {"chain_id": chain_id, "valid_to": OPEN}, column, values)
    return list(map(_maker(table.row), rows))


def _select(
    connection: Connection, columns: str, equal: dict[str, Any], key: str, values: Collection[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yields the rows whose key is among the values, by the driver: in the encoding of the database."""
    postgresql = connection.dialect.name == "postgresql"
    mark = "%s" if postgresql else "?"
    where = " AND ".join(f"{column} = {mark}" for column in equal)
    for chunk in _chunks(sorted(values)):
        among = "= ANY(%s)" if postgresql else f"IN ({', '.join('?' * len(chunk))})"
        parameters = (*equal.values(), *([chunk] if postgresql else chunk))
        cursor: Any = connection.connection.cursor(binary=True) if postgresql else connection.connection.cursor()
        statement = f"SELECT {columns} WHERE {where} AND {key} {among}"
        try:
            cursor.execute(statement, parameters)
            rows = cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            raise wrapped_error(connection, statement, error) from error
        cursor.close()
        yield from rows


def _maker(row: type[Struct]) -> Callable[[Sequence[Any]], Struct]:
    """Returns a function from the values of a row to the row."""
    if issubclass(row, LicenseTerms):  # takes no values by place
        return lambda values: row(**dict(zip(row.__struct_fields__, values, strict=True)))
    return lambda values: row(*values)


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
