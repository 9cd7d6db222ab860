"""Loading the open rows of what a batch names."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, TextClause, bindparam, text

from indexer import rows
from indexer.ledger import Names, OpenRows, TokenKey
from schema.columns import OPEN, uint256_bytes

RowT = TypeVar("RowT", bound=Struct)

CHUNK = 1000


def load_open_rows(connection: Connection, chain_id: int, names: Names) -> OpenRows:
    """Returns ids and open rows of all that is named, and of what hangs on it."""
    devices = _ids(connection, chain_id, "device", names.devices)
    licenses = _ids(connection, chain_id, "hardware_license", names.hardware_licenses)
    manufacturers = _ids(connection, chain_id, "manufacturer", names.manufacturers)
    vehicles = _ids(connection, chain_id, "vehicle", names.vehicles)
    tokens = _ids(connection, chain_id, "license", names.licenses)
    versions = _open(connection, chain_id, rows.DeviceVersion, "device_version", "device_id", devices)
    activities = _open(connection, chain_id, rows.DeviceActivity, "device_activity", "device_id", devices)
    attributes = _open(connection, chain_id, rows.DeviceAttribute, "device_attribute", "device_id", devices)
    grants = _open(connection, chain_id, rows.Authorization, "authorization", "device_id", devices)
    makers = _open(
        connection, chain_id, rows.ManufacturerVersion, "manufacturer_version", "manufacturer_id", manufacturers
    )
    owned = _open(connection, chain_id, rows.VehicleVersion, "vehicle_version", "vehicle_id", vehicles)
    licenses_held = _open(connection, chain_id, rows.LicenseVersion, "license_version", "license_id", tokens)
    holders = sorted(names.accounts | {row.holder for row in licenses_held if row.holder is not None})
    makers += _of(connection, chain_id, rows.ManufacturerVersion, "manufacturer_version", "account", holders)
    licenses_held += _of(connection, chain_id, rows.LicenseVersion, "license_version", "holder", holders)
    held = _open(
        connection, chain_id, rows.HardwareLicenseVersion, "hardware_license_version", "hardware_license_id", licenses
    )
    return OpenRows(
        devices=devices,
        manufacturers=manufacturers,
        hardware_licenses=licenses,
        vehicles=vehicles,
        licenses=tokens,
        device_versions={row.device_id: row for row in versions},
        device_activities={row.device_id: row for row in activities},
        device_attributes={(row.device_id, row.name): row for row in attributes},
        authorizations={(row.device_id, row.user_address, row.source, row.scope): row for row in grants},
        manufacturer_versions={row.manufacturer_id: row for row in makers},
        hardware_license_versions={row.hardware_license_id: row for row in held},
        vehicle_versions={row.vehicle_id: row for row in owned},
        license_versions={row.license_id: row for row in licenses_held},
    )


def _ids(connection: Connection, chain_id: int, table: str, keys: Iterable[TokenKey]) -> dict[TokenKey, int]:
    by_contract: dict[bytes, list[bytes]] = {}
    for contract, token_id in keys:
        by_contract.setdefault(contract, []).append(uint256_bytes(token_id))
    statement = _in(
        f"SELECT token_id, id FROM {table} WHERE chain_id = :chain_id AND contract = :contract AND token_id"
    )
    return {
        (contract, int.from_bytes(token_id, "big")): id
        for contract, token_ids in by_contract.items()
        for chunk in _chunks(sorted(token_ids))
        for token_id, id in connection.execute(statement, {"chain_id": chain_id, "contract": contract, "named": chunk})
    }


def _open(
    connection: Connection, chain_id: int, row: type[RowT], table: str, key: str, ids: dict[TokenKey, int]
) -> list[RowT]:
    return _of(connection, chain_id, row, table, key, sorted(ids.values()))


def _of(
    connection: Connection, chain_id: int, row: type[RowT], table: str, key: str, named: Sequence[Any]
) -> list[RowT]:
    columns = row.__struct_fields__
    statement = _in(
        f'SELECT {", ".join(columns)} FROM "{table}" WHERE chain_id = :chain_id AND valid_to = {OPEN} AND {key}'
    )
    return [
        row(**dict(zip(columns, found, strict=True)))
        for chunk in _chunks(named)
        for found in connection.execute(statement, {"chain_id": chain_id, "named": chunk})
    ]


def _in(statement: str) -> TextClause:
    # the text has no column types: rows come in the encoding of the database, as the fold's rows are
    return text(f"{statement} IN :named").bindparams(bindparam("named", expanding=True))


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
