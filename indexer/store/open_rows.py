"""Loading the open rows of what a batch names: the devices written last from memory, all else from the database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from indexer.errors import Stop
from indexer.fold.row_changes import Names, OpenRows, TokenKey
from indexer.store.open_row_cache import Recent
from schema.tables import rows
from schema.tables.values import OPEN, uint256_bytes

RowT = TypeVar("RowT", bound=Struct)

CHUNK = 1000


def load_open_rows(connection: Connection, chain_id: int, names: Names, recent: Recent | None = None) -> OpenRows:
    """Returns ids and open rows of all that is named, and of what hangs on it."""
    known, unknown = (OpenRows(), names.devices) if recent is None else recent.recall(names.devices)
    devices = _ids(connection, chain_id, "device", unknown)
    licenses = _ids(connection, chain_id, "hardware_license", names.hardware_licenses)
    manufacturers = _ids(connection, chain_id, "manufacturer", names.manufacturers)
    vehicles = _ids(connection, chain_id, "vehicle", names.vehicles)
    tokens = _ids(connection, chain_id, "license", names.licenses)
    versions = _one_each(connection, chain_id, rows.DeviceVersion, "device_version", "device_id", devices)
    activities = _one_each(connection, chain_id, rows.DeviceActivity, "device_activity", "device_id", devices)
    attributes = _open(connection, chain_id, rows.DeviceAttribute, "device_attribute", "device_id", devices)
    grants = _open(connection, chain_id, rows.Authorization, "authorization", "device_id", devices)
    makers = _one_each(
        connection, chain_id, rows.ManufacturerVersion, "manufacturer_version", "manufacturer_id", manufacturers
    )
    owned = _one_each(connection, chain_id, rows.VehicleVersion, "vehicle_version", "vehicle_id", vehicles)
    licenses_held = _one_each(connection, chain_id, rows.LicenseVersion, "license_version", "license_id", tokens)
    holders = sorted(names.accounts | {row.holder for row in licenses_held if row.holder is not None})
    makers += _of(connection, chain_id, rows.ManufacturerVersion, "manufacturer_version", "account", holders)
    licenses_held += _of(connection, chain_id, rows.LicenseVersion, "license_version", "holder", holders)
    held = _one_each(
        connection, chain_id, rows.HardwareLicenseVersion, "hardware_license_version", "hardware_license_id", licenses
    )
    known.devices.update(devices)
    known.device_versions.update((row.device_id, row) for row in versions)
    known.device_activities.update((row.device_id, row) for row in activities)
    known.device_attributes.update(((row.device_id, row.name), row) for row in attributes)
    known.authorizations.update(((row.device_id, row.user_address, row.source, row.scope), row) for row in grants)
    known.manufacturers = manufacturers
    known.hardware_licenses = licenses
    known.vehicles = vehicles
    known.licenses = tokens
    known.manufacturer_versions = {row.manufacturer_id: row for row in makers}
    known.hardware_license_versions = {row.hardware_license_id: row for row in held}
    known.vehicle_versions = {row.vehicle_id: row for row in owned}
    known.license_versions = {row.license_id: row for row in licenses_held}
    return known


def _ids(connection: Connection, chain_id: int, table: str, keys: Iterable[TokenKey]) -> dict[TokenKey, int]:
    by_contract: dict[bytes, list[bytes]] = {}
    for contract, token_id in keys:
        by_contract.setdefault(contract, []).append(uint256_bytes(token_id))
    return {
        (contract, int.from_bytes(token_id, "big")): id
        for contract, token_ids in by_contract.items()
        for token_id, id in _select(
            connection,
            f"token_id, id FROM {table}",
            {"chain_id": chain_id, "contract": contract},
            "token_id",
            token_ids,
        )
    }


def _one_each(
    connection: Connection, chain_id: int, row: type[RowT], table: str, key: str, ids: dict[TokenKey, int]
) -> list[RowT]:
    """Returns the open row of each id. Raises Stop where one has none."""
    found = _open(connection, chain_id, row, table, key, ids)
    if len(found) != len(ids):
        raise Stop(
            f"The tables contradict each other: {len(ids)} open rows of {table} were to be read, {len(found)} are "
            "there. Rewrite them from the stored events: certindex rebuild"
        )
    return found


def _open(
    connection: Connection, chain_id: int, row: type[RowT], table: str, key: str, ids: dict[TokenKey, int]
) -> list[RowT]:
    return _of(connection, chain_id, row, table, key, list(ids.values()))


def _of(
    connection: Connection, chain_id: int, row: type[RowT], table: str, key: str, named: Sequence[Any]
) -> list[RowT]:
    what = f'{", ".join(row.__struct_fields__)} FROM "{table}"'
    found = _select(connection, what, {"chain_id": chain_id, "valid_to": OPEN}, key, named)
    return list(map(_maker(row), found))


def _select(
    connection: Connection, what: str, equal: dict[str, Any], key: str, named: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yields the rows whose key is among those named, by the driver: rows come in the encoding of the database."""
    postgresql = connection.dialect.name == "postgresql"
    mark = "%s" if postgresql else "?"
    where = " AND ".join(f"{column} = {mark}" for column in equal)
    for chunk in _chunks(sorted(named)):
        among = "= ANY(%s)" if postgresql else f"IN ({', '.join('?' * len(chunk))})"
        parameters = (*equal.values(), *([chunk] if postgresql else chunk))
        cursor: Any = connection.connection.cursor(binary=True) if postgresql else connection.connection.cursor()
        cursor.execute(f"SELECT {what} WHERE {where} AND {key} {among}", parameters)
        yield from cursor.fetchall()
        cursor.close()


def _maker(row: type[RowT]) -> Callable[[Sequence[Any]], RowT]:
    if row in BY_NAME:
        return lambda values: row(**dict(zip(row.__struct_fields__, values, strict=True)))
    return lambda values: row(*values)


BY_NAME = (rows.ManufacturerVersion, rows.HardwareLicenseVersion)
"""The rows that take no values by place."""


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
