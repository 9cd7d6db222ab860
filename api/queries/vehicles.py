"""Vehicles, synthetic devices and granting accounts as they are at a point: rows, filter fields, and lists."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, select

from api.queries.grants import authorized_user
from api.queries.sql import tables
from api.queries.sql.fields import (
    UINT256_MAX,
    ComputedField,
    ExactField,
    NumberField,
    PlainTextField,
    RelatedField,
    TextField,
    TimeField,
    is_among,
    related_token_id,
    token_id_field,
)
from api.queries.sql.filters import Comparisons, Condition, Fields, Filter, negate
from api.queries.sql.identities import attributes_of, identity_relation, list_parts
from api.queries.sql.keys import row_by_key
from api.queries.sql.listings import Listing, Order, always, both_directions, by_time
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope

vehicle = tables.vehicle
version = tables.vehicle_version
attribute = tables.vehicle_attribute
synthetic = tables.synthetic_device
synthetic_version = tables.synthetic_device_version
paired_keys = tables.device_key.alias("paired_device")
connected = synthetic_version.alias("connected")

VEHICLE = identity_relation(vehicle, version)
SYNTHETIC_DEVICE = identity_relation(synthetic, synthetic_version)
ACCOUNT = identity_relation(tables.account)


# What is connected to a vehicle


@row_by_key
def paired_devices(scope: Scope) -> Select[Any]:
    """Returns (id) of the device that was paired with each key's vehicle last, None if none is."""
    paired = and_(paired_keys.c.vehicle_id == scope.id, scope.holds(paired_keys))
    joined = OrderedJoin(scope.keys, paired_keys, paired)
    latest_last = (paired_keys.c.paired_at, paired_keys.c.device_id)
    return select(paired_keys.c.device_id.label("id")).select_from(joined).order_by(*latest_last)


@row_by_key
def connected_devices(scope: Scope) -> Select[Any]:
    """Returns (id) of the synthetic device of each key's vehicle that was minted last and is not burned."""
    of_vehicle = and_(connected.c.vehicle_id == scope.id, scope.holds(connected), connected.c.burn_position.is_(None))
    joined = OrderedJoin(scope.keys, connected, of_vehicle)
    return select(connected.c.synthetic_device_id.label("id")).select_from(joined).order_by(connected.c.mint_position)


vehicle_attributes = attributes_of(attribute, attribute.c.vehicle_id)
synthetic_device_attributes = attributes_of(
    tables.synthetic_device_attribute, tables.synthetic_device_attribute.c.synthetic_device_id
)


# Fields of a filter


def vehicles_fitting(scope: Scope, filter: Filter) -> Select[Any]:
    """Returns the SELECT of the ids of the chain's vehicles that fit a filter at the scope."""
    return select_ids(VEHICLES, scope, filter).correlate(scope.keys)


def vehicle_field(column: ColumnElement[Any], *, of_few: bool = False) -> ComputedField:
    """Returns the field of the vehicle whose id is in a column: it fits a filter of vehicles."""
    return ComputedField(
        lambda scope, filter: is_among(scope, column, select_ids(VEHICLES, scope, filter), of_few=of_few)
    )


def _burned(versions: FromClause) -> ComputedField:
    def condition(scope: Scope, burned: bool) -> Condition:
        is_burned: Condition = versions.c.burned_at.is_not(None)
        return is_burned if burned else negate(is_burned)

    return ComputedField(condition)


def _device_ids(scope: Scope) -> Select[Any]:
    devices = tables.device
    named = and_(devices.c.chain_id == paired_keys.c.chain_id, devices.c.id == paired_keys.c.device_id)
    return (
        select(paired_keys.c.vehicle_id)
        .join(devices, named)
        .where(scope.holds(paired_keys), paired_keys.c.vehicle_id.is_not(None))
    )


def _synthetic_devices(scope: Scope, filter: Filter) -> Condition:
    ids = select_ids(SYNTHETIC_DEVICES, scope, filter).correlate(scope.keys)
    vehicles = select(connected.c.vehicle_id).where(
        scope.holds(connected), connected.c.vehicle_id.is_not(None), connected.c.synthetic_device_id.in_(ids)
    )
    return version.c.vehicle_id.in_(vehicles.correlate(scope.keys))


def _attribute(scope: Scope, comparisons: Comparisons) -> Condition:
    operands = dict(comparisons)
    values = select(attribute.c.vehicle_id).where(
        scope.holds(attribute),
        ExactField(attribute.c.name).equals(operands["name"]),
        PlainTextField(attribute.c.value).condition(scope, operands["value"]),
    )
    return version.c.vehicle_id.in_(values.correlate(scope.keys))


VEHICLE_FIELDS: Fields = {
    "token_id": token_id_field(vehicle),
    "contract": ExactField(vehicle.c.contract),
    "chain_id": NumberField(vehicle.c.chain_id),
    "owner": ExactField(version.c.owner),
    "manufacturer_id": related_token_id(version.c.manufacturer_id, tables.manufacturer),
    "definition_id": TextField(version.c.definition_id, version.c.definition_id_key),
    "minted_at": TimeField(version.c.minted_at),
    "burned_at": TimeField(version.c.burned_at),
    "burned": _burned(version),
    "device_id": RelatedField(version.c.vehicle_id, _device_ids, token_id_field(tables.device)),
    "synthetic_device": ComputedField(_synthetic_devices),
    "attribute": ComputedField(_attribute),
    "authorized_user": authorized_user(version.c.vehicle_id),
}
SYNTHETIC_DEVICE_FIELDS: Fields = {
    "token_id": token_id_field(synthetic),
    "contract": ExactField(synthetic.c.contract),
    "chain_id": NumberField(synthetic.c.chain_id),
    "owner": ExactField(synthetic_version.c.owner),
    "address": ExactField(synthetic_version.c.address),
    "connection_id": NumberField(synthetic_version.c.connection_id, most=UINT256_MAX),
    "vehicle": vehicle_field(synthetic_version.c.vehicle_id),
    "minted_at": TimeField(synthetic_version.c.minted_at),
    "burned": _burned(synthetic_version),
}
ACCOUNT_FIELDS: Fields = {"address": ExactField(tables.account.c.contract)}


# Lists

VEHICLES = Listing("vehicles", list_parts(vehicle, version), always, VEHICLE, vehicle.c.id, VEHICLE_FIELDS)
VEHICLES_OF_MANUFACTURER = replace(
    VEHICLES, name="Manufacturer.vehicles", within=lambda scope: version.c.manufacturer_id == scope.id
)
SYNTHETIC_DEVICES = Listing(
    "syntheticDevices",
    list_parts(synthetic, synthetic_version),
    always,
    SYNTHETIC_DEVICE,
    synthetic.c.id,
    SYNTHETIC_DEVICE_FIELDS,
)
ACCOUNTS = Listing("accounts", list_parts(tables.account), always, ACCOUNT, tables.account.c.id, ACCOUNT_FIELDS)

VEHICLE_ORDERS = both_directions(by_time("MINTED_AT", version.c.minted_at), Order("TOKEN_ID", vehicle.c.token_id))
SYNTHETIC_DEVICE_ORDERS = both_directions(
    by_time("MINTED_AT", synthetic_version.c.minted_at), Order("TOKEN_ID", synthetic.c.token_id)
)
"""The orders by (name of `TokenOrderField`, whether it descends)."""
