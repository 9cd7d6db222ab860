"""Vehicles that devices are paired with, and who owns them at a point."""

from api.queries.sql import tables
from api.queries.sql.identities import identity_relation

VEHICLE = identity_relation(tables.vehicle, tables.vehicle_version)
