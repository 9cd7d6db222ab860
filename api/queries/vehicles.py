"""Vehicles that devices are paired with, and who owns them at a point."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select

from api.queries.sql import tables
from api.queries.sql.identities import select_identities
from api.queries.sql.keys import Key, rows_by_key
from api.queries.sql.scope import Scope


def vehicles(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the vehicle of each key, None if no log names it by the key's point."""
    return rows_by_key(connection, _vehicles, keys)


def _vehicles(scope: Scope) -> Select[Any]:
    vehicles = select_identities(scope, tables.vehicle, tables.vehicle_version)
    return vehicles.where(tables.vehicle.c.id == scope.id)
