"""Vehicles that devices are paired with, and who owns them at a point."""

from typing import Any

from sqlalchemy import Select

from api.queries.sql import tables
from api.queries.sql.identities import select_identities
from api.queries.sql.keys import row_by_key
from api.queries.sql.scope import Scope


@row_by_key
def vehicles(scope: Scope) -> Select[Any]:
    """Returns the vehicle of each key, None if no log names it by the key's point."""
    vehicles = select_identities(scope, tables.vehicle, tables.vehicle_version)
    return vehicles.where(tables.vehicle.c.id == scope.id)
