"""Vehicles that devices are paired with: who owns one at a point."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select

from api.queries.sql import tables
from api.queries.sql.keys import Key, rows_by_key
from api.queries.sql.scope import Scope

vehicle = tables.vehicle
version = tables.vehicle_version


def vehicles(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the vehicle of each key as it stands at its point; None where it is not yet named."""
    return rows_by_key(connection, _vehicles, keys)


def _vehicles(scope: Scope) -> Select[Any]:
    owned = and_(version.c.vehicle_id == vehicle.c.id, scope.holds(version))
    return (
        select(*vehicle.c, version.c.owner)
        .select_from(scope.keys.join(vehicle, vehicle.c.chain_id == scope.chain_id).join(version, owned))
        .where(vehicle.c.id == scope.id)
    )
